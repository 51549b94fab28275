import { ageMs, type EntryViews, Head, RING_BUCKETS, RING_HEADS } from './entry-layout.ts';
import { FINEST_MS, GRAIN_LENGTHS, Grain, grainOf, nextGrain } from './grain.ts';
import { OFF, type WindowRule } from './rules.ts';

/** The rate is read over slots of this length, so many at a time: for a second. */
const SLOT_MS = 100;
const READING_SLOTS = 10;

/** Of the coarsest grain in a window. */
const LEAST_BUCKETS = 5;
/**
 * Below a quarter of a limit that is not small, a key is counted in coarse buckets and its traffic is not read: nothing is refused there,
 * and most keys never leave it.
 */
const EASE = 4;
const MANY = 1000;
const RING_MASK = RING_BUCKETS - 1;
const COUNT_SHIFT = 6;
const COUNT_MASK = 0x7f;
const GRAIN_SHIFT = 16;
const GRAIN_MASK = 0xf;
const SLOT_SHIFT = 20;
const SLOT_MASK = 0xf;
const LOW_BITS = 0xffff;

/**
 * No more than so many commands in any stretch of a length. Commands are counted in buckets, and a bucket leaves the window as a whole, when
 * its last command does: the count is never too low, and too high for no longer than a bucket lasts. A bucket takes what comes within
 * a grain of its first command. A change of grain is thus a matter of the buckets to come; those that are there stay as they are, and
 * nothing is forgotten or counted twice. Empty buckets take no room.
 */
export class SlidingWindow {
  on = false;
  private windowMs = 1000;
  private limit = 1;
  /** Below this, nothing is refused for long to come. */
  private ease = 0;
  /** By grain. */
  private readonly bucketMs = new Int32Array(GRAIN_LENGTHS.length);
  private readonly i32: Int32Array;
  private readonly f32: Float32Array;
  private readonly ringsAt: number;

  constructor({ i32, f32, ringsAt }: EntryViews) {
    this.i32 = i32;
    this.f32 = f32;
    this.ringsAt = ringsAt;
  }

  /**
   * Counts stay. In a window that has become longer, what had left the shorter one is missed. Buckets begin at least a finest grain
   * apart, and the ring has room for 64, so in windows over 6.4 s the grains are longer in proportion. In windows below 5 s, none is longer
   * than a fifth of the window.
   */
  setRule(rule: WindowRule | typeof OFF): void {
    this.on = rule !== OFF;
    if (rule === OFF) return;
    this.windowMs = rule.windowMs;
    this.limit = rule.limit;
    // Whole, as counts are: what has left the window goes when a count comes to it, and none may pass it by.
    this.ease = rule.limit < MANY ? 0 : Math.floor(rule.limit / EASE);
    const finestMs = Math.max(FINEST_MS, Math.ceil(rule.windowMs / RING_BUCKETS));
    GRAIN_LENGTHS.forEach((length, grain) => {
      this.bucketMs[grain] = Math.min(length * finestMs, rule.windowMs / LEAST_BUCKETS);
    });
  }

  /** In how many ms one more command fits in: 0, if it does now. Takes note that it was asked, for the grain. */
  waitMs(entry: number, nowMs: number): number {
    const { i32, ease } = this;
    const sum = i32[entry + Head.SUM] as number;
    if (sum < ease) return 0;
    if (sum > ease && i32[entry + Head.NEWEST_MS] === nowMs) {
      // Many ask for the same key within a millisecond: neither slot nor bucket can be another than a moment ago.
      i32[entry + Head.SLOT_COUNT] = (i32[entry + Head.SLOT_COUNT] as number) + 1;
      i32[entry + Head.READING_COUNT] = (i32[entry + Head.READING_COUNT] as number) + 1;
    } else {
      this.leave(entry, nowMs);
      if ((i32[entry + Head.SUM] as number) < ease) return 0;
      this.read(entry, nowMs);
    }
    return (i32[entry + Head.SUM] as number) < this.limit ? 0 : this.roomInMs(entry, nowMs);
  }

  /** Counts a command. Behind waitMs() at the same time. */
  count(entry: number, nowMs: number): void {
    const { i32 } = this;
    const newest = i32[entry + Head.NEWEST_COUNT] as number;
    const atEase = (i32[entry + Head.SUM] as number) < this.ease;
    const grain = atEase ? Grain.COARSE : (i32[entry + Head.SHAPE] as number) >>> GRAIN_SHIFT;
    const grainMs = this.bucketMs[grainOf(grain)] as number;
    if (newest > 0 && ageMs(nowMs, i32[entry + Head.NEWEST_FROM_MS] as number) < grainMs) {
      this.join(entry, nowMs);
    } else this.begin(entry, nowMs);
  }

  /** How many more would fit in at the time at which one was counted last, and be told so without a look at anything. */
  left(entry: number): number {
    return (this.ease - (this.i32[entry + Head.SUM] as number)) | 0;
  }

  /** Counts another at the same time, one of those left. */
  countAnother(entry: number): void {
    const { i32 } = this;
    i32[entry + Head.SUM] = (i32[entry + Head.SUM] as number) + 1;
    i32[entry + Head.NEWEST_COUNT] = (i32[entry + Head.NEWEST_COUNT] as number) + 1;
  }

  private join(entry: number, nowMs: number): void {
    const { i32 } = this;
    this.countAnother(entry);
    if (((nowMs - (i32[entry + Head.NEWEST_MS] as number)) | 0) > 0) i32[entry + Head.NEWEST_MS] = nowMs;
  }

