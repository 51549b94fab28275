import { describe, expect, it } from 'vitest';
import { Layer } from '../../protocol/status.ts';
import { allocateRates, RateLimits } from '../../src/admission/rate-limits.ts';
import { type AdmissionRules, defaultRules, OFF } from '../../src/admission/rules.ts';
import { GROUPS, SkuSieve } from '../../src/admission/sku-sieve.ts';
import { Prng } from '../../src/base/prng.ts';
import { seeds } from './fixtures.ts';

/** A 64th is 1,536, or 256 in each of the six parts that a window touches. */
const RULE = { windowMs: 5000, limit: 98_304 };
const PART_MS = 1000;
const SLACK = 1536;

function sieveOf(rule = RULE, fronts = 1) {
  const sieve = new SkuSieve(fronts);
  sieve.setRule(rule);
  /** How many of so many HOLDs pass. */
  const passed = (skuLo: number, nowMs: number, holds: number) => {
    let count = 0;
    for (let i = 0; i < holds; i++) if (sieve.passes(skuLo, nowMs | 0)) count++;
    return count;
  };
  return { sieve, passed };
}

describe('a sieve', () => {
  it('lets the first of each group through in each part of the window', () => {
    const { passed } = sieveOf();
    expect([passed(1, 7000, 200), passed(1, 7999, 200), passed(2, 7999, 200)]).toEqual([200, 56, 200]);
    expect(passed(1, 7000 + PART_MS, 300)).toBe(256);
  });

  it('counts SKUs of one group together', () => {
    const { passed } = sieveOf();
    expect([passed(5, 7000, 200), passed(5 + GROUPS, 7000, 200), passed(5 - GROUPS, 7000, 1)]).toEqual([
      200, 56, 0,
    ]);
  });

  it.each([
    ['one front', 1, 256, SLACK],
    ['three', 3, 85, 1530],
  ])('divides its share between the fronts: %s', (_, fronts, most, slack) => {
    const { sieve, passed } = sieveOf(RULE, fronts);
    expect([passed(1, 0, 1000), sieve.slack]).toEqual([most, slack]);
  });

  it.each([
    ['off', OFF, 1],
    ['of a small limit', { windowMs: 5000, limit: 24_575 }, 1],
    ['that many fronts share', { windowMs: 5000, limit: 24_576 }, 2],
  ] as const)('lets nothing through where the rule is one %s', (_, rule, fronts) => {
    const sieve = new SkuSieve(fronts);
    sieve.setRule(rule);
    expect([sieve.passes(1, 0), sieve.slack]).toEqual([false, 0]);
  });

  it('goes by a rule that changes in the part at hand, with what it has counted', () => {
    const { sieve, passed } = sieveOf();
    expect(passed(1, 7000, 250)).toBe(250);
    sieve.setRule(RULE);
    expect(passed(1, 7000, 250)).toBe(6);
    sieve.setRule({ ...RULE, limit: 2 * RULE.limit });
    expect(passed(1, 7000, 1000)).toBe(256);
  });

  it.each([
    ['2^31', 2 ** 31],
    ['2^32', 2 ** 32],
  ])("goes on when the clock's low bits come to %s", (_, edge) => {
    const { passed } = sieveOf();
    const times = [edge - 100_000, edge - 500, edge + 499, edge + 500];
    expect(times.map((nowMs) => passed(1, nowMs, 300))).toEqual([256, 256, 0, 256]);
  });
});

/** Moments at which a SKU is asked for, with how many HOLDs: a trickle, then bursts, then nothing, by chance. */
function* moments(random: Prng, windowMs: number): Generator<[number, number]> {
  let nowMs = 2 ** 32 - 20_000;
  for (let i = 0; i < 80; i++) {
    nowMs += random.oneIn(20) ? 2 * windowMs : random.pick([1, 20, 200, 999, 1000, 1001]);
    yield [nowMs, random.pick([1, 10, 100, 255, 257, 3000])];
  }
}

it.each(seeds(4))('no stretch of a window has more than its limit, however SKUs pass (seed %i)', (seed) => {
  const random = new Prng(seed);
  const fronts = random.pick([1, 1, 2, 3]);
  const limit = random.pick([80_000, 100_000]);
  const windowMs = random.pick([1000, 5000, 7000]);
  const skuWindow = { windowMs, limit };
  const rules: AdmissionRules = { ...defaultRules(false), skuWindow };
  const memory = allocateRates(64, 64, seed);
  const all = Array.from({ length: fronts }, () => new RateLimits(memory, fronts, rules));
  const log: [number, number][] = [];
  let first = 0;
  let lastMs = 0;
  let inWindow = 0;
  let refused = 0;
  let bursts = 0;
  for (const [nowMs, holds] of moments(random, windowMs)) {
    // The first burst, and one in a while, is far over the limit.
    const many = bursts++ === 0 || random.oneIn(8) ? limit + 10_000 : holds;
    while (first < log.length && (log[first] as [number, number])[0] <= nowMs - windowMs) {
      inWindow -= (log[first++] as [number, number])[1];
    }
    let admitted = 0;
    for (let i = 0; i < many; i++) {
      const front = all[i % fronts] as RateLimits;
      if (front.admitHold(i, 1, false, 77, 2, nowMs | 0) === 0) admitted++;
      else refused++;
    }
    log.push([nowMs, admitted]);
    inWindow += admitted;
    expect(inWindow, `at ${nowMs}`).toBeLessThanOrEqual(limit);
    // An empty window takes the whole limit but for the sieve's share.
    if (nowMs - lastMs >= 2 * windowMs && many > limit) {
      expect(admitted).toBeGreaterThanOrEqual(limit - Math.floor(limit / 64));
    }
    lastMs = nowMs;
  }
  expect(refused).toBeGreaterThan(0);
});

it('a SKU that is refused tells when it may be held again', () => {
  const limits = new RateLimits(allocateRates(64, 64, 1), 1, { ...defaultRules(false), skuWindow: RULE });
  const hold = (nowMs: number) => limits.admitHold(1, 1, false, 7, 2, nowMs);
  let admitted = 0;
  while (hold(100) === 0) admitted++;
  // What has passed the sieve comes on top of what the window allows.
  expect([admitted, limits.retryMs]).toEqual([RULE.limit - SLACK + 256, 5000]);
  for (let i = 0; i < 256; i++) expect(hold(5099)).toBe(0);
  expect([hold(5099), limits.retryMs, hold(5100)]).toEqual([Layer.SKU_WINDOW, 1, 0]);
});
