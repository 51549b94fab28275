import { SkuHash } from '../base/hash.ts';
import { Header, type SegmentLayout, type SegmentMemory, Sku } from './layout.ts';

/**
 * SKUs of a segment by name: open addressing with linear probing. A place of the index is one word, the record's number + 1
 * and above it a tag of ten bits of the hash, by which a search passes most others' records unread; 0 is a free place. Records
 * are never removed. The index begins small and doubles as SKUs come, within the room reserved for it: few SKUs then lie on few
 * pages, where an index sized for the capacity would cost a miss of the TLB for each of them.
 */
export class SkuTable {
  private readonly i32: Int32Array;
  private readonly u8: Uint8Array;
  private readonly index: number;
  private readonly records: number;
  private readonly capacity: number;

  constructor(memory: SegmentMemory, layout: SegmentLayout, capacity: number) {
    this.i32 = memory.i32;
    this.u8 = memory.u8;
    this.index = layout.skuIndex;
    this.records = layout.skus;
    this.capacity = capacity;
  }

  /** Word offset of a record. */
  at(sku: number): number {
    return this.records + sku * Sku.WORDS;
  }

  get count(): number {
    return this.i32[Header.SKU_COUNT] as number;
  }

  /** Record number of a name, or -1. The hash is that of SkuHash. */
  find(lo: number, hi: number, u8: Uint8Array, start: number, length: number): number {
    const i32 = this.i32;
    const mask = this.mask;
    let probe = lo & mask;
    for (;;) {
      const place = i32[this.index + probe] as number;
      if (place === 0) return -1;
      const sku = placeSku(place);
      if ((place & ~NUMBER) === hi << TAG_SHIFT && this.named(sku, u8, start, length)) return sku;
      probe = (probe + 1) & mask;
    }
  }

  /** Adds a name that find() did not find. Returns its record number, all counts zero, or -1 when the table is full. */
  add(lo: number, hi: number, u8: Uint8Array, start: number, length: number): number {
    const i32 = this.i32;
    const sku = i32[Header.SKU_COUNT] as number;
    if (sku >= this.capacity) return -1;
    if (sku * 2 > this.mask) this.grow();
    const record = this.at(sku);
    i32[record + Sku.NAME] = length;
    const name = (record + Sku.NAME_WORD) * 4;
    for (let i = 0; i < length; i++) this.u8[name + i] = u8[start + i] as number;
    this.link(lo, hi, sku);
    i32[Header.SKU_COUNT] = sku + 1;
    return sku;
  }

  /** Byte offset of a record's name in the segment's memory. */
  nameStart(sku: number): number {
    return (this.at(sku) + Sku.NAME_WORD) * 4;
  }

  nameBytes(sku: number): number {
    return (this.i32[this.at(sku) + Sku.NAME] as number) & 0xff;
  }

  private get mask(): number {
    return indexMask(this.i32);
  }

  /** Doubles the index and links every record anew: some 30 ns for each, when the next SKU is made. */
  private grow(): void {
    const i32 = this.i32;
    i32.fill(0, this.index, this.index + this.mask + 1);
    i32[Header.SKU_INDEX_DOUBLED] = (i32[Header.SKU_INDEX_DOUBLED] as number) + 1;
    this.linkAll();
  }

  /** Makes the index, which is zero, of records that were put into their places. */
  rebuild(): void {
    const i32 = this.i32;
    i32[Header.SKU_INDEX_DOUBLED] = 0;
    while ((this.count - 1) * 2 > this.mask) {
      i32[Header.SKU_INDEX_DOUBLED] = (i32[Header.SKU_INDEX_DOUBLED] as number) + 1;
    }
    this.linkAll();
  }

  private linkAll(): void {
    for (let sku = 0; sku < this.count; sku++) {
      hash.run(this.u8, this.nameStart(sku), this.nameBytes(sku));
      this.link(hash.lo, hash.hi, sku);
    }
  }

  private link(lo: number, hi: number, sku: number): void {
    const i32 = this.i32;
    const mask = this.mask;
    let probe = lo & mask;
    while (i32[this.index + probe] !== 0) probe = (probe + 1) & mask;
    i32[this.index + probe] = (hi << TAG_SHIFT) | (sku + 1);
  }

  private named(sku: number, u8: Uint8Array, start: number, length: number): boolean {
    const record = this.at(sku);
    if (((this.i32[record + Sku.NAME] as number) & 0xff) !== length) return false;
    const name = (record + Sku.NAME_WORD) * 4;
    for (let i = 0; i < length; i++) {
      if (this.u8[name + i] !== u8[start + i]) return false;
    }
    return true;
  }
}

/** Places of a segment's index less one: a search begins at these bits of the hash's low word. Zero in the header stands for the smallest. */
export function indexMask(i32: Int32Array): number {
  return ((MIN_INDEX << (i32[Header.SKU_INDEX_DOUBLED] as number)) - 1) | 0;
}

/** The record number in a place of the index, or -1. */
export function placeSku(place: number): number {
  return (place & NUMBER) - 1;
}

/** The segment follows from the upper bits of `hi` and the place from `lo`, so the tag takes the lower bits of `hi`. */
const TAG_SHIFT = 22;
const NUMBER = (1 << TAG_SHIFT) - 1;
/** Places of the smallest index; powerOfTwo() in layout.ts makes no smaller table either. */
const MIN_INDEX = 16;
const hash = new SkuHash();
