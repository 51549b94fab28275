import { RETRY_LATER_MS, SLOT_BITS } from '../../protocol/limits.ts';
import { assert } from '../base/assert.ts';
import { HoldTable } from './hold-table.ts';
import { HolderTable } from './holder-table.ts';
import { KeyTable } from './key-table.ts';
import {
  Fence,
  Header,
  Hold,
  layoutSegment,
  type SegmentMemory,
  type SegmentOptions,
  Sku,
  viewSegment,
} from './layout.ts';
import { Piles } from './piles.ts';
import { SkuTable } from './sku-table.ts';
import { Wheel } from './wheel.ts';

/** One for all segments of a thread: an operation on one of many finds it in the first-level cache. */
const OUT = new Float64Array(12);

/** A segment's memory as tables, and what its header and its holds' ids tell. Changes nothing but the time and the fence. */
export class SegmentTables {
  readonly number: number;
  readonly options: SegmentOptions;
  readonly memory: SegmentMemory;
  readonly skus: SkuTable;
  readonly holds: HoldTable;
  readonly keys: KeyTable;
  readonly holders: HolderTable;
  readonly piles: Piles;
  readonly wheel: Wheel;
  /** Results of the last operation, of whichever segment. */
  readonly out = OUT;
  holdLo = 0;
  holdHi = 0;
  protected readonly i32: Int32Array;
  protected readonly f64: Float64Array;
  /** Takes what was only loaded to warm the cache, so that the loads are not optimised away. */
  protected touched = 0;

  /** @param sab memory of segmentBytes(options) bytes */
  constructor(number: number, options: SegmentOptions, sab: SharedArrayBuffer) {
    const layout = layoutSegment(options);
    assert(sab.byteLength >= layout.bytes, 'the memory is large enough for the segment');
    this.number = number;
    this.options = options;
    this.memory = viewSegment(sab);
    this.i32 = this.memory.i32;
    this.f64 = this.memory.f64;
    this.skus = new SkuTable(this.memory, layout, options.skus);
    this.holds = new HoldTable(this.memory, layout, options);
    this.keys = new KeyTable(this.memory, layout, options);
    this.holders = new HolderTable(this.memory, layout, options.holders);
    this.piles = new Piles(this.memory, layout);
    this.wheel = new Wheel(this.memory, layout);
  }

  get openHolds(): number {
    return this.i32[Header.OPEN_HOLDS] as number;
  }

  /** Log sequence number: how many changes of state there were. */
  get lsn(): number {
    return this.f64[Header.LSN_F64] as number;
  }

  /** Its low 32 bits: a small integer, which costs a command nothing. */
  get lsnLow(): number {
    return (this.f64[Header.LSN_F64] as number) | 0;
  }

  get fenced(): boolean {
    return this.i32[Header.FENCED] !== Fence.NONE;
  }

  /**
   * Takes the segment out of service (a Fence value): its tables may be in the middle of a change, before which it had the LSN whose low 32
   * bits are given.
   */
  fence(fence: number, lsnLow = 0): void {
    this.i32[Header.FENCED_LSN] = lsnLow;
    this.i32[Header.FENCED] = fence;
  }

  /** What fence() was told of the LSN. */
  get fencedLsnLow(): number {
    return this.i32[Header.FENCED_LSN] as number;
  }

  /** How long somebody had better wait who was turned away by the fence, ms; 0 when that does not help. */
  get retryAfterMs(): number {
    return this.i32[Header.FENCED] === Fence.UNTIL_REBUILT ? RETRY_LATER_MS : 0;
  }

  /** Puts a segment that was rebuilt back into service. Whoever sees it in service sees all that was written before. */
  unfence(): void {
    Atomics.store(this.i32, Header.FENCED, Fence.NONE);
  }

  /** The slot of a hold's id, whoever holds it, or -1 when it is forgotten or never was. */
  slotOf(lo: number, hi: number): number {
    const slot = lo & ((1 << SLOT_BITS) - 1);
    if (lo >>> SLOT_BITS !== this.number) return -1;
    if (slot >= this.holds.used || this.holds.generation(slot) !== hi) return -1;
    return slot;
  }

  /**
   * The slot of a holder's hold, or -1. The holder's words 0, 0, which no holder has, stand for whoever holds it: so asks who may
   * administer. What is done then still counts for the hold's own holder.
   */
  protected find(lo: number, hi: number, holderLo: number, holderHi: number): number {
    const slot = this.slotOf(lo, hi);
    if (slot < 0 || (holderLo | holderHi) === 0) return slot;
    const hold = this.holds.at(slot);
    const mine = this.i32[hold + Hold.HOLDER_LO] === holderLo && this.i32[hold + Hold.HOLDER_HI] === holderHi;
    return mine ? slot : -1;
  }

  /** The longest time to live that the SKU and the server both allow. */
  protected longestTtl(record: number): number {
    const ofSku = this.i32[record + Sku.MAX_TTL_MS] as number;
    const ofServer = this.options.maxHoldLifeMs;
    return ofSku === 0 || ofSku > ofServer ? ofServer : ofSku;
  }

  /**
   * Moves the segment's time on to `at`, and never back, whoever's clock it is. Everything below reads it from the header: a time
   * that is passed on from call to call would be a new number object in each of them.
   */
  protected setTime(at: number): void {
    if (at > (this.f64[Header.NOW_F64] as number)) this.f64[Header.NOW_F64] = at;
  }
}
