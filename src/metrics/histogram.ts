import { BUCKETS, bucketOf } from '../shard/stage-histogram.ts';

/** Two edges for each power of two, from 16 µs to 8.4 s: what the clocks keep is four times as fine, and nobody queries that. */
const STEPS_US: readonly number[] = Array.from({ length: 20 }, (_, i) => 2 ** (i + 4)).flatMap((us) => [
  us,
  us * 1.5,
]);
const EDGES_US = STEPS_US.filter((us) => us <= 2 ** 23);

/** Upper edges, in seconds. */
export const EDGES: readonly number[] = EDGES_US.map((us) => us / 1e6);

/** Each is an edge of the fine buckets too: the first bucket that lies above it. */
const FIRST_ABOVE = EDGES_US.map(bucketOf);

/** Fine buckets (see stage-histogram.ts) that begin at `start` added up to those between EDGES, and the last, above them. */
export function coarse(fine: ArrayLike<number>, start: number): number[] {
  let bucket = 0;
  return [...FIRST_ABOVE, BUCKETS].map((end) => {
    let count = 0;
    for (; bucket < end; bucket++) count += fine[start + bucket] as number;
    return count;
  });
}
