import { HoldState } from '../../protocol/ops.ts';
import {
  COARSE_BUCKETS,
  EPOCH_TICKS,
  FINE_BUCKETS,
  Header,
  Hold,
  type SegmentLayout,
  type SegmentMemory,
  TICK_MS,
} from './layout.ts';

/**
 * Open holds by deadline: a hierarchical timing wheel (Varghese and Lauck, 1987) of two levels. Deadlines of this
 * epoch and the next (32.8 s each) lie in fine buckets of 8 ms; later ones lie in one coarse bucket for each epoch and
 * move to the fine ones, a bounded number at a time, during the epoch before theirs. Add and remove are O(1).
 *
 * A bucket is worked off once its whole 8 ms are past, so all in it are due and nothing is looked at twice.
 */
export class Wheel {
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;
  private readonly buckets: number;
  private readonly holds: number;
  /** Takes what was only loaded to warm the cache, so that the loads are not optimised away. */
  protected touched = 0;

  constructor(memory: SegmentMemory, layout: SegmentLayout) {
    this.i32 = memory.i32;
    this.f64 = memory.f64;
    this.buckets = layout.wheel;
    this.holds = layout.holds;
  }

  /** Sets the wheel to the segment's time, forwards over buckets that are known to be empty. Only while nothing is in it. */
  start(): void {
    this.startAt(Math.floor((this.f64[Header.NOW_F64] as number) / TICK_MS));
  }

  /** Empties the wheel, sets it to the segment's time, and adds all open holds; what is due will be told of at once. */
  rebuild(): void {
    const { i32 } = this;
    const end = this.buckets + (FINE_BUCKETS + COARSE_BUCKETS) * 2;
    // Mostly empty; a word that is not written to commits no page.
    for (let word = this.buckets; word < end; word++) if (i32[word] !== 0) i32[word] = 0;
    // The bucket before is past: what is due already goes there.
    this.startAt(Math.floor((this.f64[Header.NOW_F64] as number) / TICK_MS) - 1);
    const used = i32[Header.FRESH_HOLD] as number;
    for (let slot = 0; slot < used; slot++) {
      const meta = i32[this.holds + slot * Hold.WORDS + Hold.META] as number;
      if ((meta & 0x0f) === HoldState.HELD) this.add(slot);
    }
  }

  /** Adds a hold by its deadline. One whose bucket is past goes into the one that is worked off next. */
  add(slot: number): void {
    let tick = Math.floor(
      (this.f64[(this.holds + slot * Hold.WORDS) / 2 + Hold.ENDS_F64] as number) / TICK_MS,
    );
    const reached = this.f64[Header.TICK_F64] as number;
    if (tick < reached) tick = reached;
    const epoch = Math.floor(tick / EPOCH_TICKS);
    const next = this.f64[Header.EPOCH_F64] as number;
    if (epoch <= next) this.append(slot, tick & (FINE_BUCKETS - 1));
    // A wheel that was not advanced for days may be too small for a deadline: that waits in the last bucket first.
    else
      this.append(slot, FINE_BUCKETS + (Math.min(epoch, next + COARSE_BUCKETS - 1) & (COARSE_BUCKETS - 1)));
  }

  remove(slot: number): void {
    const i32 = this.i32;
    const record = this.holds + slot * Hold.WORDS;
    const next = i32[record + Hold.WHEEL_NEXT] as number;
    const prev = i32[record + Hold.WHEEL_PREV] as number;
    if (prev < 0) i32[this.buckets + ~prev * 2] = next < 0 ? 0 : next;
    else i32[this.holds + (prev - 1) * Hold.WORDS + Hold.WHEEL_NEXT] = next;
    if (next < 0) i32[this.buckets + ~next * 2 + 1] = prev < 0 ? 0 : prev;
    else i32[this.holds + (next - 1) * Hold.WORDS + Hold.WHEEL_PREV] = prev;
  }

