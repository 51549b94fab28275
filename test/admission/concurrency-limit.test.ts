import { describe, expect, it } from 'vitest';
import { ConcurrencyLimit } from '../../src/admission/concurrency-limit.ts';
import { type ConcurrencyRule, defaultRules } from '../../src/admission/rules.ts';
import { Prng } from '../../src/base/prng.ts';

const RULE = defaultRules(false).concurrency as ConcurrencyRule;
const TICK_MS = 100;
const SAMPLED = 200;

/**
 * A worker that finishes so many commands a second in the order in which they came, and a store that holds each answer back for a time;
 * clients offer commands evenly, and those beyond the limit are refused. In steps of a ms, without a clock.
 */
class Worker {
  readonly limit = new ConcurrencyLimit(RULE);
  accepted = 0;
  refused = 0;
  /** Waits of the last second, ms. */
  waits: number[] = [];
  private readonly queue: number[] = [];
  private readonly held: { at: number; count: number }[] = [];
  private underWay = 0;
  private acceptedBefore = 0;
  private most = 0;
  private nowMs = 0;
  private credit = 0;
  private readonly random = new Prng(7);

  /** Plays so many ms. `pause`: whether the worker stands still in that ms. */
  play(
    ms: number,
    { offered = 0, finishes = 0, durableMs = 0, pause = (_ms: number): boolean => false },
  ): this {
    for (let i = 0; i < ms; i++) {
      this.nowMs++;
      while (this.held.length > 0 && (this.held[0]?.at ?? 0) <= this.nowMs) {
        this.underWay -= this.held.shift()?.count ?? 0;
      }
      for (let n = 0; n < offered / 1000; n++) this.offer();
      this.most = Math.max(this.most, this.underWay);
      if (!pause(i)) this.work(finishes / 1000, durableMs);
      if (this.nowMs % TICK_MS === 0) {
        this.limit.tick(this.most, ((this.accepted - this.acceptedBefore) * 1000) / TICK_MS, false);
        this.acceptedBefore = this.accepted;
        this.most = this.underWay;
      }
      if (this.nowMs % 1000 === 1) this.waits = [];
    }
    return this;
  }

  private offer(): void {
    if (this.underWay >= this.limit.limit) {
      this.refused++;
      return;
    }
    this.underWay++;
    this.queue.push(this.nowMs);
  }

  private work(commands: number, durableMs: number): void {
    this.credit = Math.min(this.credit + commands, commands + this.queue.length);
    const count = Math.min(Math.floor(this.credit), this.queue.length);
    this.credit -= count;
    const oneIn = Math.max(1, Math.round((commands * TICK_MS) / SAMPLED));
    for (const came of this.queue.splice(0, count)) {
      this.waits.push(this.nowMs - came);
      if (this.random.oneIn(oneIn)) this.limit.waited(this.nowMs - came, this.nowMs - came + durableMs);
    }
    this.accepted += count;
    this.held.push({ at: this.nowMs + durableMs, count });
  }
}

function share(waits: readonly number[], part: number): number {
  const sorted = [...waits].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * part)] ?? 0;
}

