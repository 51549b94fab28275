import { expect, it } from 'vitest';
import { coarse, EDGES } from '../../src/metrics/histogram.ts';
import { BUCKETS, bucketOf } from '../../src/shard/stage-histogram.ts';

it('adds fine buckets up to coarse ones, each time on the right side of its edge', () => {
  for (let i = 0; i < EDGES.length; i++) {
    const edgeUs = Math.round(EDGES[i] * 1e6);
    const fine = new Float64Array(BUCKETS + 3);
    fine[3 + bucketOf(edgeUs - 1)] = 1;
    fine[3 + bucketOf(edgeUs)] += 2;
    const counts = coarse(fine, 3);
    expect([edgeUs, counts[i], counts[i + 1]]).toEqual([edgeUs, 1, 2]);
  }
});

it('loses none, and puts what is longer than any edge behind the last', () => {
  const fine = new Float64Array(BUCKETS).fill(1);
  const counts = coarse(fine, 0);
  expect(counts).toHaveLength(EDGES.length + 1);
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(BUCKETS);
  expect(counts.at(-1)).toBe(BUCKETS - bucketOf(Math.round(EDGES[EDGES.length - 1] * 1e6)));
});
