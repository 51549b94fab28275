import { describe, expect, it } from 'vitest';
import { Head } from '../../src/admission/entry-layout.ts';
import { allocateTable, KeyedTable } from '../../src/admission/keyed-table.ts';
import type { WindowRule } from '../../src/admission/rules.ts';
import { SlidingWindow } from '../../src/admission/sliding-window.ts';
import { Prng } from '../../src/base/prng.ts';
import { seeds } from './fixtures.ts';

/** One key's window. */
function windowOf(rule: WindowRule) {
  const table = new KeyedTable(allocateTable(8, 1), false);
  const window = new SlidingWindow(table);
  window.setRule(rule);
  const entryAt = (nowMs: number) => table.claim(1, 2, nowMs | 0);
  return {
    /** 0 and the command is counted, or how long to wait. */
    take(nowMs: number): number {
      const entry = entryAt(nowMs);
      const wait = window.waitMs(entry, nowMs | 0);
      if (wait === 0) window.count(entry, nowMs | 0);
      return wait;
    },
    setRule: (next: WindowRule) => window.setRule(next),
    counted: (nowMs: number) => table.i32[entryAt(nowMs) + Head.SUM],
    grain: (nowMs: number) => ((table.i32[entryAt(nowMs) + Head.SHAPE] as number) >>> 16) & 3,
  };
}

const FINE = 0;
const MEDIUM = 1;
const COARSE = 2;

/** `perSlot` attempts in every 100 ms, for some seconds. Returns when it is over. */
function steady(take: (nowMs: number) => number, fromMs: number, seconds: number, perSlot: number): number {
  for (let slot = 0; slot < seconds * 10; slot++) {
    for (let i = 0; i < perSlot; i++) take(fromMs + slot * 100 + Math.floor((i * 100) / perSlot));
  }
  return fromMs + seconds * 1000;
}

describe('a sliding window', () => {
  it('lets so many in, and the next when the oldest bucket leaves', () => {
    const { take } = windowOf({ windowMs: 10_000, limit: 3 });
    expect([0, 200, 400, 500, 9_999, 10_000, 10_000].map(take)).toEqual([0, 0, 0, 9_500, 1, 0, 200]);
  });

  it('counts what comes within a grain as if it had come with the last of it', () => {
    const { take } = windowOf({ windowMs: 10_000, limit: 2 });
    expect([0, 99, 10_000, 10_098, 10_099].map(take)).toEqual([0, 0, 99, 1, 0]);
  });

  it('counts nothing that it refuses', () => {
    const { take } = windowOf({ windowMs: 1000, limit: 1 });
    expect(take(0)).toBe(0);
    for (let nowMs = 0; nowMs < 1000; nowMs++) expect(take(nowMs)).toBe(1000 - nowMs);
    expect(take(1000)).toBe(0);
  });

  it.each([
    ['2^31', 2 ** 31],
    ['2^32', 2 ** 32],
  ])("counts on when the clock's low bits come to %s", (_, edge) => {
    const { take } = windowOf({ windowMs: 2000, limit: 2 });
    expect([-300, 300, 400, 1699, 1700].map((ms) => take(edge + ms))).toEqual([0, 0, 1300, 1, 0]);
  });

  it('is empty for a key that was not seen for weeks', () => {
    const { take } = windowOf({ windowMs: 600_000, limit: 1 });
    expect([0, 2 ** 31 + 1000].map(take)).toEqual([0, 0]);
  });

  it.each([4000, 4001, 4002, 4003])(
    'takes a limit of %i in one millisecond when all else has left',
    (limit) => {
      const { take } = windowOf({ windowMs: 1000, limit });
      for (let i = 0; i < 300; i++) expect(take(0)).toBe(0);
      let admitted = 0;
      while (take(5000) === 0) admitted++;
      expect(admitted).toBe(limit);
    },
  );

  it('goes on where a clock of another front is a little behind', () => {
    const { take } = windowOf({ windowMs: 1000, limit: 2 });
    expect([1000, 950, 960, 2000].map(take)).toEqual([0, 0, 1000, 0]);
  });
});

