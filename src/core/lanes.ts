import {
  Header,
  Hold,
  LANE_STRIDE,
  LANES,
  NO_LANE,
  type SegmentLayout,
  type SegmentMemory,
  Sku,
} from './layout.ts';

/**
 * Answers when the earliest open hold of a SKU ends, in O(1).
 *
 * A SKU's holds are linked into up to two lanes, each in ascending order of deadline: a hold goes behind the
 * first lane tail that is not later than it, as in patience sorting. Holds of one or a few different times to live
 * always find such a lane, and then the answer, the least of the lane heads, is exact. A hold that fits neither
 * behind a tail nor before a head is in no lane; the SKU then keeps a bound for such holds, and the answer is an
 * estimate until they are gone. An exact answer for any mixture would take a heap for each SKU, at several cache misses a
 * hold, for a figure that only tells a client when to ask again.
 */
export class Lanes {
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;
  private readonly holds: number;

  constructor(memory: SegmentMemory, layout: SegmentLayout) {
    this.i32 = memory.i32;
    this.f64 = memory.f64;
    this.holds = layout.holds;
  }

  /** Links a hold, whose deadline is in its record, into a lane of its SKU. Returns the lane, or NO_LANE. */
  add(skuRecord: number, slot: number): number {
    const i32 = this.i32;
    const endsAt = this.f64[this.deadline(slot)] as number;
    // First fit keeps the tails in descending order, so the first that fits is also the closest. For the first lane a bound in
    // the SKU's own record stands for the tail's deadline, which would be another cache miss; it may be too late, never too early.
    const latest = skuRecord / 2 + Sku.LANE_BOUND_F64;
    if (i32[skuRecord + Sku.LANES + 1] === 0 || (this.f64[latest] as number) <= endsAt) {
      this.f64[latest] = endsAt;
      return this.append(skuRecord, 0, slot);
    }
    const tail = i32[skuRecord + Sku.LANES + LANE_STRIDE + 1] as number;
    if (tail === 0 || (this.f64[this.deadline(tail - 1)] as number) <= endsAt)
      return this.append(skuRecord, 1, slot);
    for (let lane = 0; lane < LANES; lane++) {
      const head = i32[skuRecord + Sku.LANES + lane * LANE_STRIDE] as number;
      if ((this.f64[this.deadline(head - 1)] as number) >= endsAt) {
        return this.prepend(skuRecord, lane, slot);
      }
    }
    const bound = skuRecord / 2 + Sku.UNORDERED_F64;
    const before = this.f64[bound] as number;
    // A bound that has passed, as none (0) has, says nothing any more about holds to come.
    if (before <= (this.f64[Header.NOW_F64] as number) || endsAt < before) this.f64[bound] = endsAt;
    return NO_LANE;
  }

  remove(skuRecord: number, slot: number, lane: number): void {
    if (lane === NO_LANE) return;
    const i32 = this.i32;
    const record = this.holds + slot * Hold.WORDS;
    const next = i32[record + Hold.LANE_NEXT] as number;
    const prev = i32[record + Hold.LANE_PREV] as number;
    const words = skuRecord + Sku.LANES + lane * LANE_STRIDE;
    if (prev === 0) i32[words] = next;
    else i32[this.holds + (prev - 1) * Hold.WORDS + Hold.LANE_NEXT] = next;
    if (next === 0) i32[words + 1] = prev;
    else i32[this.holds + (next - 1) * Hold.WORDS + Hold.LANE_PREV] = prev;
  }

  /** Slot of the earliest hold in the lanes, or -1. */
  earliest(skuRecord: number): number {
    const i32 = this.i32;
    let found = 0;
    let foundEnds = 0;
    for (let lane = 0; lane < LANES; lane++) {
      const head = i32[skuRecord + Sku.LANES + lane * LANE_STRIDE] as number;
      if (head === 0) continue;
      const ends = this.f64[this.deadline(head - 1)] as number;
      if (found === 0 || ends < foundEnds) {
        found = head;
        foundEnds = ends;
      }
    }
    return found - 1;
  }

  /** Writes to `out[index]` when the earliest open hold ends, in ms, or 0 when nothing is held. */
  earliestEnd(skuRecord: number, out: Float64Array, index: number): void {
    out[index] = 0;
    if (this.i32[skuRecord + Sku.HELD] === 0) {
      this.f64[skuRecord / 2 + Sku.UNORDERED_F64] = 0;
      return;
    }
    const slot = this.earliest(skuRecord);
    const bound = this.f64[skuRecord / 2 + Sku.UNORDERED_F64] as number;
    const now = this.f64[Header.NOW_F64] as number;
    out[index] = slot < 0 ? now : (this.f64[this.deadline(slot)] as number);
    if (bound > now && (slot < 0 || bound < (out[index] as number))) out[index] = bound;
  }

  private append(skuRecord: number, lane: number, slot: number): number {
    const i32 = this.i32;
    const words = skuRecord + Sku.LANES + lane * LANE_STRIDE;
    const record = this.holds + slot * Hold.WORDS;
    const tail = i32[words + 1] as number;
    i32[record + Hold.LANE_NEXT] = 0;
    i32[record + Hold.LANE_PREV] = tail;
    if (tail === 0) i32[words] = slot + 1;
    else i32[this.holds + (tail - 1) * Hold.WORDS + Hold.LANE_NEXT] = slot + 1;
    i32[words + 1] = slot + 1;
    return lane;
  }

  private prepend(skuRecord: number, lane: number, slot: number): number {
    const i32 = this.i32;
    const words = skuRecord + Sku.LANES + lane * LANE_STRIDE;
    const record = this.holds + slot * Hold.WORDS;
    const head = i32[words] as number;
    i32[record + Hold.LANE_NEXT] = head;
    i32[record + Hold.LANE_PREV] = 0;
    i32[this.holds + (head - 1) * Hold.WORDS + Hold.LANE_PREV] = slot + 1;
    i32[words] = slot + 1;
    return lane;
  }

  /** Where a hold's deadline is among the doubles. */
  private deadline(slot: number): number {
    return ((this.holds + slot * Hold.WORDS) >> 1) + Hold.ENDS_F64;
  }
}
