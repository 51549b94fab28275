import { expect, it } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { Prng } from '../../src/base/prng.ts';
import { estimateExpiring } from '../../src/shard/expiring.ts';
import { NOW } from '../front/fixtures.ts';
import { Rig, SEGMENTS, sku } from './fixtures.ts';

/** An engine with one hold of each time to live, spread over its segments. */
function holding(ttls: readonly number[]) {
  const rig = new Rig({ segment: { holds: 4096 } });
  rig.stockAll();
  for (let from = 0; from < ttls.length; from += 200) {
    rig.call(ttls.slice(from, from + 200).map((ttlMs, i) => [Op.HOLD, sku(i % SEGMENTS), 1, ttlMs]));
  }
  return rig;
}

it.each<[string, number[], number, number[]]>([
  ['no holds', [], NOW, [0, 0]],
  [
    'holds within a second, within ten, and later',
    [1, 500, 990, 1500, 9900, 12_000, 86_400_000],
    NOW,
    [3, 5],
  ],
  ['time that has passed', [1500, 9900, 12_000], NOW + 5000, [0, 2]],
])('counts exactly while there are few: %s', (_, ttls, nowMs, expected) => {
  expect(estimateExpiring(holding(ttls).memory, nowMs, new Prng(1))).toEqual(expected);
});

it('draws a sample where there are many, whose estimate is about right', () => {
  const seed = 7;
  const { memory } = holding(Array.from({ length: 6000 }, (_, i) => 1 + ((i * 7) % 20_000)));
  const [second, ten] = estimateExpiring(memory, NOW, new Prng(seed), 1500);
  expect(ten, `seed ${seed}`).toBeGreaterThan(2400);
  expect(ten).toBeLessThan(3600);
  expect(second).toBeGreaterThan(150);
  expect(second).toBeLessThan(450);
});

it('comes to an end when what it reads makes no sense', () => {
  const { memory } = holding([100, 200, 300]);
  for (const sab of memory.segments) {
    const words = new Int32Array(sab);
    // Every hold its own successor, or a slot that there is not.
    for (let word = 64; word < words.length; word++) words[word] = word % 2 === 0 ? 1 : 0x7fff_fff0;
  }
  expect(estimateExpiring(memory, NOW, new Prng(1)).every(Number.isFinite)).toBe(true);
});
