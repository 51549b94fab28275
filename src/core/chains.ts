import type { SegmentMemory } from './layout.ts';

/** Where a chained table lies and which header words count it. */
export interface ChainsPlace {
  readonly buckets: number;
  readonly mask: number;
  readonly entries: number;
  readonly words: number;
  readonly capacity: number;
  /** Field of an entry that links its chain, or the free list. */
  readonly chain: number;
  readonly free: number;
  readonly fresh: number;
  readonly count: number;
}

/**
 * A hash table of fixed-size entries with chaining. Chains rather than open addressing, because holds point at
 * their entries, which therefore must not move when others go.
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
    return (this.i32[this.place.buckets + (hash & this.place.mask)] as number) - 1;
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
    const bucket = place.buckets + (hash & place.mask);
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
    let link = place.buckets + (hash & place.mask);
    while (i32[link] !== entry + 1) link = this.at((i32[link] as number) - 1) + place.chain;
    const chain = this.at(entry) + place.chain;
    i32[link] = i32[chain] as number;
    this.free(entry);
    i32[place.count] = (i32[place.count] as number) - 1;
  }
}
