import { unreachable } from '../base/assert.ts';

/**
 * Log-linear buckets for times in whole µs, after HdrHistogram: each power of two is cut into eight, so that a bucket is no wider than an
 * eighth of what it counts; below 8 µs a bucket is one µs. What takes 134 s or longer is counted in the last.
 */
const SUB_BITS = 3;
const SUBS = 1 << SUB_BITS;
const TOP_BITS = 27;

export const BUCKETS = SUBS * (TOP_BITS - SUB_BITS + 1);

/** Bucket of a time. What is negative counts as 0: clocks of two threads differ by a fraction of a µs. */
export function bucketOf(us: number): number {
  if (us < SUBS) return us < 0 ? 0 : us;
  const exponent = 31 - Math.clz32(us);
  if (exponent >= TOP_BITS) return BUCKETS - 1;
  return SUBS * (exponent - SUB_BITS + 1) + ((us >> (exponent - SUB_BITS)) & (SUBS - 1));
}

/** For each bucket, the time in µs that is just too long for it. */
export function bucketUpperUs(): number[] {
  return Array.from({ length: BUCKETS }, (_, bucket) => {
    if (bucket < SUBS) return bucket + 1;
    const exponent = Math.floor(bucket / SUBS) + SUB_BITS - 1;
    return (SUBS + (bucket % SUBS) + 1) * 2 ** (exponent - SUB_BITS);
  });
}

/**
 * The time in µs that a share of what was counted does not exceed: the longest of its bucket, at most an eighth too long; 0 when nothing
 * was counted.
 *
 * @param share from 0 to 1
 */
export function percentileUs(counts: readonly number[], upperUs: readonly number[], share: number): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return 0;
  // The rank of at least the first: the least time is that of a share of 0.
  const rank = Math.max(1, Math.ceil(total * share));
  let seen = 0;
  for (let bucket = 0; bucket < counts.length; bucket++) {
    seen += counts[bucket] as number;
    if (seen >= rank) return (upperUs[bucket] as number) - 1;
  }
  return unreachable('the buckets hold less than their total');
}
