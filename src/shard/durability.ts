import { DATA_OFFSET, TAIL_WORD } from '../ring/layout.ts';
import { durableWord, type EngineMemory, storageControlOf } from './memory.ts';

/**
 * Up to where each worker's events are durable, as whoever waits for it sees it. Positions are those of the event rings, int32 modulo 2^32.
 * Without a store everything always is.
 */
export class Durability {
  private readonly control: Int32Array | undefined;
  private readonly rings: readonly Int32Array[];
  /** Durable position at the last progress of each worker's events, and when that was; 0 before the first look. */
  private readonly seen: Int32Array;
  private readonly seenAtMs: Float64Array;

  constructor(memory: EngineMemory) {
    const { storage, workers } = memory;
    this.control = storage && storageControlOf(storage);
    this.rings = storage ? workers.map((own) => new Int32Array(own.sab, own.events, DATA_OFFSET >> 2)) : [];
    this.seen = new Int32Array(workers.length);
    this.seenAtMs = new Float64Array(workers.length);
  }

  /** The position up to which a worker's events are durable. */
  position(worker: number): number {
    return this.control === undefined ? 0 : Atomics.load(this.control, durableWord(worker));
  }

  /** Whether a worker's events are durable up to a position. */
  reached(worker: number, position: number): boolean {
    return this.control === undefined || ((this.position(worker) - position) | 0) >= 0;
  }

  /** Bytes of a worker's events, written and not durable. */
  lagBytes(worker: number): number {
    const ring = this.rings[worker];
    // The position first: the tail never falls behind it.
    const durable = this.position(worker);
    return ring === undefined ? 0 : (Atomics.load(ring, TAIL_WORD) - durable) >>> 0;
  }

  /**
   * Whether some worker's events have waited for `stallMs` without any of them becoming durable. To be asked regularly, with a
   * monotonic time.
   */
  stalled(nowMs: number, stallMs: number): boolean {
    let stalled = false;
    for (let worker = 0; worker < this.rings.length; worker++) {
      const durable = this.position(worker);
      const waits = Atomics.load(this.rings[worker] as Int32Array, TAIL_WORD) !== durable;
      if (!waits || durable !== this.seen[worker] || this.seenAtMs[worker] === 0) {
        this.seen[worker] = durable;
        this.seenAtMs[worker] = nowMs;
      } else if (nowMs - (this.seenAtMs[worker] as number) >= stallMs) {
        stalled = true;
      }
    }
    return stalled;
  }
}