describe('a ring of buckets', () => {
  it('goes round for as long as traffic goes on, and keeps room for a burst', () => {
    const { take } = windowOf({ windowMs: 1000, limit: 500 });
    for (let i = 0; i < 490; i++) expect(take(i * 150)).toBe(0);
    for (let i = 0; i < 400; i++) expect(take(490 * 150)).toBe(0);
  });

  it('that is full of finer buckets, from a shorter window, forgets none of them', () => {
    const { take, setRule } = windowOf({ windowMs: 6400, limit: 900 });
    // Bursts once a second, so that the grain stays fine.
    for (let i = 0; i < 64; i++) {
      for (let n = 0; n < (i % 10 === 0 ? 31 : 1); n++) expect(take(i * 100)).toBe(0);
    }
    const counted = 64 + 7 * 30;
    setRule({ windowMs: 600_000, limit: counted + 35 });
    for (let i = 0; i < 35; i++) expect(take(10_000 * (1 + Math.floor(i / 5)))).toBe(0);
    expect(take(80_000)).toBe(520_000);
    // Whatever came first leaves first.
    for (let n = 0; n < 31; n++) expect(take(600_000)).toBe(0);
    expect([600_000, 600_099, 600_100].map(take)).toEqual([100, 1, 0]);
  });
});

describe('the grain of its buckets', () => {
  it('becomes coarser while traffic is even, and finer when it is not', () => {
    const { take, grain } = windowOf({ windowMs: 10_000, limit: 40 });
    let nowMs = 5000;
    expect(grain(nowMs)).toBe(FINE);
    nowMs = steady(take, nowMs, 2, 20);
    expect(grain(nowMs)).toBe(MEDIUM);
    nowMs = steady(take, nowMs, 2, 20);
    expect(grain(nowMs)).toBe(COARSE);
    // All of a second at once.
    for (let second = 0; second < 2; second++, nowMs += 1000) {
      for (let i = 0; i < 200; i++) take(nowMs);
    }
    take(nowMs);
    expect(grain(nowMs)).toBe(FINE);
  });

  it('follows attempts, also where they are refused', () => {
    const { take, grain } = windowOf({ windowMs: 10_000, limit: 1 });
    expect(grain(steady(take, 0, 4, 20))).toBe(COARSE);
  });

  it('is coarse below a quarter of a limit of many, where traffic is not read', () => {
    const { take, grain } = windowOf({ windowMs: 5000, limit: 1000 });
    // A quarter in the first second, a bucket; what comes on top has buckets of its own.
    for (let i = 0; i < 250; i++) expect(take(i * 3)).toBe(0);
    expect(grain(999)).toBe(FINE);
    for (let i = 0; i < 750; i++) expect(take(1000 + 100 * Math.floor(i / 75))).toBe(0);
    expect([2000, 5746, 5747].map(take)).toEqual([3747, 1, 0]);
    for (let i = 0; i < 249; i++) expect(take(5747)).toBe(0);
    expect([5747, 6000].map(take)).toEqual([253, 0]);
  });

  it('is fine for a key that comes back from a rest', () => {
    const { take, grain } = windowOf({ windowMs: 10_000, limit: 40 });
    const nowMs = steady(take, 0, 5, 20) + 60_000;
    take(nowMs);
    expect(grain(nowMs)).toBe(FINE);
  });
});

