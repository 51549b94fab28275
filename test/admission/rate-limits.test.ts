import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { bytesPerCall } from '../../perf/allocation.ts';
import { Layer } from '../../protocol/status.ts';
import { allocateRates, RateLimits } from '../../src/admission/rate-limits.ts';
import { type AdmissionRules, defaultRules, OFF } from '../../src/admission/rules.ts';
import { Prng } from '../../src/base/prng.ts';
import type { Contention, ContentionReport } from './fixtures/contention-worker.ts';
import { seeds } from './fixtures.ts';

const NAMED = false;
const ANONYMOUS = true;

function limitsOf(rules: Partial<AdmissionRules>, sizes = 64) {
  return new RateLimits(allocateRates(sizes, sizes, 7), 1, { ...defaultRules(false), ...rules });
}

/** Holders, addresses and SKUs are numbers here. */
function asker(limits: RateLimits) {
  return {
    read: (who: number, nowMs: number, anonymous = NAMED) => limits.admit(who, 1, anonymous, nowMs),
    hold: (who: number, sku: number, nowMs: number, anonymous = NAMED) =>
      limits.admitHold(who, 1, anonymous, sku, 2, nowMs),
  };
}

describe('layer 2', () => {
  it('limits each holder by itself, with the time at which it may come again', () => {
    const limits = limitsOf({ holderRate: { perSecond: 10, burst: 2 } });
    const { read, hold } = asker(limits);
    expect([read(1, 0), hold(1, 5, 0), read(1, 30), hold(1, 6, 30)]).toEqual([
      0,
      0,
      Layer.HOLDER_RATE,
      Layer.HOLDER_RATE,
    ]);
    expect(limits.retryMs).toBe(70);
    expect([hold(2, 5, 30), read(1, 100)]).toEqual([0, 0]);
  });

  it('limits an address where the connection is anonymous, by a rule of its own', () => {
    const limits = limitsOf({ addressRate: { perSecond: 1, burst: 1 } });
    const { read, hold } = asker(limits);
    expect([read(1, 0, ANONYMOUS), read(1, 0, ANONYMOUS), hold(1, 5, 0, ANONYMOUS)]).toEqual([
      0,
      Layer.ADDRESS_RATE,
      Layer.ADDRESS_RATE,
    ]);
    expect(limits.retryMs).toBe(1000);
    expect([hold(2, 5, 0, NAMED), hold(2, 5, 0, NAMED)]).toEqual([0, 0]);
  });
});

describe('layer 3', () => {
  it('limits HOLDs on a SKU over all holders, and nothing else', () => {
    const limits = limitsOf({ skuWindow: { windowMs: 1000, limit: 2 } });
    const { read, hold } = asker(limits);
    expect([hold(1, 5, 0), hold(2, 5, 0), hold(3, 5, 400)]).toEqual([0, 0, Layer.SKU_WINDOW]);
    expect(limits.retryMs).toBe(600);
    expect([hold(3, 6, 400), read(3, 400), hold(3, 5, 1000)]).toEqual([0, 0, 0]);
  });

  it('limits HOLDs of a holder over all SKUs', () => {
    const limits = limitsOf({ holderWindow: { windowMs: 1000, limit: 2 } });
    const { hold } = asker(limits);
    expect([hold(1, 5, 0), hold(1, 6, 0), hold(1, 7, 100), hold(2, 7, 100)]).toEqual([
      0,
      0,
      Layer.HOLDER_WINDOW,
      0,
    ]);
    expect(limits.retryMs).toBe(900);
  });

  it('limits HOLDs of a holder on a SKU', () => {
    const limits = limitsOf({ holderSkuWindow: { windowMs: 1000, limit: 1 } });
    const { hold } = asker(limits);
    expect([hold(1, 5, 0), hold(1, 5, 250), hold(1, 6, 250), hold(2, 5, 250)]).toEqual([
      0,
      Layer.HOLDER_WINDOW,
      0,
      0,
    ]);
    expect(limits.retryMs).toBe(750);
  });
});

describe('what is refused', () => {
  it('takes a token where a window refuses it, and counts in no window', () => {
    const limits = limitsOf({
      holderRate: { perSecond: 1, burst: 3 },
      holderWindow: { windowMs: 10_000, limit: 2 },
      skuWindow: { windowMs: 10_000, limit: 1 },
    });
    const { hold } = asker(limits);
    expect([hold(1, 5, 0), hold(1, 5, 0), hold(1, 6, 0), hold(1, 7, 0)]).toEqual([
      0,
      Layer.SKU_WINDOW,
      // The holder's window has counted one so far.
      0,
      Layer.HOLDER_RATE,
    ]);
  });

  it('counts nowhere where the bucket refuses it', () => {
    const limits = limitsOf({
      holderRate: { perSecond: 10, burst: 1 },
      holderWindow: { windowMs: 10_000, limit: 2 },
    });
    const { hold } = asker(limits);
    expect([0, 10, 20, 100, 200].map((nowMs) => hold(1, 5, nowMs))).toEqual([
      0,
      Layer.HOLDER_RATE,
      Layer.HOLDER_RATE,
      0,
      Layer.HOLDER_WINDOW,
    ]);
  });
});