  private begin(entry: number, nowMs: number): void {
    const { i32 } = this;
    const older = ((i32[entry + Head.SHAPE] as number) >>> COUNT_SHIFT) & COUNT_MASK;
    if (older === RING_BUCKETS) this.leave(entry, nowMs);
    const newest = i32[entry + Head.NEWEST_COUNT] as number;
    if (newest > 0 && !this.setAside(entry, newest)) {
      this.join(entry, nowMs);
      return;
    }
    i32[entry + Head.SUM] = (i32[entry + Head.SUM] as number) + 1;
    i32[entry + Head.NEWEST_FROM_MS] = nowMs;
    i32[entry + Head.NEWEST_MS] = nowMs;
    i32[entry + Head.NEWEST_COUNT] = 1;
  }

  /** Puts the newest bucket with the older ones. False when there is no room: then it has to take more yet. */
  private setAside(entry: number, count: number): boolean {
    const { i32 } = this;
    const shape = i32[entry + Head.SHAPE] as number;
    const older = (shape >>> COUNT_SHIFT) & COUNT_MASK;
    if (older === RING_BUCKETS) return false;
    const last = i32[entry + Head.NEWEST_MS] as number;
    const at = this.ringOf(entry) + 2 * (((shape & RING_MASK) + older) & RING_MASK);
    i32[at] = last;
    i32[at + 1] = count;
    if (older === 0) i32[entry + Head.OLDEST_MS] = last;
    i32[entry + Head.SHAPE] = shape + (1 << COUNT_SHIFT);
    return true;
  }

  /** Lets buckets go whose last command has left the window. */
  private leave(entry: number, nowMs: number): void {
    const { i32, windowMs } = this;
    let shape = i32[entry + Head.SHAPE] as number;
    let sum = i32[entry + Head.SUM] as number;
    let older = (shape >>> COUNT_SHIFT) & COUNT_MASK;
    if (older > 0) {
      if (ageMs(nowMs, i32[entry + Head.OLDEST_MS] as number) < windowMs) return;
      const ring = this.ringOf(entry);
      let first = shape & RING_MASK;
      do {
        sum -= i32[ring + 2 * first + 1] as number;
        first = (first + 1) & RING_MASK;
        older--;
      } while (older > 0 && ageMs(nowMs, i32[ring + 2 * first] as number) >= windowMs);
      if (older > 0) i32[entry + Head.OLDEST_MS] = i32[ring + 2 * first] as number;
      shape = (shape & ~LOW_BITS) | (older << COUNT_SHIFT) | first;
      i32[entry + Head.SHAPE] = shape;
    }
    if (older === 0 && ageMs(nowMs, i32[entry + Head.NEWEST_MS] as number) >= windowMs) {
      sum = 0;
      i32[entry + Head.NEWEST_COUNT] = 0;
    }
    i32[entry + Head.SUM] = sum;
  }

  /** When so many of the oldest buckets have left that there is room for one; more than one only where a rule has lowered the limit. */
  private roomInMs(entry: number, nowMs: number): number {
    const { i32, windowMs, limit } = this;
    const shape = i32[entry + Head.SHAPE] as number;
    let left = i32[entry + Head.SUM] as number;
    let lastMs = i32[entry + Head.NEWEST_MS] as number;
    for (let i = 0; i < ((shape >>> COUNT_SHIFT) & COUNT_MASK); i++) {
      const at = this.ringOf(entry) + 2 * (((shape & RING_MASK) + i) & RING_MASK);
      left -= i32[at + 1] as number;
      if (left >= limit) continue;
      lastMs = i32[at] as number;
      break;
    }
    return Math.max(1, windowMs - ageMs(nowMs, lastMs));
  }

  private ringOf(entry: number): number {
    return this.ringsAt + RING_HEADS * entry;
  }

  /** Counts an attempt, for the coefficient of variation of the rate, and takes a reading when a second is over. */
  private read(entry: number, nowMs: number): void {
    const { i32, f32 } = this;
    const count = i32[entry + Head.READING_COUNT] as number;
    const shape = i32[entry + Head.SHAPE] as number;
    const elapsedMs = ageMs(nowMs, i32[entry + Head.READING_MS] as number);
    const slot = (elapsedMs / SLOT_MS) | 0;
    const inSlot = i32[entry + Head.SLOT_COUNT] as number;
    if (count > 0 && slot <= ((shape >>> SLOT_SHIFT) & SLOT_MASK)) {
      i32[entry + Head.SLOT_COUNT] = inSlot + 1;
      i32[entry + Head.READING_COUNT] = count + 1;
      return;
    }
    const squares = (f32[entry + Head.SQUARES] as number) + inSlot * inSlot;
    i32[entry + Head.SLOT_COUNT] = 1;
    if (count > 0 && slot < READING_SLOTS) {
      f32[entry + Head.SQUARES] = squares;
      i32[entry + Head.READING_COUNT] = count + 1;
      i32[entry + Head.SHAPE] = (shape & ~(SLOT_MASK << SLOT_SHIFT)) | (slot << SLOT_SHIFT);
      return;
    }
    // Slots without attempts count: a key that rests for long is as bursty as can be when it comes back.
    const variation = Math.sqrt(Math.max(0, (squares * slot) / (count * count) - 1));
    const state = (shape >>> GRAIN_SHIFT) & GRAIN_MASK;
    const next = count > 0 ? nextGrain(state, variation) : state;
    i32[entry + Head.SHAPE] = (shape & LOW_BITS) | (next << GRAIN_SHIFT);
    i32[entry + Head.READING_MS] = nowMs;
    i32[entry + Head.READING_COUNT] = 1;
    f32[entry + Head.SQUARES] = 0;
  }
}
