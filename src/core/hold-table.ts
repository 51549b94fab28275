import { MAX_GENERATION } from '../../protocol/limits.ts';
import { HoldState } from '../../protocol/ops.ts';
import { Header, Hold, type SegmentLayout, type SegmentMemory, type SegmentOptions } from './layout.ts';

/** Released and expired holds that a segment keeps to be read. */
const MOST_ENDED = 16_384;

/**
 * Slots for holds. An ended hold stays readable in its slot until the slot is used again: ended slots wait in two
 * queues, first in first out, one for released and expired holds and one for confirmed ones, which are needed longer.
 * A slot's generation goes up with every use, so that the id of a forgotten hold finds nothing.
 */
export class HoldTable {
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;
  private readonly records: number;
  private readonly options: SegmentOptions;

  constructor(memory: SegmentMemory, layout: SegmentLayout, options: SegmentOptions) {
    this.i32 = memory.i32;
    this.f64 = memory.f64;
    this.records = layout.holds;
    this.options = options;
  }

  /** Word offset of a record. */
  at(slot: number): number {
    return this.records + slot * Hold.WORDS;
  }

  /** Slots that were ever used; all that are, lie below. */
  get used(): number {
    return this.i32[Header.FRESH_HOLD] as number;
  }

  state(slot: number): number {
    return (this.i32[this.at(slot) + Hold.META] as number) & 0x0f;
  }

  generation(slot: number): number {
    return (this.i32[this.at(slot) + Hold.META] as number) >>> 8;
  }

  /** Where a hold's deadline, or the time of its end, is among the doubles. */
  endIndex(slot: number): number {
    return (this.at(slot) >> 1) + Hold.ENDS_F64;
  }

  /** Whether the deadline, or the end, was `agoMs` ago at least. */
  isOver(slot: number, agoMs: number): boolean {
    return (this.f64[this.endIndex(slot)] as number) + agoMs <= (this.f64[Header.NOW_F64] as number);
  }

  /** A hold's deadline, or the time of its end. In a command read by its place: what a call returns may be a new object. */
  endsAt(slot: number): number {
    return this.f64[this.endIndex(slot)] as number;
  }

  /**
   * A slot for a new hold, its generation raised and state HELD, or -1 when all are in use. Prefers slots whose time
   * is over, then ones never used, and forgets a released or expired hold before its time rather than refuse. Of those no more
   * are kept than MOST_ENDED or an eighth of all slots: at a high rate their slots are used again while they are still in the cache, and
   * memory does not grow to its capacity for the sake of holds that are over.
   */
  take(): number {
    const i32 = this.i32;
    const ended = i32[Header.ENDED_HEAD] as number;
    const sold = i32[Header.SOLD_HEAD] as number;
    let slot = -1;
    if (ended !== 0 && this.mayForget(ended)) {
      slot = this.shift(Header.ENDED_HEAD, ended);
    } else if (sold !== 0 && this.isOver(sold - 1, this.options.soldRetentionMs)) {
      slot = this.shift(Header.SOLD_HEAD, sold);
    } else if ((i32[Header.FRESH_HOLD] as number) < this.options.holds) {
      slot = i32[Header.FRESH_HOLD] as number;
      i32[Header.FRESH_HOLD] = slot + 1;
    } else if (ended !== 0) {
      slot = this.shift(Header.ENDED_HEAD, ended);
    } else {
      return -1;
    }
    this.open(slot);
    return slot;
  }

  /**
   * Takes the slot that take() chose when an event was written: the first of the ended or sold holds, or the next that was never
   * used. False, and nothing is changed, when it is none of these.
   */
  takeAgain(slot: number): boolean {
    const i32 = this.i32;
    if (i32[Header.ENDED_HEAD] === slot + 1) this.shift(Header.ENDED_HEAD, slot + 1);
    else if (i32[Header.SOLD_HEAD] === slot + 1) this.shift(Header.SOLD_HEAD, slot + 1);
    else if (slot === this.used && slot < this.options.holds) i32[Header.FRESH_HOLD] = slot + 1;
    else return false;
    this.open(slot);
    return true;
  }

  /** The generation that the slot has when it is used next. */
  nextGeneration(slot: number): number {
    const generation = this.generation(slot) + 1;
    return generation > MAX_GENERATION ? 1 : generation;
  }

  /** Whether take() would find a slot. */
  hasRoom(): boolean {
    const i32 = this.i32;
    if ((i32[Header.FRESH_HOLD] as number) < this.options.holds || i32[Header.ENDED_HEAD] !== 0) return true;
    const sold = i32[Header.SOLD_HEAD] as number;
    return sold !== 0 && this.isOver(sold - 1, this.options.soldRetentionMs);
  }

  /** Sets the state of a hold that ends now, or has ended at its deadline, and queues its slot. */
  end(slot: number, state: number): void {
    const i32 = this.i32;
    const record = this.at(slot);
    i32[record + Hold.META] = ((i32[record + Hold.META] as number) & ~0xff) | state;
    if (state !== HoldState.EXPIRED)
      this.f64[record / 2 + Hold.ENDS_F64] = this.f64[Header.NOW_F64] as number;
    const head = state === HoldState.CONFIRMED ? Header.SOLD_HEAD : Header.ENDED_HEAD;
    if (head === Header.ENDED_HEAD) i32[Header.ENDED_COUNT] = (i32[Header.ENDED_COUNT] as number) + 1;
    i32[record + Hold.PILE_NEXT] = 0;
    const tail = i32[head + 1] as number;
    if (tail === 0) i32[head] = slot + 1;
    else i32[this.at(tail - 1) + Hold.PILE_NEXT] = slot + 1;
    i32[head + 1] = slot + 1;
  }

  private open(slot: number): void {
    this.i32[this.at(slot) + Hold.META] = (this.nextGeneration(slot) << 8) | HoldState.HELD;
  }

  /** Whether the first of the ended holds may make room now. */
  private mayForget(first: number): boolean {
    const most = Math.min(MOST_ENDED, this.options.holds >> 3);
    if ((this.i32[Header.ENDED_COUNT] as number) > most) return true;
    return this.isOver(first - 1, this.options.endedRetentionMs);
  }

  private shift(head: number, first: number): number {
    const i32 = this.i32;
    if (head === Header.ENDED_HEAD) i32[Header.ENDED_COUNT] = (i32[Header.ENDED_COUNT] as number) - 1;
    const next = i32[this.at(first - 1) + Hold.PILE_NEXT] as number;
    i32[head] = next;
    if (next === 0) i32[head + 1] = 0;
    return first - 1;
  }
}