describe('the limit of what is under way to a worker', () => {
  it.each([
    ['with room to spare', { offered: 20_000, finishes: 40_000 }],
    ['just full', { offered: 40_000, finishes: 40_000 }],
    ['on a disk that takes 200 ms for a sync', { offered: 39_000, finishes: 40_000, durableMs: 200 }],
    [
      'with a pause of 60 ms every second',
      { offered: 20_000, finishes: 40_000, pause: (ms: number) => ms % 1000 < 60 },
    ],
  ])('refuses nothing of a healthy server: %s', (_, load) => {
    const worker = new Worker().play(10_000, load);
    expect(worker.refused).toBe(0);
    expect(worker.limit.limit).toBe(RULE.max);
  });

  it.each([
    ['twice', 2],
    ['ten times', 10],
  ])(
    'at %s what the worker can do, finds a limit within 3 s at which waits are what they may be and it is never idle',
    (_, times) => {
      const worker = new Worker().play(3000, { offered: times * 20_000, finishes: 20_000 });
      const before = worker.accepted;
      for (let second = 0; second < 10; second++) {
        worker.play(1000, { offered: times * 20_000, finishes: 20_000 });
        expect(share(worker.waits, 0.95)).toBeLessThan(RULE.p99Ms);
        expect(share(worker.waits, 0.99)).toBeLessThan(2 * RULE.p99Ms);
      }
      expect(worker.accepted - before).toBeGreaterThan(0.95 * 10 * 20_000);
    },
  );

  it('follows a worker that becomes slower, and one that becomes faster', () => {
    const worker = new Worker().play(5000, { offered: 100_000, finishes: 40_000 });
    const fast = worker.limit.limit;
    worker.play(5000, { offered: 100_000, finishes: 10_000 });
    const slow = worker.limit.limit;
    expect(slow).toBeLessThan(fast / 2);
    worker.play(5000, { offered: 100_000, finishes: 40_000 });
    expect(worker.limit.limit).toBeGreaterThan(1.5 * slow);
  });

  it('is never less than what keeps a worker busy that gets no core for a while, again and again', () => {
    const worker = new Worker().play(5000, {
      offered: 200_000,
      finishes: 40_000,
      pause: (ms) => ms % 50 < 25,
    });
    const before = worker.accepted;
    worker.play(10_000, { offered: 200_000, finishes: 40_000, pause: (ms) => ms % 50 < 25 });
    expect(worker.accepted - before).toBeGreaterThan(0.9 * 10 * 20_000);
  });

  it('leaves room for what waits for a slow disk, also when the queue stands', () => {
    const load = { offered: 200_000, finishes: 20_000, durableMs: 200 };
    const worker = new Worker().play(5000, load);
    const before = worker.accepted;
    worker.play(10_000, load);
    expect(worker.accepted - before).toBeGreaterThan(0.9 * 10 * 20_000);
    expect(share(worker.waits, 0.95)).toBeLessThan(2 * RULE.p99Ms);
  });

  it('is cut where a store refuses what it has no room for, down to what is on its way to the disk', () => {
    const limit = new ConcurrencyLimit(RULE);
    for (let tick = 0; tick < 60; tick++) {
      for (let i = 0; i < SAMPLED; i++) limit.waited(1, 21);
      limit.tick(limit.limit, 50_000, true);
    }
    expect(limit.limit).toBeCloseTo(50_000 * 0.02, -2);
  });

  it('is as before when the load has been small for a while', () => {
    const worker = new Worker().play(5000, { offered: 200_000, finishes: 20_000 });
    expect(worker.limit.limit).toBeLessThan(2000);
    worker.play(15_000, { offered: 1000, finishes: 20_000 });
    expect(worker.limit.limit).toBe(RULE.max);
  });

  it('does not grow while a worker that has enough to do finishes nothing', () => {
    const limit = new ConcurrencyLimit(RULE);
    for (let tick = 0; tick < 5; tick++) {
      for (let i = 0; i < SAMPLED; i++) limit.waited(100, 100);
      limit.tick(1000, 0, false);
    }
    const cut = limit.limit;
    expect(cut).toBeLessThan(1000);
    for (let tick = 0; tick < 50; tick++) limit.tick(cut, 0, false);
    expect(limit.limit).toBe(cut);
  });

  it('bears with a queue for two readings, but for none soon after a cut', () => {
    const limit = new ConcurrencyLimit(RULE);
    const cutBy = (waitMs: number): boolean => {
      const before = limit.limit;
      for (let i = 0; i < SAMPLED; i++) limit.waited(waitMs, waitMs);
      limit.tick(1000, 0, false);
      return limit.limit < before;
    };
    expect([100, 100, 100, 1, 100, 1].map(cutBy)).toEqual([false, false, true, false, true, false]);
    for (let reading = 0; reading < 20; reading++) cutBy(1);
    expect([100, 100, 100].map(cutBy)).toEqual([false, false, true]);
  });

  it.each([
    ['never fewer than the rules say', { ...RULE, min: 500 }, RULE, 500],
    ['no more than new rules allow', RULE, { ...RULE, max: 20, min: 1 }, 20],
    ['no fewer than new rules say', RULE, { ...RULE, min: 900 }, 900],
  ])('is %s', (_, before, behind, expected) => {
    const limit = new ConcurrencyLimit(before);
    for (let tick = 0; tick < 50; tick++) {
      for (let i = 0; i < SAMPLED; i++) limit.waited(100, 100);
      limit.tick(400, 0, false);
    }
    limit.change(behind);
    expect(limit.limit).toBe(expected);
  });
});
