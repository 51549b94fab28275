import { mix } from '../base/hash.ts';
import { Chains } from './chains.ts';
import { Header, Holder, type SegmentLayout, type SegmentMemory } from './layout.ts';

/** Units that a holder has of a SKU, held and bought, for SKUs with a limit per holder. */
export class HolderTable {
  private readonly chains: Chains;
  private readonly i32: Int32Array;

  constructor(memory: SegmentMemory, layout: SegmentLayout, capacity: number) {
    this.i32 = memory.i32;
    this.chains = new Chains(memory, {
      buckets: layout.holderBuckets,
      mask: layout.holderMask,
      entries: layout.holders,
      words: Holder.WORDS,
      capacity,
      chain: Holder.CHAIN,
      free: Header.HOLDER_FREE,
      fresh: Header.HOLDER_FRESH,
      count: Header.HOLDER_COUNT,
      grown: Header.HOLDER_GROWN,
      hashAt: (at) => this.hashOf(at),
    });
  }

  get count(): number {
    return this.chains.count;
  }

  get full(): boolean {
    return this.chains.full;
  }

  /** Entry of a holder and SKU, or -1. */
  find(sku: number, lo: number, hi: number): number {
    let entry = this.chains.first(hash(sku, lo, hi));
    while (entry >= 0) {
      if (this.isOf(entry, sku, lo, hi)) return entry;
      entry = this.chains.next(entry);
    }
    return -1;
  }

  units(entry: number): number {
    return this.i32[this.chains.at(entry) + Holder.UNITS] as number;
  }

  /** Adds an entry without units. Only when not full. */
  add(sku: number, lo: number, hi: number): number {
    const entry = this.chains.add(hash(sku, lo, hi));
    const at = this.chains.at(entry);
    this.i32[at + Holder.SKU] = sku;
    this.i32[at + Holder.LO] = lo;
    this.i32[at + Holder.HI] = hi;
    this.i32[at + Holder.UNITS] = 0;
    return entry;
  }

  /** Makes chains and free list, which are empty, of the first `fresh` entries, put into their places. One without units is free. */
  rebuild(fresh: number): void {
    const i32 = this.i32;
    for (let entry = 0; entry < fresh; entry++) {
      const at = this.chains.at(entry);
      if ((i32[at + Holder.UNITS] as number) <= 0) this.chains.free(entry);
      else this.chains.restore(this.hashOf(at), entry);
    }
  }

  /** Whether the entry counts the units of this SKU and holder. */
  isOf(entry: number, sku: number, lo: number, hi: number): boolean {
    const { i32 } = this;
    const at = this.chains.at(entry);
    return i32[at + Holder.SKU] === sku && i32[at + Holder.LO] === lo && i32[at + Holder.HI] === hi;
  }

  /** Changes an entry's units; one that reaches none is given back. */
  change(entry: number, by: number): void {
    const at = this.chains.at(entry);
    const units = (this.i32[at + Holder.UNITS] as number) + by;
    this.i32[at + Holder.UNITS] = units;
    if (units > 0) return;
    this.chains.remove(this.hashOf(at), entry);
  }

  private hashOf(at: number): number {
    const i32 = this.i32;
    const { SKU, LO, HI } = Holder;
    return hash(i32[at + SKU] as number, i32[at + LO] as number, i32[at + HI] as number);
  }
}

function hash(sku: number, lo: number, hi: number): number {
  return mix(lo ^ Math.imul(hi, 0x9e3779b1) ^ Math.imul(sku, 0x85ebca77));
}
