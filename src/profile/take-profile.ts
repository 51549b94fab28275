import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RawHealth, startHealth, stopHealth } from './in-thread.ts';
import type {
  AllocationProfile,
  CpuProfile,
  LoopDelay,
  ProfileKind,
  ProfileReport,
  ProfileRequest,
  ThreadHealth,
} from './profile-report.ts';
import { type InspectedThread, ThreadInspector } from './thread-inspector.ts';

/** Between two samples of a CPU profile, µs. */
const SAMPLE_US = 1000;
/** Longer windows are sampled less often, so that a thread is never held up for long when it hands its samples over. */
const MOST_SAMPLES = 20_000;
/** Bytes between two samples of allocations, on average. */
const SAMPLE_BYTES = 4096;
const LOOP_RESOLUTION_MS = 2;
/** With fewer turns in a second than this, a thread has no event loop to speak of. */
const LEAST_TURNS_PER_SECOND = 10;
/** What one clock tick of /proc is. */
const TICK_MS = 10;

export interface ProfileTask extends ProfileRequest {
  /** What the main thread is called. */
  readonly mainName: string;
  /** For each worker's thread, by name, a word that counts the commands it has run; wraps around. */
  readonly commands: Readonly<Record<string, Int32Array>>;
}

/**
 * Measures all threads at once, for as long as asked. A thread that begins or ends meanwhile is left out. To be called on the main
 * thread; rejects when `signal` is aborted.
 */
export async function takeProfile(task: ProfileTask, signal: AbortSignal): Promise<ProfileReport> {
  const inspector = await ThreadInspector.connect(task.mainName);
  try {
    const measures = await settled(inspector.threads, (thread) => begin(thread, task));
    await sleep(task.seconds * 1000, undefined, { signal });
    const threads = await settled(measures, (measure) => measure.end());
    return { kind: task.kind, seconds: task.seconds, threads } as ProfileReport;
  } finally {
    inspector.close();
  }
}

interface Measure {
  end(): Promise<object>;
}

/** Begins one thread's measurement; what comes back ends it and has the outcome. */
async function begin(thread: InspectedThread, task: ProfileTask): Promise<Measure> {
  const end = await METHODS[task.kind](thread, task);
  const startedMs = performance.now();
  const word = task.commands[thread.name];
  const before = word === undefined ? 0 : Atomics.load(word, 0);
  return {
    end: async () => {
      const windowMs = Math.round(performance.now() - startedMs);
      const commands = word === undefined ? null : (Atomics.load(word, 0) - before) >>> 0;
      return { name: thread.name, windowMs, commands, ...(await end()) };
    },
  };
}

type Method = (thread: InspectedThread, task: ProfileTask) => Promise<() => Promise<object>>;

const METHODS: Readonly<Record<ProfileKind, Method>> = {
  cpu: async (thread, { seconds }) => {
    const interval = Math.max(SAMPLE_US, Math.ceil((seconds * 1e6) / MOST_SAMPLES));
    await thread.ask('Profiler.enable');
    await thread.ask('Profiler.setSamplingInterval', { interval });
    await thread.ask('Profiler.start');
    return async () => {
      const { profile } = await thread.ask<{ profile: CpuProfile }>('Profiler.stop');
      await thread.ask('Profiler.disable');
      return { profile };
    };
  },
  allocations: async (thread) => {
    // What was collected since is the garbage that one is after.
    await thread.ask('HeapProfiler.startSampling', {
      samplingInterval: SAMPLE_BYTES,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    });
    return async () => {
      const { profile } = await thread.ask<{ profile: AllocationProfile }>('HeapProfiler.stopSampling');
      return { profile };
    };
  },
  health: async (thread) => {
    const startedMs = performance.now();
    const task = await run<string>(thread, `(${startHealth})(${LOOP_RESOLUTION_MS})`);
    const cpuBefore = cpuMs(task);
    return async () => {
      const cpuAfter = cpuMs(task);
      const seconds = (performance.now() - startedMs) / 1000;
      const cpu = cpuBefore === null || cpuAfter === null ? null : cpuAfter - cpuBefore;
      return inWords(await run<RawHealth>(thread, `(${stopHealth})()`), cpu, seconds);
    };
  },
};

/** The results of those that did not fail; rejects when all did. */
async function settled<T, R>(items: readonly T[], each: (item: T) => Promise<R>): Promise<R[]> {
  const outcomes = await Promise.allSettled(items.map(each));
  const done = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (done.length === 0 && failed !== undefined) throw failed.reason;
  return done;
}

/** Evaluates an expression in a thread. */
async function run<T>(thread: InspectedThread, expression: string): Promise<T> {
  const { result, exceptionDetails } = await thread.ask<{
    result: { value: T };
    exceptionDetails?: { text: string; exception?: { description?: string } };
  }>('Runtime.evaluate', { expression, returnByValue: true, silent: true });
  if (exceptionDetails !== undefined) {
    throw new Error(`${thread.name}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
  }
  return result.value;
}

function inWords(
  raw: RawHealth,
  cpu: number | null,
  seconds: number,
): Omit<ThreadHealth, 'name' | 'windowMs' | 'commands'> {
  const { minor, major, allocatedBytes, heapBytes, delay, utilization } = raw;
  const turns = delay !== null && delay.count >= LEAST_TURNS_PER_SECOND * seconds;
  return {
    cpuMs: cpu,
    minorCollections: minor,
    majorCollections: major,
    allocatedBytes: Math.max(0, allocatedBytes),
    heapBytes,
    eventLoopDelayMs: turns ? beyondInterval(delay) : null,
    eventLoopUtilization: turns ? utilization : null,
  };
}

function beyondInterval(delay: NonNullable<RawHealth['delay']>): LoopDelay {
  const late = (ms: number) => Math.max(0, ms - LOOP_RESOLUTION_MS);
  return {
    mean: late(delay.meanMs),
    p50: late(delay.p50Ms),
    p99: late(delay.p99Ms),
    max: late(delay.maxMs),
  };
}

/** CPU time of a thread so far, at `PID/task/TID` in /proc: user and system time are the 14th and 15th field there. */
function cpuMs(task: string): number | null {
  try {
    const text = readFileSync(`/proc/${task}/stat`, 'utf8');
    // The second field is a name in parentheses, which may contain anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return null;
  }
}