it('other rules are in force at once, and keep what was counted', () => {
  const window = { windowMs: 10_000, limit: 3 };
  const limits = limitsOf({ skuWindow: window });
  const { hold } = asker(limits);
  expect([1, 2, 3, 4].map((who) => hold(who, 5, 0))).toEqual([0, 0, 0, Layer.SKU_WINDOW]);
  limits.setRules({ ...defaultRules(false), skuWindow: { ...window, limit: 4 } });
  expect([4, 5].map((who) => hold(who, 5, 0))).toEqual([0, Layer.SKU_WINDOW]);
  limits.setRules(defaultRules(false));
  expect(hold(5, 5, 0)).toBe(0);
  limits.setRules({ ...defaultRules(false), skuWindow: window });
  expect(hold(5, 5, 0)).toBe(Layer.SKU_WINDOW);
});

it('with every layer off nothing is limited, and no key remembered', () => {
  const limits = limitsOf({});
  const { read, hold } = asker(limits);
  for (let i = 0; i < 1000; i++) expect(read(i, 0) + hold(i, i, 0) + hold(1, 1, 0)).toBe(0);
  expect(limits.evictions).toBe(0);
});

it('more keys than there is room for are counted, and the limits of those that are seen often hold', () => {
  const limits = limitsOf({ skuWindow: { windowMs: 1000, limit: 10 } });
  const { hold } = asker(limits);
  const random = new Prng(1);
  let admitted = 0;
  for (let i = 0; i < 5000; i++) {
    const nowMs = i / 6;
    if (hold(1, -1, nowMs | 0) === 0) admitted++;
    hold(1, random.below(100_000), nowMs | 0);
  }
  expect(limits.evictions).toBeGreaterThan(4000);
  expect(admitted).toBe(10);
});

it('nothing is allocated for a command, admitted or refused', () => {
  const limits = limitsOf({ ...defaultRules(true), holderSkuWindow: { windowMs: 1000, limit: 5 } }, 1024);
  const random = new Prng(2);
  const layers = new Int32Array(16);
  // Drawn beforehand, so that only the limits can allocate.
  const draws = Int32Array.from({ length: 4096 }, () => random.below(2000));
  const draw = (call: number) => draws[call & 4095] as number;
  const ask = (call: number) => {
    const layer = limits.admitHold(draw(call) % 200, 1, NAMED, draw(call + 1) % 500, 2, call >> 4);
    layers[layer] = (layers[layer] as number) + 1;
    limits.admit(draw(call + 2), 1, ANONYMOUS, call >> 4);
  };
  const bytes = bytesPerCall(ask, 20_000, 1);
  expect(bytes).toBeLessThan(1);
  expect([0, Layer.HOLDER_RATE, Layer.HOLDER_WINDOW].every((layer) => layers[layer] > 0)).toBe(true);
});

/** Against exact logs of every key, with far more room than keys: what one front would do by the book. */
it.each(seeds(30))('decides as logs of every command would, over all fronts (seed %i)', (seed) => {
  const random = new Prng(seed);
  const burst = 1 + random.below(20);
  const perSecond = random.pick([1, 10, 100]);
  const limits = { holder: 1 + random.below(10), pair: 1 + random.below(4), sku: 1 + random.below(20) };
  const windowMs = 1000;
  const rules = {
    ...defaultRules(false),
    holderRate: { perSecond, burst },
    holderWindow: { windowMs, limit: limits.holder },
    holderSkuWindow: { windowMs, limit: limits.pair },
    skuWindow: { windowMs, limit: limits.sku },
  };
  const memory = allocateRates(4096, 4096, seed);
  const fronts = [1, 2, 3].map(() => new RateLimits(memory, 3, rules));
  const logs = new Map<string, number[]>();
  const logOf = (key: string): number[] => logs.get(key) ?? logs.set(key, []).get(key) ?? [];
  const full = (key: string, limit: number, nowMs: number) => {
    const log = logOf(key);
    return (log[log.length - limit] ?? -1) > nowMs - windowMs;
  };
  let nowMs = 2 ** 32 - 30_000;
  const seen = new Int32Array(16);
  for (let i = 0; i < 4000; i++) {
    // In steps of more than the coarsest grain, every bucket is a moment, and the logs are exact.
    if (random.oneIn(40)) nowMs += 250 * (1 + random.below(3));
    const who = random.below(12);
    const sku = random.below(6);
    const layer = random.pick(fronts).admitHold(who, 1, NAMED, sku, 2, nowMs | 0);
    seen[layer] = (seen[layer] as number) + 1;
    // Sliding windows only: what the bucket does has a model of its own.
    if (layer === Layer.HOLDER_RATE) continue;
    const keys: [string, number, number][] = [
      [`h${who}`, limits.holder, Layer.HOLDER_WINDOW],
      [`p${who}/${sku}`, limits.pair, Layer.HOLDER_WINDOW],
      [`s${sku}`, limits.sku, Layer.SKU_WINDOW],
    ];
    const refusing = keys.find(([key, limit]) => full(key, limit, nowMs));
    expect(layer, `command ${i} at ${nowMs}`).toBe(refusing?.[2] ?? 0);
    if (layer === 0) for (const [key] of keys) logOf(key).push(nowMs);
  }
  expect(seen[0]).toBeGreaterThan(0);
  expect(4000 - seen[0]).toBeGreaterThan(0);
});

