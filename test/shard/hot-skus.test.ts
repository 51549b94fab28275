import { expect, it } from 'vitest';
import { SkuHash } from '../../src/base/hash.ts';
import { Prng } from '../../src/base/prng.ts';
import { allocateHotSkus, HOT_SKUS, HotSkus, hottestSkus } from '../../src/shard/hot-skus.ts';

const hash = new SkuHash();

function setUp(fronts = 1) {
  const memory = allocateHotSkus(fronts);
  const tables = Array.from({ length: fronts }, (_, front) => new HotSkus(memory, front));
  const note = (sku: string, times = 1, { front = 0, weight = 1 } = {}) => {
    const name = Buffer.from(`..${sku}..`);
    hash.run(name, 2, name.length - 4);
    for (let i = 0; i < times; i++) tables[front].note(name, 2, name.length - 4, hash.lo, hash.hi, weight);
  };
  return { note, hottest: (most: number) => hottestSkus(memory, fronts, most) };
}

it('tells the hottest first, with their shares', () => {
  const { note, hottest } = setUp();
  note('cool', 1);
  note('warm', 3);
  note('hot ⚡', 6);
  expect(hottest(2)).toEqual([
    { sku: 'hot ⚡', share: 0.6 },
    { sku: 'warm', share: 0.3 },
  ]);
});

it('adds up what the fronts have, and counts a command for as many as it stands for', () => {
  const { note, hottest } = setUp(2);
  note('a', 2, { front: 0, weight: 10 });
  note('a', 1, { front: 1, weight: 20 });
  note('b', 60, { front: 1 });
  expect(hottest(9)).toEqual([
    { sku: 'b', share: 0.6 },
    { sku: 'a', share: 0.4 },
  ]);
});

it('never loses a SKU that has more than its share, among any number of others', () => {
  const seed = 20261121;
  const random = new Prng(seed);
  const { note, hottest } = setUp();
  for (let i = 0; i < 15_000; i++) note(random.below(100) < 3 ? 'often' : `rare-${random.below(1_000_000)}`);
  const [first] = hottest(HOT_SKUS);
  expect(first.sku, `seed ${seed}`).toBe('often');
  // Too large by what it inherited at most.
  expect(first.share).toBeGreaterThan(0.02);
  expect(first.share).toBeLessThan(0.03 + 1 / HOT_SKUS + 0.01);
  expect(hottest(HOT_SKUS)).toHaveLength(HOT_SKUS);
});

it('forgets what was hot once', () => {
  const { note, hottest } = setUp();
  note('yesterday', 30_000);
  note('today', 60_000);
  expect(hottest(1)[0].sku).toBe('today');
  expect(hottest(2)[1].share).toBeLessThan(0.15);
});
