/**
 * What is kept of one key (a holder, an address, a SKU, or a holder with a SKU), in words of four bytes. The head is one cache line, and heads
 * lie next to each other; a command touches the key's ring only when a bucket begins or leaves.
 *
 *     head  0, 1   key
 *           2      time at which it was last asked for, ms, odd; 0 where the entry is free
 *           3      time of the level below, ms
 *           4, 5   level of the token bucket in commands, a float64
 *           6      commands in all buckets together, also in those that have left the window and were not looked for yet
 *           7, 8   newest bucket: time of its first and of its last command, ms
 *           9      its commands
 *          10      first (bits 0–5) and number (bits 6–12) of the older buckets in the ring, state of the grain (bits 16–19), slot of
 *                  the reading (bits 20–23)
 *          11      time of the oldest one's last command, ms
 *          12      the reading that goes on: when it began, ms
 *          13      attempts in it
 *          14      attempts in its slot
 *          15      squares of its other slots' attempts, added up, a float32
 *     ring  0 …    the older buckets, two words each: time of the last command in ms, commands
 *
 * Times are the low 32 bits of a monotonic clock and are compared by difference. A head of zeros is one of which nothing is known.
 */
export const Head = {
  KEY_LO: 0,
  KEY_HI: 1,
  USED_MS: 2,
  LEVEL_MS: 3,
  LEVEL: 4,
  SUM: 6,
  NEWEST_FROM_MS: 7,
  NEWEST_MS: 8,
  NEWEST_COUNT: 9,
  SHAPE: 10,
  OLDEST_MS: 11,
  READING_MS: 12,
  READING_COUNT: 13,
  SLOT_COUNT: 14,
  SQUARES: 15,
} as const;

export const HEAD_WORDS = 16;
/** Older buckets that a key has room for. */
export const RING_BUCKETS = 64;
export const RING_WORDS = 2 * RING_BUCKETS;
/** How often a head goes into a ring. */
export const RING_HEADS = RING_WORDS / HEAD_WORDS;

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
  /** An entry's ring begins at this word and RING_HEADS times the entry's. */
  readonly ringsAt: number;
}

/** Milliseconds since `thenMs`, from 0; very many where that is so long ago that the clock has come round. */
export function ageMs(nowMs: number, thenMs: number): number {
  const age = (nowMs - thenMs) | 0;
  if (age >= 0) return age;
  return age > -MAX_SKEW_MS ? 0 : LONG_AGO_MS;
}

const LONG_AGO_MS = 0x7fffffff;
