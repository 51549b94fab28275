import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { allocateCounters, COLLECTIONS, ThreadCell, threadCounters } from '../../src/shard/counters.ts';
import { BUCKETS, bucketOf } from '../../src/shard/stage-histogram.ts';
import { ThreadHealth } from '../../src/shard/thread-health.ts';

function setUp() {
  const memory = allocateCounters(1, 2);
  const health = new ThreadHealth(memory, 'shard-1');
  return { memory, health, cells: threadCounters(memory, 'shard-1') };
}

it('counts collections by kind, with their time, and reads the heap', () => {
  const { health, cells } = setUp();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options?: { type: string }) => void;
  health.read();
  const before = Array.from(cells.subarray(0, COLLECTIONS.length));
  collect({ type: 'minor' });
  collect();
  collect();
  health.read();
  health.stop();
  const grown = before.map((count, kind) => cells[ThreadCell.COLLECTIONS + kind] - count);
  expect(grown[COLLECTIONS.indexOf('minor')]).toBeGreaterThanOrEqual(1);
  expect(grown[COLLECTIONS.indexOf('major')]).toBeGreaterThanOrEqual(2);
  expect(cells[ThreadCell.COLLECTING_US + COLLECTIONS.indexOf('major')]).toBeGreaterThan(0);
  expect(cells[ThreadCell.HEAP_USED]).toBeGreaterThan(1_000_000);
  expect(cells[ThreadCell.HEAP_SIZE]).toBeGreaterThanOrEqual(cells[ThreadCell.HEAP_USED]);
});

it('keeps a histogram of how long the loop was held up', () => {
  const { health, cells } = setUp();
  health.heldUp(2.5);
  health.heldUp(2.5);
  health.heldUp(1e9);
  health.stop();
  const counts = cells.subarray(ThreadCell.DELAY + 1, ThreadCell.DELAY + 1 + BUCKETS);
  expect([counts[bucketOf(2500)], counts[BUCKETS - 1]]).toEqual([2, 1]);
  expect(cells[ThreadCell.DELAY]).toBeGreaterThan(5000);
});

it('looks once a second, however often it is asked', () => {
  const { health, cells } = setUp();
  health.look(5000);
  cells[ThreadCell.HEAP_USED] = 0;
  health.look(5999);
  expect(cells[ThreadCell.HEAP_USED]).toBe(0);
  health.look(6000);
  expect(cells[ThreadCell.HEAP_USED]).toBeGreaterThan(0);
  health.stop();
});

it('writes into the cells of its own thread only', () => {
  const { memory, health } = setUp();
  health.heldUp(1);
  health.read();
  health.stop();
  for (const name of ['front-0', 'shard-0', 'storage'])
    expect(threadCounters(memory, name).every((cell) => cell === 0)).toBe(true);
  expect(() => threadCounters(memory, 'shard-2')).toThrow('there is no thread shard-2');
});
