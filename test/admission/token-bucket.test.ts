import { describe, expect, it } from 'vitest';
import { allocateTable, KeyedTable } from '../../src/admission/keyed-table.ts';
import { TokenBucket } from '../../src/admission/token-bucket.ts';
import { Prng } from '../../src/base/prng.ts';
import { seeds } from './fixtures.ts';

/** One key's bucket: take(nowMs) as the bucket has it, and another rule. */
function bucket(perSecond: number, burst: number) {
  const table = new KeyedTable(allocateTable(8, 1), false);
  const rate = new TokenBucket(table);
  rate.setRule({ perSecond, burst });
  return {
    take: (nowMs: number) => rate.take(table.claim(1, 2, nowMs | 0), nowMs | 0),
    setRule: (next: number, most: number) => rate.setRule({ perSecond: next, burst: most }),
  };
}

describe('a token bucket', () => {
  it('lets a burst in at once, and then one for each interval', () => {
    const { take } = bucket(20, 4);
    expect([0, 0, 0, 0, 0, 49, 50, 50].map((nowMs) => take(1000 + nowMs))).toEqual([
      0, 0, 0, 0, 50, 1, 0, 50,
    ]);
  });

  it('has the whole burst again after a rest, and no more', () => {
    const { take } = bucket(10, 3);
    for (const nowMs of [0, 60_000]) {
      expect([0, 0, 0, 0].map(() => take(nowMs))).toEqual([0, 0, 0, 100]);
    }
  });

  it('is charged nothing for what it refuses', () => {
    const { take } = bucket(10, 1);
    expect(take(0)).toBe(0);
    for (let nowMs = 0; nowMs < 100; nowMs++) expect(take(nowMs)).toBe(100 - nowMs);
    expect(take(100)).toBe(0);
  });

  it.each([
    ['2^31', 2 ** 31],
    ['2^32', 2 ** 32],
  ])("counts on when the clock's low bits come to %s", (_, edge) => {
    const { take } = bucket(10, 2);
    expect([-150, -150, -150, -50, 50, 50].map((ms) => take(edge + ms))).toEqual([0, 0, 100, 0, 0, 100]);
  });

  it('is full for a key that was not seen for weeks', () => {
    const { take } = bucket(0.01, 1);
    expect(take(0)).toBe(0);
    expect(take(2 ** 31 + 1000)).toBe(0);
  });

  it('goes on where a clock of another front is a little behind', () => {
    const { take } = bucket(10, 1);
    expect(take(1000)).toBe(0);
    expect(take(990)).toBe(100);
    expect(take(1100)).toBe(0);
  });

  it('keeps its level when the rule changes', () => {
    const { take, setRule } = bucket(1, 10);
    for (let i = 0; i < 10; i++) expect(take(0)).toBe(0);
    setRule(100, 10);
    expect([take(0), take(9), take(10)]).toEqual([10, 1, 0]);
    setRule(100, 5);
    // Nine or ten are counted, and below five is room.
    expect(take(10)).toBe(60);
  });

  it.each(seeds(60))('decides as the algorithm with a theoretical arrival time does (seed %i)', (seed) => {
    const random = new Prng(seed);
    // Intervals that are whole in µs, so that the model is exact.
    const intervalUs = random.pick([1, 10, 125, 1000, 4000, 50_000, 1_000_000, 100_000_000]);
    const burst = random.pick([1, 2, 7, 40, 1000]);
    const { take } = bucket(1e6 / intervalUs, burst);
    let nowMs = 2 ** 31 - random.below(20_000);
    let arrivalUs = 0;
    for (let i = 0; i < 3000; i++) {
      if (random.oneIn(3)) nowMs += random.below(random.pick([2, 50, 2000]));
      const nowUs = nowMs * 1000;
      const earliestUs = Math.max(arrivalUs, nowUs) - (burst - 1) * intervalUs;
      const wait = take(nowMs);
      expect(wait, `${i}: at ${nowMs}`).toBe(earliestUs > nowUs ? Math.ceil((earliestUs - nowUs) / 1000) : 0);
      if (wait === 0) arrivalUs = Math.max(arrivalUs, nowUs) + intervalUs;
    }
  });
});
