import { Worker } from 'node:worker_threads';
import type { ClockAnchor } from '../base/clock.ts';
import type { Log } from '../log/events.ts';
import { Doorbell } from '../ring/doorbell.ts';
import { Heartbeat } from '../shard/heartbeat.ts';
import { Control, controlOf, type EngineMemory, Lease } from '../shard/memory.ts';
import type { Shard } from '../shard/shard.ts';
import { threadUrl } from './thread-url.ts';

export interface SupervisorOptions {
  memory: EngineMemory;
  anchor: ClockAnchor;
  spins: number;
  stallMs: number;
  /** The front's own view of a worker, used to put its rings in order after a death. */
  shardOf: (worker: number) => Shard;
  log: Log;
  /** Called after a worker was replaced, so that replies written on its behalf are sent. */
  wake: () => void;
  /** Called with a segment that was fenced off, when a new thread runs in place of the dead one. */
  onFenced: (segment: number) => void;
  /** Called when a worker cannot be kept alive; the server must end. */
  onHopeless: (reason: string) => void;
}

/** So many replacements of one worker within a minute mean that replacing it does not help. */
const MOST_REPLACEMENTS = 10;
const REPLACEMENT_WINDOW_MS = 60_000;
const CHECKS_PER_STALL = 4;
/** A thread that starts has its code to load before its heart beats, which a busy machine may draw out. */
const START_MS = 60_000;

interface Watched {
  thread: Worker;
  readonly heartbeat: Heartbeat;
  ended: boolean;
  replacements: number[];
}

/** Starts the worker threads, watches their heartbeats, and puts a new thread in the place of one that died or stalls. */
export class Supervisor {
  private readonly options: SupervisorOptions;
  private readonly watched: Watched[] = [];
  private readonly controls: Int32Array[];
  private readonly checkMs: number;
  private readonly startChecks: number;
  private timer: NodeJS.Timeout | undefined;
  private stopping = false;

  constructor(options: SupervisorOptions) {
    this.options = options;
    this.controls = options.memory.workers.map(controlOf);
    this.checkMs = Math.ceil(options.stallMs / CHECKS_PER_STALL);
    this.startChecks = Math.ceil(START_MS / this.checkMs);
  }

  /** Starts all threads; resolves when they run. */
  async start(): Promise<void> {
    const { workers } = this.options.memory;
    for (let worker = 0; worker < workers.length; worker++) {
      this.watched.push({
        thread: this.spawn(worker),
        heartbeat: new Heartbeat(this.controls[worker] as Int32Array, Control.HEARTBEAT, this.startChecks),
        ended: false,
        replacements: [],
      });
    }
    await Promise.all(this.watched.map((watched) => online(watched.thread)));
    this.timer = setInterval(() => this.check(), this.checkMs);
    this.timer.unref();
  }

  /** Lets every worker finish what is in its ring, then ends. Those not done after `timeoutMs` are terminated. */
  async stop(timeoutMs: number): Promise<void> {
    this.stopping = true;
    clearInterval(this.timer);
    const ends = this.watched.map((watched, worker) => {
      const control = this.controls[worker] as Int32Array;
      const own = this.options.memory.workers[worker];
      Atomics.store(control, Control.STOP, 1);
      if (own !== undefined) new Doorbell(own.sab, own.doorbell).ring();
      return watched.ended
        ? undefined
        : new Promise<void>((resolve) => watched.thread.once('exit', () => resolve()));
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([Promise.all(ends), late]);
    clearTimeout(timer);
    await Promise.all(this.watched.map((watched) => watched.thread.terminate()));
  }

  private spawn(worker: number): Worker {
    const { memory, anchor, spins } = this.options;
    const thread = new Worker(threadUrl('shard'), {
      name: `shard-${worker}`,
      workerData: { memory, worker, anchor, spins },
    });
    let error: Error | undefined;
    thread.once('error', (thrown) => {
      error = thrown instanceof Error ? thrown : new Error(String(thrown));
    });
    thread.once('exit', (code) =>
      this.exited(worker, thread, error?.stack ?? `the thread ended with code ${code}`),
    );
    return thread;
  }

  private check(): void {
    for (let worker = 0; worker < this.watched.length; worker++) {
      const watched = this.watched[worker] as Watched;
      if (watched.ended) continue;
      if (watched.heartbeat.look() < CHECKS_PER_STALL) continue;
      watched.heartbeat.restart(0);
      const detail = `no heartbeat for ${this.options.stallMs} ms`;
      this.options.log({ event: 'worker-stalled', worker, detail });
      // The thread may be in the middle of a store; only when it has ended for certain is its memory taken over, in exited().
      void watched.thread.terminate();
    }
  }

  private exited(worker: number, thread: Worker, detail: string): void {
    const watched = this.watched[worker];
    if (watched === undefined || watched.thread !== thread) return;
    watched.ended = true;
    if (this.stopping) return;
    const control = this.controls[worker] as Int32Array;
    let fencedSegment = -1;
    const shard = this.options.shardOf(worker);
    // The front is this thread, so nobody else holds the lease now but the dead.
    if (Atomics.load(control, Control.LEASE) === Lease.WORKER) {
      fencedSegment = shard.adopt(Lease.FRONT);
      shard.release();
    }
    this.options.log({ event: 'worker-died', worker, fencedSegment, detail });
    const now = performance.now();
    watched.replacements = watched.replacements.filter((at) => now - at < REPLACEMENT_WINDOW_MS);
    if (watched.replacements.length >= MOST_REPLACEMENTS) {
      this.options.onHopeless(
        `worker ${worker} died ${MOST_REPLACEMENTS + 1} times within a minute; the last time: ${detail}`,
      );
      return;
    }
    watched.replacements.push(now);
    watched.thread = this.spawn(worker);
    watched.ended = false;
    watched.heartbeat.restart(this.startChecks);
    this.options.log({ event: 'worker-replaced', worker, fencedSegment });
    this.options.wake();
    if (fencedSegment >= 0) this.options.onFenced(fencedSegment);
  }
}

function online(thread: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    thread.once('online', resolve);
    thread.once('error', reject);
  });
}
