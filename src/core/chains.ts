import type { SegmentMemory } from './layout.ts';

/** Where a chained table lies and which header words count it. */
export interface ChainsPlace {
  readonly buckets: number;
  /** Most buckets less one, which is a power of two less one. */
  readonly mask: number;
  readonly entries: number;
  readonly words: number;
  readonly capacity: number;
  /** Field of an entry that links its chain, or the free list. */
  readonly chain: number;
  readonly free: number;
  readonly fresh: number;
  readonly count: number;
  /** Buckets that were added to the first ones. */
  readonly grown: number;
  /** The hash of an entry, given its word offset. */
  readonly hashAt: (at: number) => number;
}

/** Buckets of an empty table: a cache line. */
const FIRST_BUCKETS = 16;

/**
 * A hash table of fixed-size entries with chaining. Chains rather than open addressing, because holds point at
 * their entries, which therefore must not move when others go.
 *
 * It grows by linear hashing (Litwin, 1980): as long as there are more entries than buckets, each new entry first has one bucket's chain
 * split into two, in the order of the buckets. So few entries lie on few cache lines, and no entry waits for all to be moved.
 */
export class Chains {
  readonly i32: Int32Array;
  private readonly place: ChainsPlace;

  constructor(memory: SegmentMemory, place: ChainsPlace) {
    this.i32 = memory.i32;
    this.place = place;
  }

  get count(): number {
    return this.i32[this.place.count] as number;
  }

  get full(): boolean {
    return this.i32[this.place.free] === 0 && (this.i32[this.place.fresh] as number) >= this.place.capacity;
  }

  /** Word offset of an entry. */
  at(entry: number): number {
    return this.place.entries + entry * this.place.words;
  }

  /** First entry of a hash's chain, or -1. */
  first(hash: number): number {
    return (this.i32[this.bucketOf(hash)] as number) - 1;
  }

  /** Next entry of the chain, or -1. */
  next(entry: number): number {
    return (this.i32[this.at(entry) + this.place.chain] as number) - 1;
  }

  /** Takes an entry and links it first in its chain. Only when not full. Other fields hold what was there. */
  add(hash: number): number {
    const i32 = this.i32;
    const place = this.place;
    let entry = (i32[place.free] as number) - 1;
    if (entry >= 0) {
      i32[place.free] = i32[this.at(entry) + place.chain] as number;
    } else {
      entry = i32[place.fresh] as number;
      i32[place.fresh] = entry + 1;
    }
    this.restore(hash, entry);
    return entry;
  }

  /** Links an entry that was put into its place, as add() does with one that it takes. */
  restore(hash: number, entry: number): void {
    const i32 = this.i32;
    const place = this.place;
    if ((i32[place.count] as number) >= this.buckets) this.grow();
    const bucket = this.bucketOf(hash);
    i32[this.at(entry) + place.chain] = i32[bucket] as number;
    i32[bucket] = entry + 1;
    i32[place.count] = (i32[place.count] as number) + 1;
  }

  /** Makes an entry free that was put into its place and is none. */
  free(entry: number): void {
    const i32 = this.i32;
    const place = this.place;
    i32[this.at(entry) + place.chain] = i32[place.free] as number;
    i32[place.free] = entry + 1;
  }

  remove(hash: number, entry: number): void {
    const i32 = this.i32;
    const place = this.place;
    let link = this.bucketOf(hash);
    while (i32[link] !== entry + 1) link = this.at((i32[link] as number) - 1) + place.chain;
    const chain = this.at(entry) + place.chain;
    i32[link] = i32[chain] as number;
    this.free(entry);
    i32[place.count] = (i32[place.count] as number) - 1;
  }

  private get buckets(): number {
    return FIRST_BUCKETS + (this.i32[this.place.grown] as number);
  }

  /** Word of the bucket of a hash: that of its lower bits, as many as all buckets need, or of one bit less where there is none yet. */
  private bucketOf(hash: number): number {
    const { buckets } = this;
    const mask = -1 >>> Math.clz32(buckets - 1);
    const bucket = hash & mask;
    return this.place.buckets + (bucket < buckets ? bucket : bucket & (mask >>> 1));
  }

  /** Adds a bucket, and moves the entries there that belong to it: all come from one other. */
  private grow(): void {
    const { i32, place, buckets } = this;
    if (buckets > place.mask) return;
    const mask = -1 >>> Math.clz32(buckets);
    i32[place.grown] = (i32[place.grown] as number) + 1;
    i32[place.buckets + buckets] = 0;
    let link = place.buckets + (buckets & (mask >>> 1));
    for (let next = i32[link] as number; next !== 0; next = i32[link] as number) {
      const at = this.at(next - 1);
      const chain = at + place.chain;
      if ((place.hashAt(at) & mask) === buckets) {
        i32[link] = i32[chain] as number;
        i32[chain] = i32[place.buckets + buckets] as number;
        i32[place.buckets + buckets] = next;
      } else {
        link = chain;
      }
    }
  }
}
