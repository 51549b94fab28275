import type { ThreadHealth } from '../../src/profile/profile-report.ts';
import { perCommand } from './allocations.ts';

export interface Diagnosis {
  readonly threads: readonly ThreadDiagnosis[];
  /** For each worker thread: what it allocates under load. */
  readonly garbage: Readonly<Record<string, Garbage>>;
  /** In plain words, with what to do. */
  readonly verdicts: readonly Verdict[];
}

export interface ThreadDiagnosis extends ThreadHealth {
  /** CPU time as a share of the window; null where the system does not tell. */
  readonly cpuPercent: number | null;
  /** Time in collections as a share of the window. */
  readonly collectingPercent: number;
  /** Of its own commands, or for threads that run none, of all commands. */
  readonly bytesPerCommand: number | null;
}

export interface Garbage {
  readonly bytesPerCommand: number | null;
  readonly majorCollections: number;
  readonly commands: number;
}

export interface Verdict {
  readonly ok: boolean;
  readonly text: string;
}

/** What a healthy server stays below. */
export const LIMITS = {
  /** Of a worker, whose hot paths allocate nothing for a command. */
  workerBytesPerCommand: 1,
  workerMajorCollections: 0,
  /** How late a front may come to its next turn, p99. */
  frontDelayMs: 20,
  collectingPercent: 5,
  longestCollectionMs: 50,
  /** A thread with more than this of a core has no room left. */
  cpuPercent: 90,
} as const;

/** With fewer commands in the window, bytes per command say more about the measuring than about the server. */
const LEAST_COMMANDS = 100_000;

/** Judges what every thread was measured to do. */
export function diagnose(healths: readonly ThreadHealth[]): Diagnosis {
  const all = healths.reduce((sum, { commands }) => sum + (commands ?? 0), 0);
  const threads = healths.map((health): ThreadDiagnosis => {
    const { windowMs, cpuMs, minorCollections, majorCollections, commands, allocatedBytes } = health;
    return {
      ...health,
      cpuPercent: cpuMs === null ? null : (100 * cpuMs) / windowMs,
      collectingPercent: (100 * (minorCollections.totalMs + majorCollections.totalMs)) / windowMs,
      bytesPerCommand: perCommand(allocatedBytes, commands ?? all),
    };
  });
  const workers = threads.filter(({ commands }) => commands !== null);
  const garbage = Object.fromEntries(
    workers.map(({ name, bytesPerCommand, majorCollections, commands }) => [
      name,
      { bytesPerCommand, majorCollections: majorCollections.count, commands: commands ?? 0 },
    ]),
  );
  const verdicts = [
    ...threads.flatMap(delayVerdict),
    ...threads.map(collectingVerdict),
    ...workers.map(garbageVerdict),
    ...threads.flatMap(cpuVerdict),
  ];
  return { threads, garbage, verdicts };
}

function delayVerdict({ name, eventLoopDelayMs }: ThreadDiagnosis): Verdict[] {
  // The storage thread blocks in its syncs on purpose, and nobody waits for its event loop.
  if (eventLoopDelayMs === null || !name.startsWith('front')) return [];
  const { p50, p99, max } = eventLoopDelayMs;
  const measured = `${name} comes to its next turn ${ms(p50)} late in the median, p99 ${ms(p99)}, at most ${ms(max)}`;
  if (p99 <= LIMITS.frontDelayMs) return [{ ok: true, text: measured }];
  return [
    {
      ok: false,
      text: `${measured}: clients feel it. If it is near a whole core, spread its sockets (--fronts); else look at what runs long in its flame graph`,
    },
  ];
}

function collectingVerdict({
  name,
  collectingPercent,
  minorCollections,
  majorCollections,
}: ThreadDiagnosis): Verdict {
  const longest = Math.max(minorCollections.longestMs, majorCollections.longestMs);
  const measured =
    `${name} collected garbage ${minorCollections.count} times among young objects and ${majorCollections.count} times in full, ` +
    `${collectingPercent.toFixed(2)} % of its time, ${ms(longest)} at the longest`;
  if (collectingPercent <= LIMITS.collectingPercent && longest <= LIMITS.longestCollectionMs) {
    return { ok: true, text: measured };
  }
  return {
    ok: false,
    text: `${measured}: see who allocates with --allocations, or give young objects more room (--max-semi-space-size)`,
  };
}

function garbageVerdict({ name, bytesPerCommand, majorCollections, commands }: ThreadDiagnosis): Verdict {
  if (bytesPerCommand === null || (commands ?? 0) < LEAST_COMMANDS) {
    return {
      ok: true,
      text: `${name} ran ${(commands ?? 0).toLocaleString('en-US')} commands, too few to tell bytes per command: profile longer, or under more load`,
    };
  }
  const measured = `${name} allocated ${bytesPerCommand.toFixed(2)} bytes a command, with ${majorCollections.count} full collections`;
  const ok =
    bytesPerCommand < LIMITS.workerBytesPerCommand && majorCollections.count <= LIMITS.workerMajorCollections;
  if (ok) return { ok, text: measured };
  return {
    ok,
    text: `${measured}: a worker's hot paths should allocate nothing; --allocations tells who does`,
  };
}

function cpuVerdict({ name, cpuPercent }: ThreadDiagnosis): Verdict[] {
  if (cpuPercent === null) return [];
  const measured = `${name} used ${cpuPercent.toFixed(0)} % of a core`;
  if (cpuPercent <= LIMITS.cpuPercent) return [{ ok: true, text: measured }];
  const todo = name.startsWith('front')
    ? 'more --fronts spread its sockets'
    : name.startsWith('shard')
      ? 'more --workers spread its SKUs, unless one SKU makes all the load'
      : 'it is the limit';
  return [{ ok: false, text: `${measured}, which is all there is: ${todo}` }];
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

/** A diagnosis as lines. */
export function diagnosisText({ verdicts }: Diagnosis): string {
  return verdicts.map(({ ok, text }) => `${ok ? '✔' : '✘'} ${text}`).join('\n');
}
