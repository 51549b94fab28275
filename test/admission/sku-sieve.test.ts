import { describe, expect, it } from 'vitest';
import { SkuSieve } from '../../src/admission/sku-sieve.ts';
import { Prng } from '../../src/base/prng.ts';
import { seeds } from './fixtures.ts';

const WINDOW_MS = 1000;
const LIMIT = 3200;
/** What one front of two sets aside of it. */
const FEW = 100;

function sieveOf(limit = LIMIT, fronts = 2) {
  const sieve = new SkuSieve();
  const rule = sieve.setRule({ windowMs: WINDOW_MS, limit }, fronts);
  return { sieve, rule };
}

function passing(sieve: SkuSieve, sku: number, nowMs: number, tries = 1000): number {
  let passed = 0;
  for (let i = 0; i < tries; i++) if (sieve.passes(sku, nowMs)) passed++;
  return passed;
}

describe('the sieve before the windows of SKUs', () => {
  it.each([
    [LIMIT, 2, LIMIT - 2 * FEW],
    [LIMIT, 1, LIMIT - 2 * FEW],
    [100_000, 3, 100_000 - 3 * 2083],
    [1023, 1, 1023],
  ])('of a limit of %i and %i fronts leaves %i to be counted one by one', (limit, fronts, counted) => {
    expect(sieveOf(limit, fronts).rule).toEqual({ windowMs: WINDOW_MS, limit: counted });
  });

  it('lets a SKU pass until its front has let past what it set aside, and each SKU by itself', () => {
    const { sieve } = sieveOf();
    expect([passing(sieve, 1, 5), passing(sieve, 2, 5), passing(sieve, 1, 900)]).toEqual([FEW, FEW, 0]);
  });

  it('lets it pass again when a whole window has gone by', () => {
    const { sieve } = sieveOf();
    passing(sieve, 1, 0);
    expect(passing(sieve, 1, 999)).toBe(0);
    expect(passing(sieve, 1, 1999)).toBe(0);
    expect(passing(sieve, 1, 2999)).toBe(FEW);
    expect(passing(sieve, 1, 99_999)).toBe(FEW);
  });

  it.each([
    ['a small limit', 1023],
    ['no rule', 'off'],
  ] as const)('lets nothing pass with %s', (_, limit) => {
    const sieve = new SkuSieve();
    sieve.setRule(limit === 'off' ? limit : { windowMs: WINDOW_MS, limit }, 1);
    expect(passing(sieve, 1, 0)).toBe(0);
  });

  it('goes on when the clock comes round', () => {
    const { sieve } = sieveOf();
    expect(passing(sieve, 1, 0x7ffffff0)).toBe(FEW);
    expect(passing(sieve, 1, -0x7ffffff0)).toBe(0);
    expect(passing(sieve, 1, -0x7ffff000)).toBe(FEW);
  });

  it.each(seeds(5))(
    'lets past no more than was set aside in any stretch of a window, whatever comes when (seed %i)',
    (seed) => {
      const random = new Prng(seed);
      const { sieve } = sieveOf();
      const passed: number[] = [];
      let nowMs = 0;
      for (let step = 0; step < 3000; step++) {
        nowMs += random.oneIn(50) ? random.below(1500) : random.below(30);
        for (let i = random.below(12); i > 0; i--) if (sieve.passes(7, nowMs)) passed.push(nowMs);
      }
      expect(passed.length).toBeGreaterThan(FEW);
      passed.forEach((lastMs, i) => {
        const within = passed.slice(0, i + 1).filter((ms) => ms > lastMs - WINDOW_MS).length;
        expect(within).toBeLessThanOrEqual(FEW);
      });
    },
  );
});
