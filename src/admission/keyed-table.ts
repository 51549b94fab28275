import { assert } from '../base/assert.ts';
import { mix } from '../base/hash.ts';
import { type EntryViews, HEAD_WORDS, Head, RING_HEADS, RING_WORDS } from './entry-layout.ts';

/**
 * What is known of keys of 64 bits, in shared memory that never grows: sets of eight entries, as a processor's cache has them. A key that
 * finds its set full takes the place of the one that was not asked for the longest, which is then as if it had never come.
 *
 * Every set has a lock, which fronts hold for some hundred nanoseconds, and which a single front does without. A front that cannot have
 * it within some microseconds (the system has put the other front's thread aside) goes on without the entry: a limit is then passed
 * by one command rather than all commands held up by one thread.
 */
export class KeyedTable implements EntryViews {
  readonly i32: Int32Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly ringsAt: number;
  private readonly setMask: number;
  private readonly seed: number;
  private readonly shared: boolean;
  private readonly headsAt: number;
  /** Lock that this front holds, or -1. */
  private held = -1;

  /** @param shared whether other fronts use the same memory */
  constructor({ sab, seed }: TableMemory, shared: boolean) {
    this.i32 = new Int32Array(sab);
    this.f32 = new Float32Array(sab);
    this.f64 = new Float64Array(sab);
    const sets = this.i32[Control.SETS] as number;
    this.setMask = sets - 1;
    this.seed = seed;
    this.shared = shared;
    this.headsAt = headsAt(sets);
    this.ringsAt = ringsAt(sets) - RING_HEADS * this.headsAt;
  }

  /**
   * The entry of a key, a new one if there is none, as the index of its head's first word; -1 when another front has it for too long. The
   * caller says release() before it asks for another.
   */
  claim(lo: number, hi: number, nowMs: number): number {
    const { i32 } = this;
    const hash = mix(lo ^ this.seed) ^ hi;
    const set = hash & this.setMask;
    if (this.shared && !this.lock(set)) return -1;
    const heads = this.headsAt + set * SET_WORDS;
    const used = nowMs | 1;
    // Keys begin to look at different ways, so that most are found at once.
    let at = (hash >>> 28) * HEAD_WORDS;
    for (let i = 0; i < WAYS; i++, at += HEAD_WORDS) {
      const head = heads + (at & (SET_WORDS - 1));
      // A free head is one of zeros, and as good as any to the key that is zero.
      if (i32[head] !== lo || i32[head + Head.KEY_HI] !== hi) continue;
      i32[head + Head.USED_MS] = used;
      return head;
    }
    const head = this.victim(heads, at, nowMs);
    i32.fill(0, head, head + HEAD_WORDS);
    i32[head + Head.KEY_LO] = lo;
    i32[head + Head.KEY_HI] = hi;
    i32[head + Head.USED_MS] = used;
    return head;
  }

  /** Lets others at what was claimed last. */
  release(): void {
    if (this.held < 0) return;
    Atomics.store(this.i32, this.held, 0);
    this.held = -1;
  }

  /** Entries that had to go for others, and commands that were let through without being counted, since the start, in all fronts. */
  get evictions(): number {
    return Atomics.load(this.i32, Control.EVICTIONS) >>> 0;
  }

  get uncounted(): number {
    return Atomics.load(this.i32, Control.UNCOUNTED) >>> 0;
  }

  private lock(set: number): boolean {
    assert(this.held < 0, 'one entry of a table is claimed at a time');
    const at = LOCKS_AT + set;
    for (let turn = 0; turn < LOCK_TURNS; turn++) {
      if (Atomics.compareExchange(this.i32, at, 0, 1) === 0) {
        this.held = at;
        return true;
      }
    }
    Atomics.add(this.i32, Control.UNCOUNTED, 1);
    return false;
  }

  /** A head that is free, or the one that was used the longest ago. */
  private victim(heads: number, first: number, nowMs: number): number {
    let oldest = heads;
    let oldestAge = -1;
    for (let i = 0, at = first; i < WAYS; i++, at += HEAD_WORDS) {
      const head = heads + (at & (SET_WORDS - 1));
      const used = this.i32[head + Head.USED_MS] as number;
      if (used === 0) return head;
      // One that seems to lie ahead by weeks is the oldest of all.
      const age = (nowMs - used + 1) >>> 0;
      if (age > oldestAge) {
        oldestAge = age;
        oldest = head;
      }
    }
    Atomics.add(this.i32, Control.EVICTIONS, 1);
    return oldest;
  }
}

/** Can be handed to a thread as it is. */
export interface TableMemory {
  readonly sab: SharedArrayBuffer;
  /** Nobody who chooses keys, such as names of SKUs, can choose them for one set without knowing it. */
  readonly seed: number;
}

/** Memory for at least `keys` keys. Pages that no key has touched cost nothing. */
export function allocateTable(keys: number, seed: number): TableMemory {
  const sets = 2 ** Math.ceil(Math.log2(Math.max(1, keys / WAYS)));
  const sab = new SharedArrayBuffer(4 * (ringsAt(sets) + sets * WAYS * RING_WORDS));
  new Int32Array(sab)[Control.SETS] = sets;
  return { sab, seed };
}

/** Entries of a set. */
export const WAYS = 8;
const SET_WORDS = WAYS * HEAD_WORDS;
/** Words at the beginning of the memory; the locks of the sets follow, then the heads, then the rings. */
const Control = { SETS: 0, EVICTIONS: 1, UNCOUNTED: 2 } as const;
const LOCKS_AT = 16;
/** Tries to get a lock: some 5 µs. */
const LOCK_TURNS = 400;

/** On a cache line of its own. */
function headsAt(sets: number): number {
  return LOCKS_AT + Math.max(sets, 16);
}

function ringsAt(sets: number): number {
  return headsAt(sets) + sets * SET_WORDS;
}
