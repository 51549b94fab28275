import { describe, expect, test } from 'vitest';
import { Prng } from '../../src/base/prng.ts';

function draw(seed: number, count: number): number[] {
  const prng = new Prng(seed);
  return Array.from({ length: count }, () => prng.next());
}

/** Published in test reports as seeds: what a seed gives must never change. */
const FROZEN: [number, number[]][] = [
  [0, [1684164658, 3653269916, 2939563536, 2141751570]],
  [1, [1580013426, 350525680, 3524174333, 3011703609]],
  [42, [551831576, 144025891, 322543647, 3034809370]],
  [-1, [3950124170, 4293442868, 1302505678, 2762329221]],
  [2147483648, [2241709437, 3944143666, 3411218436, 3540427171]],
];

describe('a seed', () => {
  test.each(FROZEN)('%i gives the same numbers for ever', (seed, numbers) => {
    expect(draw(seed, numbers.length)).toEqual(numbers);
  });

  test('gives the same run twice, and another than its neighbours', () => {
    for (const seed of [0, 1, 2 ** 31, -5]) {
      expect(draw(seed, 100)).toEqual(draw(seed, 100));
      expect(draw(seed, 4)).not.toEqual(draw(seed + 1, 4));
    }
  });

  test('counts by its low 32 bits', () => {
    expect(draw(2 ** 32 + 7, 5)).toEqual(draw(7, 5));
  });
});

describe('numbers', () => {
  test('are whole, from 0 to 2^32 - 1, and reach both halves', () => {
    const numbers = draw(42, 10_000);
    expect(numbers.every((n) => Number.isInteger(n) && n >= 0 && n < 2 ** 32)).toBe(true);
    expect(Math.min(...numbers)).toBeLessThan(2 ** 24);
    expect(Math.max(...numbers)).toBeGreaterThan(2 ** 32 - 2 ** 24);
  });

  test.each([1, 2, 3, 10, 1000, 2 ** 32])('below(%i) stays below', (bound) => {
    const prng = new Prng(bound);
    const drawn = Array.from({ length: 5000 }, () => prng.below(bound));
    expect(drawn.every((n) => Number.isInteger(n) && n >= 0 && n < bound)).toBe(true);
    if (bound <= 1000) expect(new Set(drawn).size).toBeGreaterThan(bound * 0.98);
  });

  test('below() gives every value its share', () => {
    const prng = new Prng(7);
    const counts = new Array<number>(100).fill(0);
    for (let i = 0; i < 100_000; i++) (counts[prng.below(100)] as number)++;
    // 99 degrees of freedom: a mean of 99 and a deviation of 14; the seed is fixed, so this never changes.
    const chiSquare = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(99 + 5 * 14);
    expect(chiSquare).toBeGreaterThan(99 - 5 * 14);
  });

  test('oneIn() is true about as often as it says', () => {
    const prng = new Prng(3);
    let times = 0;
    for (let i = 0; i < 100_000; i++) if (prng.oneIn(10)) times++;
    expect(Math.abs(times - 10_000)).toBeLessThan(500);
    expect(prng.oneIn(1)).toBe(true);
  });

  test('pick() reaches every item', () => {
    const prng = new Prng(5);
    const items = ['a', 'b', 'c'];
    expect(new Set(Array.from({ length: 100 }, () => prng.pick(items)))).toEqual(new Set(items));
  });
});