  /**
   * Looks for holds whose bucket is past: puts the slots of up to `most` of one bucket into `slots`, and returns how many; 0
   * when there are none up to now. The caller removes them before it asks again.
   */
  due(slots: Int32Array, most: number): number {
    const i32 = this.i32;
    const f64 = this.f64;
    let tick = f64[Header.TICK_F64] as number;
    const end = Math.floor(((f64[Header.NOW_F64] as number) + 1) / TICK_MS);
    while (tick < end) {
      // An epoch at a time, by bucket rather than by tick: small integers, so that a stall of hours is made up for quickly.
      const epochEnd = (Math.floor(tick / EPOCH_TICKS) + 1) * EPOCH_TICKS;
      const first = tick & (FINE_BUCKETS - 1);
      const last = first + (Math.min(end, epochEnd) - tick);
      let bucket = first;
      while (bucket < last && i32[this.buckets + bucket * 2] === 0) bucket++;
      tick += bucket - first;
      if (bucket < last) {
        f64[Header.TICK_F64] = tick;
        return this.collect(bucket, slots, most);
      }
      // What is still in the coarse bucket of the epoch that begins here must not be passed over.
      if (tick === epochEnd) this.enter(tick / EPOCH_TICKS);
    }
    f64[Header.TICK_F64] = tick;
    return 0;
  }

  private startAt(tick: number): void {
    this.f64[Header.TICK_F64] = tick;
    this.f64[Header.EPOCH_F64] = Math.floor(tick / EPOCH_TICKS) + 1;
  }

  private collect(bucket: number, slots: Int32Array, most: number): number {
    const i32 = this.i32;
    let next = i32[this.buckets + bucket * 2] as number;
    let found = 0;
    this.touchBehind(next - 1, most);
    while (next > 0 && found < most) {
      slots[found++] = next - 1;
      next = i32[this.holds + (next - 1) * Hold.WORDS + Hold.WHEEL_NEXT] as number;
    }
    return found;
  }

  /** Moves up to `budget` holds of the next epoch into the fine buckets. Returns how many. */
  cascade(budget: number): number {
    const bucket = FINE_BUCKETS + ((this.f64[Header.EPOCH_F64] as number) & (COARSE_BUCKETS - 1));
    let moved = 0;
    while (moved < budget) {
      const head = this.i32[this.buckets + bucket * 2] as number;
      if (head === 0) break;
      this.remove(head - 1);
      this.add(head - 1);
      moved++;
    }
    return moved;
  }

  /**
   * Holds that end together were mostly placed together, in slots next to each other: loads those, side by side, where following the
   * links would wait for one after the other.
   */
  private touchBehind(slot: number, count: number): void {
    const last = Math.min(slot + count, this.i32[Header.FRESH_HOLD] as number);
    let sum = 0;
    for (let guess = slot; guess < last; guess++) sum ^= this.i32[this.holds + guess * Hold.WORDS] as number;
    this.touched = sum;
  }

  private enter(epoch: number): void {
    // Normally cascade() has emptied it long ago; after a stall of half a minute this moves the rest at once.
    while (this.cascade(1 << 20) > 0);
    this.f64[Header.EPOCH_F64] = epoch + 1;
  }

  private append(slot: number, bucket: number): void {
    const i32 = this.i32;
    const words = this.buckets + bucket * 2;
    const record = this.holds + slot * Hold.WORDS;
    const tail = i32[words + 1] as number;
    i32[record + Hold.WHEEL_NEXT] = ~bucket;
    if (tail === 0) {
      i32[words] = slot + 1;
      i32[record + Hold.WHEEL_PREV] = ~bucket;
    } else {
      i32[this.holds + (tail - 1) * Hold.WORDS + Hold.WHEEL_NEXT] = slot + 1;
      i32[record + Hold.WHEEL_PREV] = tail;
    }
    i32[words + 1] = slot + 1;
  }
}