/** Two fronts look every HOLD up, as others may have come between; a lone one does not, where a holder sends many at once. */
it.each(seeds(12))('a lone front decides as one of several would (seed %i)', (seed) => {
  const random = new Prng(seed);
  const rules = (): AdmissionRules => ({
    ...defaultRules(false),
    holderRate: random.oneIn(6)
      ? OFF
      : { perSecond: random.pick([10, 5000]), burst: random.pick([5, 400, 9000]) },
    addressRate: random.oneIn(3) ? OFF : { perSecond: 100, burst: 200 },
    holderWindow: random.oneIn(6) ? OFF : { windowMs: 1000, limit: random.pick([50, 1001, 4000]) },
    skuWindow: random.oneIn(3) ? OFF : { windowMs: 1000, limit: random.pick([300, 5000]) },
  });
  const first = rules();
  const sides = [1, 2].map((fronts) => new RateLimits(allocateRates(16, 64, seed), fronts, first));
  const seen = new Int32Array(16);
  let nowMs = 2 ** 31 - 4000;
  for (let turn = 0; turn < 300; turn++) {
    if (random.oneIn(2)) nowMs += random.pick([1, 1, 7, 100, 400]);
    if (random.oneIn(60)) {
      const next = rules();
      for (const side of sides) side.setRules(next);
    }
    // More than there is room for, so that one is forgotten for another now and then, within a run too.
    const who = random.below(40);
    const nameless = random.oneIn(5);
    for (let i = random.pick([1, 3, 50, 200]); i > 0; i--) {
      const read = random.oneIn(20);
      const anonymous = random.oneIn(20) ? !nameless : nameless;
      const other = random.oneIn(20) ? random.below(40) : who;
      const sku = random.below(4);
      const [alone, shared] = sides.map((side) => {
        const layer = read
          ? side.admit(other, 1, anonymous, nowMs | 0)
          : side.admitHold(other, 1, anonymous, sku, 2, nowMs | 0);
        return [layer, layer === 0 ? 0 : side.retryMs];
      });
      expect(alone, `turn ${turn} at ${nowMs}`).toEqual(shared);
      const layer = alone?.[0] as number;
      seen[layer] = (seen[layer] as number) + 1;
    }
  }
  expect(seen[0]).toBeGreaterThan(0);
});

it('threads that ask at once are let in as often as the limit says, and not once more', async () => {
  const rules = {
    ...defaultRules(false),
    holderRate: { perSecond: 0.01, burst: 30_000 },
    skuWindow: { windowMs: 600_000, limit: 50_000 },
  };
  const memory = allocateRates(64, 64, 7);
  const gate = new SharedArrayBuffer(4);
  const workers = [0, 1, 2].map(
    (who) =>
      new Worker(new URL('./fixtures/contention-worker.ts', import.meta.url), {
        workerData: { memory, gate, rules, who, threads: 3 } satisfies Contention,
      }),
  );
  const reports = (await Promise.all(
    workers.map(async (worker) => (await once(worker, 'message'))[0]),
  )) as ContentionReport[];
  const limits = new RateLimits(memory, 3, rules);
  const sum = (pick: (report: ContentionReport) => number) =>
    reports.reduce((n, report) => n + pick(report), 0);
  // What passed while a set was locked for long was not counted, so it comes on top. It is rare.
  expect(sum(({ admittedReads }) => admittedReads)).toBeGreaterThanOrEqual(30_000);
  expect(
    sum(({ admittedReads }) => admittedReads) + sum(({ admittedHolds }) => admittedHolds),
  ).toBeLessThanOrEqual(80_000 + limits.uncounted);
  expect(sum(({ admittedHolds }) => admittedHolds)).toBeGreaterThanOrEqual(50_000);
});
