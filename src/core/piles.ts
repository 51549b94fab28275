import { Hold, LOOSE, PILE_STRIDE, PILES, type SegmentLayout, type SegmentMemory, Sku } from './layout.ts';

/** Loose holds that are looked at for the earliest of them, when it is not known. */
const MOST_SEARCHED = 256;

/**
 * Answers when the earliest open hold of a SKU ends.
 *
 * A SKU's holds are linked into up to two piles, each in ascending order of deadline: a hold goes behind the
 * first pile tail that is not later than it, as in patience sorting. Holds of one or a few different times to live
 * always find such a pile, and then the answer, the least of the pile heads, costs nothing. A hold that fits neither behind
 * a tail nor before a head is linked into a list of loose ones without order. The earliest of those is remembered, and searched for
 * anew when it has gone; among more than MOST_SEARCHED loose holds the answer can thus be too late. A heap for each SKU would
 * be exact always, at several cache misses for each hold, for a figure that only tells a client when to ask again.
 */
export class Piles {
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;
  private readonly holds: number;

  constructor(memory: SegmentMemory, layout: SegmentLayout) {
    this.i32 = memory.i32;
    this.f64 = memory.f64;
    this.holds = layout.holds;
  }

  /** Links a hold, whose deadline is in its record, into a pile of its SKU. Returns the pile, LOOSE among them. */
  add(skuRecord: number, slot: number): number {
    const i32 = this.i32;
    const endsAt = this.f64[this.deadline(slot)] as number;
    // First fit keeps the tails in descending order, so the first that fits is also the closest. For the first pile a bound in
    // the SKU's own record stands for the tail's deadline, which would be another cache miss; it may be too late, never too early.
    const latest = skuRecord / 2 + Sku.PILE_BOUND_F64;
    if (i32[skuRecord + Sku.PILES + 1] === 0 || (this.f64[latest] as number) <= endsAt) {
      this.f64[latest] = endsAt;
      return this.append(skuRecord, 0, slot);
    }
    const tail = i32[skuRecord + Sku.PILES + PILE_STRIDE + 1] as number;
    if (tail === 0 || (this.f64[this.deadline(tail - 1)] as number) <= endsAt)
      return this.append(skuRecord, 1, slot);
    for (let pile = 0; pile < PILES; pile++) {
      const words = skuRecord + Sku.PILES + pile * PILE_STRIDE;
      if ((this.f64[this.deadline((i32[words] as number) - 1)] as number) >= endsAt) {
        this.prepend(words, slot);
        return pile;
      }
    }
    return this.addLoose(skuRecord, slot);
  }

  remove(skuRecord: number, slot: number, pile: number): void {
    const i32 = this.i32;
    const record = this.holds + slot * Hold.WORDS;
    const next = i32[record + Hold.PILE_NEXT] as number;
    const prev = i32[record + Hold.PILE_PREV] as number;
    const head = skuRecord + (pile === LOOSE ? Sku.LOOSE : Sku.PILES + pile * PILE_STRIDE);
    if (prev === 0) i32[head] = next;
    else i32[this.holds + (prev - 1) * Hold.WORDS + Hold.PILE_NEXT] = next;
    if (next !== 0) i32[this.holds + (next - 1) * Hold.WORDS + Hold.PILE_PREV] = prev;
    else if (pile !== LOOSE) i32[head + 1] = prev;
    if (pile === LOOSE && i32[skuRecord + Sku.LOOSE_EARLIEST] === slot + 1)
      i32[skuRecord + Sku.LOOSE_EARLIEST] = 0;
  }

  /** Slot of the earliest open hold of a SKU, or -1 when it has none. */
  earliest(skuRecord: number): number {
    const i32 = this.i32;
    let found = i32[skuRecord + Sku.PILES] as number;
    found = this.earlier(found, i32[skuRecord + Sku.PILES + PILE_STRIDE] as number);
    if (i32[skuRecord + Sku.LOOSE] !== 0) found = this.earlier(found, this.earliestLoose(skuRecord));
    return found - 1;
  }

  /** Writes to `out[index]` when the earliest open hold ends, in ms, or 0 when nothing is held. */
  earliestEnd(skuRecord: number, out: Float64Array, index: number): void {
    const slot = this.earliest(skuRecord);
    out[index] = slot < 0 ? 0 : (this.f64[this.deadline(slot)] as number);
  }

  /**
   * Of two holds as slot + 1, 0 for none, the one that ends earlier; of two that end together, that in the lower slot, so that the
   * answer does not depend on who has asked before.
   */
  private earlier(a: number, b: number): number {
    if (a === 0 || b === 0) return a | b;
    const endOfA = this.f64[this.deadline(a - 1)] as number;
    const endOfB = this.f64[this.deadline(b - 1)] as number;
    return endOfB < endOfA || (endOfB === endOfA && b < a) ? b : a;
  }

  private append(skuRecord: number, pile: number, slot: number): number {
    const i32 = this.i32;
    const words = skuRecord + Sku.PILES + pile * PILE_STRIDE;
    const record = this.holds + slot * Hold.WORDS;
    const tail = i32[words + 1] as number;
    i32[record + Hold.PILE_NEXT] = 0;
    i32[record + Hold.PILE_PREV] = tail;
    if (tail === 0) i32[words] = slot + 1;
    else i32[this.holds + (tail - 1) * Hold.WORDS + Hold.PILE_NEXT] = slot + 1;
    i32[words + 1] = slot + 1;
    return pile;
  }

  /** Links a hold before the first of a list, whose head is at word `head`. */
  private prepend(head: number, slot: number): void {
    const i32 = this.i32;
    const record = this.holds + slot * Hold.WORDS;
    const next = i32[head] as number;
    i32[record + Hold.PILE_NEXT] = next;
    i32[record + Hold.PILE_PREV] = 0;
    if (next !== 0) i32[this.holds + (next - 1) * Hold.WORDS + Hold.PILE_PREV] = slot + 1;
    i32[head] = slot + 1;
  }

  private addLoose(skuRecord: number, slot: number): number {
    const i32 = this.i32;
    const earliest = i32[skuRecord + Sku.LOOSE_EARLIEST] as number;
    const first = i32[skuRecord + Sku.LOOSE] === 0;
    // When the earliest is not known, this one may not be it either.
    if (first || (earliest !== 0 && this.earlier(earliest, slot + 1) === slot + 1)) {
      i32[skuRecord + Sku.LOOSE_EARLIEST] = slot + 1;
    }
    this.prepend(skuRecord + Sku.LOOSE, slot);
    return LOOSE;
  }

  /** The earliest loose hold as slot + 1, of those at the front of the list when it has to be searched for. */
  private earliestLoose(skuRecord: number): number {
    const i32 = this.i32;
    let earliest = i32[skuRecord + Sku.LOOSE_EARLIEST] as number;
    if (earliest !== 0) return earliest;
    let next = i32[skuRecord + Sku.LOOSE] as number;
    for (let searched = 0; next !== 0 && searched < MOST_SEARCHED; searched++) {
      earliest = this.earlier(earliest, next);
      next = i32[this.holds + (next - 1) * Hold.WORDS + Hold.PILE_NEXT] as number;
    }
    i32[skuRecord + Sku.LOOSE_EARLIEST] = earliest;
    return earliest;
  }

  /** Where a hold's deadline is among the doubles. */
  private deadline(slot: number): number {
    return ((this.holds + slot * Hold.WORDS) >> 1) + Hold.ENDS_F64;
  }
}
