/**
 * What is kept of one key (a holder, an address, a SKU, or a holder with a SKU), in words of four bytes. The head is one cache line; a
 * command that is counted touches nothing else unless a bucket begins or leaves.
 *
 *     word  0      second half of the key (the first is among the set's tags)
 *           1      time of the level below, ms
 *           2, 3   level of the token bucket in commands, a float64
 *           4      commands in the window, all buckets together
 *           5, 6   newest bucket: time of its first and of its last command, ms
 *           7      its commands
 *           8      first (bits 0–5) and number (bits 6–12) of the older buckets in the ring, state of the grain (from bit 16)
 *           9      time of the oldest one's last command, ms
 *          10      the reading that goes on: when it began, ms
 *          11      when its slot began, ms
 *          12      attempts in the slot
 *          13      attempts in the reading
 *          14      squares of its slots' attempts, added up, a float32
 *          15      not used
 *          16 …    ring of the older buckets, two words each: time of the last command in ms, commands
 *
 * Times are the low 32 bits of a monotonic clock and are compared by difference. An entry of zeros is one of which nothing is known.
 */
export const Word = {
  KEY_HI: 0,
  LEVEL_MS: 1,
  LEVEL: 2,
  SUM: 4,
  NEWEST_FROM_MS: 5,
  NEWEST_MS: 6,
  NEWEST_COUNT: 7,
  SHAPE: 8,
  OLDEST_MS: 9,
  READING_MS: 10,
  SLOT_MS: 11,
  SLOT_COUNT: 12,
  READING_COUNT: 13,
  SQUARES: 14,
  RING: 16,
} as const;

export const HEAD_WORDS = 16;
/** Older buckets that an entry has room for. */
export const RING_BUCKETS = 64;
export const ENTRY_WORDS = HEAD_WORDS + 2 * RING_BUCKETS;

/**
 * Clocks of two fronts may be apart by a long turn of their event loops. A time that is further ahead than this is none: it was written
 * weeks ago, and the clock's low bits have come round.
 */
export const MAX_SKEW_MS = 60_000;

/** Views of one table's memory. */
export interface EntryViews {
  readonly i32: Int32Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
}

/** Milliseconds since `thenMs`, from 0; very many where that is so long ago that the clock has come round. */
export function ageMs(nowMs: number, thenMs: number): number {
  const age = (nowMs - thenMs) | 0;
  if (age >= 0) return age;
  return age > -MAX_SKEW_MS ? 0 : LONG_AGO_MS;
}

const LONG_AGO_MS = 0x7fffffff;
