import { BUCKETS } from './stage-histogram.ts';
import { STAGES } from './stage-report.ts';

/**
 * Where the stage clocks keep what they read. One buffer for each front; every cell has one writer at a time:
 *
 *     header      how many commands one sample stands for; the front's busy, idle and CPU time
 *     slots       for each command that is being timed, when it passed which point; a command carries its slot's number along
 *     histograms  for each worker and stage: the sum of times, then the buckets
 *
 * and one buffer for the other threads: how long each was busy, and when the storage thread published what.
 *
 * Points in time are µs of the clock that all threads share, modulo 2^32: 71 minutes, more than any command is under way.
 */
export interface StageMemory {
  /** For each front. */
  readonly fronts: readonly SharedArrayBuffer[];
  readonly threads: SharedArrayBuffer;
  readonly workers: number;
}

/** Slot 0 stands for a command that is not timed. The slot's number has eight bits in a record's info. */
export const SLOTS = 256;
/** Words of a slot: the points that a command passes, in order; and its worker. Alone on its cache line. */
export const Slot = {
  ARRIVED: 0,
  PUBLISHED: 1,
  TAKEN: 2,
  REPLIED: 3,
  DURABLE: 4,
  WORKER: 5,
  WORDS: 16,
} as const;

const HEADER_BYTES = 128;
const HISTOGRAMS_OFFSET = HEADER_BYTES + SLOTS * Slot.WORDS * 4;
const THREAD_WORDS = 16;
const HISTOGRAM_WORDS = 1 + BUCKETS;
/** Publications that the storage thread remembers. The front is rarely more than a few behind. */
const PUBLICATIONS = 16;

/** Memory for the clocks of so many fronts and workers. */
export function allocateStages(fronts: number, workers: number): StageMemory {
  const frontBytes = HISTOGRAMS_OFFSET + workers * STAGES.length * HISTOGRAM_WORDS * 8;
  const threadBytes = (workers + 1) * THREAD_WORDS * 8;
  return {
    fronts: Array.from({ length: fronts }, () => new SharedArrayBuffer(frontBytes)),
    threads: new SharedArrayBuffer(threadBytes + 128 + PUBLICATIONS * (1 + workers) * 4),
    workers,
  };
}

/** Views of one front's buffer. */
export class FrontStages {
  /** sampledOneIn. */
  readonly header: Int32Array;
  /** Busy, idle and CPU time of the front's thread, µs. */
  readonly times: Float64Array;
  readonly slots: Int32Array;
  private readonly sab: SharedArrayBuffer;

  constructor(memory: StageMemory, front: number) {
    const sab = memory.fronts[front];
    if (sab === undefined) throw new RangeError(`there is no front ${front}`);
    this.sab = sab;
    this.header = new Int32Array(sab, 0, 1);
    this.times = new Float64Array(sab, 8, 3);
    this.slots = new Int32Array(sab, HEADER_BYTES, SLOTS * Slot.WORDS);
  }

  /** For a worker, the histograms of all stages one behind the other, HISTOGRAM_WORDS each. */
  histograms(worker: number): Float64Array {
    const words = STAGES.length * HISTOGRAM_WORDS;
    return new Float64Array(this.sab, HISTOGRAMS_OFFSET + worker * words * 8, words);
  }
}

/** Where a stage's histogram begins among a worker's: its sum, then its buckets. */
export function histogramStart(stage: number): number {
  return stage * HISTOGRAM_WORDS;
}

/** What a worker's thread, or the storage thread, did with its time, in µs; CPU is what it had a core for. */
export const ThreadTime = { STARTED: 0, BUSY: 1, IO: 2, IO_KIND: 3, CPU: 4 } as const;
export const IoKind = { DISK: 0, NETWORK: 1 } as const;

/** View of a thread's times: of a worker by its number, of the storage thread by the number of workers. */
export function threadTimes(memory: StageMemory, thread: number): Float64Array {
  return new Float64Array(memory.threads, thread * THREAD_WORDS * 8, THREAD_WORDS);
}

/**
 * The storage thread's last publications: when each was, and up to where each worker's events were durable by it. A front that looks
 * up when a reply's change became durable may read a row that is being overwritten; then one sample is wrong by a little.
 */
export class Publications {
  private readonly words: Int32Array;
  private readonly stride: number;

  constructor(memory: StageMemory) {
    const offset = (memory.workers + 1) * THREAD_WORDS * 8;
    this.words = new Int32Array(memory.threads, offset);
    this.stride = 1 + memory.workers;
  }

  /** Notes one more. The positions follow by `note`, before they are published. */
  begin(nowUs: number): void {
    const count = (this.words[0] as number) + 1;
    this.words[0] = count | 0;
    this.words[this.row(count)] = nowUs;
  }

  note(worker: number, position: number): void {
    this.words[this.row(this.words[0] as number) + 1 + worker] = position;
  }

  /**
   * When a worker's events became durable up to a position which they have reached by now: the time of the first publication that said so.
   * `otherwiseUs` when there was none, since the position is where the ring began.
   */
  reachedUs(worker: number, position: number, otherwiseUs: number): number {
    const { words } = this;
    const last = words[0] as number;
    if (last === 0) return otherwiseUs;
    let reachedUs = words[this.row(last)] as number;
    for (let back = 1; back < PUBLICATIONS; back++) {
      const row = this.row(last - back);
      // A row that was never written has the position 0 and the time 0.
      if (last >= 0 && back >= last) break;
      if ((((words[row + 1 + worker] as number) - position) | 0) < 0) break;
      reachedUs = words[row] as number;
    }
    return reachedUs;
  }

  private row(count: number): number {
    return 32 + (count & (PUBLICATIONS - 1)) * this.stride;
  }
}