describe('a rule that changes', () => {
  it('keeps what is counted', () => {
    const { take, setRule, counted } = windowOf({ windowMs: 10_000, limit: 10 });
    for (let i = 0; i < 10; i++) expect(take(i * 200)).toBe(0);
    setRule({ windowMs: 10_000, limit: 12 });
    expect([2000, 2200, 2400].map(take)).toEqual([0, 0, 7600]);
    expect(counted(2400)).toBe(12);
  });

  it('tells the time at which enough has left, where the limit is lower now', () => {
    const { take, setRule } = windowOf({ windowMs: 10_000, limit: 10 });
    for (let i = 0; i < 10; i++) take(i * 200);
    setRule({ windowMs: 10_000, limit: 4 });
    // Seven of ten have to leave: the seventh came at 1,200 ms.
    expect([2000, 11_199, 11_200].map(take)).toEqual([9200, 1, 0]);
  });

  it('lets what has left a shorter window go', () => {
    const { take, setRule } = windowOf({ windowMs: 10_000, limit: 2 });
    take(0);
    take(3000);
    setRule({ windowMs: 1000, limit: 2 });
    expect([3500, 3600, 4000, 4000].map(take)).toEqual([0, 400, 0, 500]);
  });
});

/**
 * Against a log of every command that was let in. Never more than the limit in any stretch of the window's length; and what is refused would be
 * too much for a window that is longer by two buckets of the coarsest grain.
 */
it.each(seeds(80))('admits no more than the limit, and not much less (seed %i)', (seed) => {
  const random = new Prng(seed);
  const windowMs = random.pick([1000, 1500, 5000, 10_000, 64_000, 600_000]);
  const limit = random.pick([1, 3, 20, 150, 2000]);
  const { take } = windowOf({ windowMs, limit });
  const coarsestMs = Math.min(windowMs / 5, Math.max(1000, 10 * Math.ceil(windowMs / 64)));
  /** When commands were let in. */
  const log: number[] = [];
  let nowMs = (random.oneIn(2) ? 2 ** 31 : 2 ** 32) - random.below(3 * windowMs);
  let left = 0;
  let even = true;
  let gapMs = 1;
  for (let i = 0; i < 20_000; i++) {
    // Seconds of even traffic, of bursts, of rest, so that the grain goes to and fro.
    if (left-- === 0) {
      left = 50 + random.below(2000);
      even = random.oneIn(2);
      gapMs = random.pick([1, 2, 5, 9, 40]);
      if (random.oneIn(5)) nowMs += random.below(2 * windowMs);
    }
    if (even) nowMs += gapMs;
    else if (random.oneIn(60)) nowMs += gapMs * random.below(120);
    const wait = take(nowMs);
    // Whether `limit` commands were let in within that time.
    const full = (lengthMs: number) => (log[log.length - limit] ?? -1) > nowMs - lengthMs;
    const right = wait === 0 ? !full(windowMs) : full(windowMs + 2 * coarsestMs) && wait <= windowMs;
    if (!right) throw new Error(`command ${i} at ${nowMs}: wait ${wait} (${windowMs} ms, limit ${limit})`);
    if (wait === 0) log.push(nowMs);
  }
  expect(log.length).toBeGreaterThan(0);
});

/** The retry time of what was refused, if nobody else comes, is the first moment at which it is let in. */
it.each(seeds(40))('lets in at the time that it says, and not before (seed %i)', (seed) => {
  const random = new Prng(seed);
  const rule = { windowMs: random.pick([1000, 10_000, 120_000]), limit: random.pick([1, 5, 20]) };
  const startMs = 2 ** 31 - random.below(2 * rule.windowMs);
  const gaps = Array.from({ length: 400 }, () =>
    random.oneIn(3) ? random.below(rule.windowMs / 10) : random.below(20),
  );
  const play = (then: (take: (nowMs: number) => number, waitMs: number, atMs: number) => void) => {
    const { take } = windowOf(rule);
    let at = startMs;
    for (const gap of gaps) {
      at += gap;
      const wait = take(at);
      if (wait > 0) {
        then(take, wait, at);
        return;
      }
    }
  };
  let refused = 0;
  play((take, waitMs, atMs) => {
    refused++;
    if (waitMs > 1) expect(take(atMs + waitMs - 1)).toBe(1);
  });
  play((take, waitMs, atMs) => expect(take(atMs + waitMs)).toBe(0));
  expect(refused).toBe(1);
});
