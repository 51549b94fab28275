import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import {
  COARSE_BUCKETS,
  EPOCH_MS,
  Header,
  Hold,
  layoutSegment,
  TICK_MS,
  viewSegment,
} from '../../src/core/layout.ts';
import { Wheel } from '../../src/core/wheel.ts';
import { makeSegment, T0 } from './fixtures.ts';

const SLOTS = 64;
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const BATCH = new Int32Array(16);

interface Scene {
  readonly name: string;
  /** Longest time from now to a deadline, and longest step of the clock, ms. */
  readonly reachMs: number;
  readonly stepMs: number;
  readonly steps: number;
}

describe('the wheel', () => {
  it.each<Scene>([
    { name: 'within an epoch', reachMs: 3000, stepMs: 50, steps: 3000 },
    { name: 'over the edges of epochs', reachMs: 4 * EPOCH_MS, stepMs: EPOCH_MS / 3, steps: 1500 },
    { name: 'with steps over several epochs', reachMs: 20 * EPOCH_MS, stepMs: 5 * EPOCH_MS, steps: 400 },
    { name: 'with deadlines days ahead', reachMs: 600_000_000, stepMs: 40_000_000, steps: 60 },
    {
      name: 'with a clock that leaps further than a whole turn',
      reachMs: 600_000_000,
      stepMs: COARSE_BUCKETS * EPOCH_MS,
      steps: 12,
    },
  ])('gives out each hold once, when its bucket is past: $name', ({ reachMs, stepMs, steps }) => {
    for (const seed of SEEDS) play(new Prng(seed), reachMs, stepMs, steps);
  });

  /** Adds, removes and works off at random against a map of deadlines. */
  function play(random: Prng, reachMs: number, stepMs: number, steps: number): void {
    const { wheel, at, put, f64 } = makeWheel();
    const deadlines = new Map<number, number>();
    let now = T0 + random.below(2 * EPOCH_MS);
    at(now);
    wheel.start();
    for (let step = 0; step < steps; step++) {
      for (let adds = random.below(5); adds > 0; adds--) {
        const slot = random.below(SLOTS);
        if (deadlines.has(slot)) continue;
        const endsAt = now + 1 + random.below(random.oneIn(2) ? reachMs : Math.min(reachMs, 100));
        deadlines.set(slot, endsAt);
        put(slot, endsAt);
        wheel.add(slot);
      }
      for (const slot of [...deadlines.keys()].filter(() => random.oneIn(6))) {
        wheel.remove(slot);
        deadlines.delete(slot);
      }
      now += random.below(random.oneIn(3) ? stepMs : 2 * TICK_MS);
      if (random.oneIn(2)) wheel.cascade(random.below(4));
      // Now and then it is not worked off for a while.
      if (random.oneIn(4)) continue;
      const past = TICK_MS * Math.floor((now + 1) / TICK_MS);
      const due = new Set([...deadlines].filter(([, endsAt]) => endsAt < past).map(([slot]) => slot));
      for (;;) {
        const most = 1 + random.below(BATCH.length);
        const found = at(now).due(BATCH, most);
        expect(found).toBeLessThanOrEqual(most);
        if (found === 0) break;
        for (const slot of BATCH.subarray(0, found)) {
          if (!due.delete(slot))
            throw new Error(`slot ${slot}, which ends at ${deadlines.get(slot)}, came at ${now}`);
          wheel.remove(slot);
          deadlines.delete(slot);
        }
      }
      expect([...due]).toEqual([]);
      expect((f64[Header.TICK_F64] as number) * TICK_MS).toBe(past);
    }
  }

  it('gives out a bucket in the order in which its holds came', () => {
    const { wheel, at, put } = makeWheel();
    at(T0);
    wheel.start();
    for (const slot of [5, 3, 9, 1]) {
      put(slot, T0 + 8);
      wheel.add(slot);
    }
    wheel.remove(9);
    expect(at(T0 + 14).due(BATCH, 16)).toBe(0);
    expect(at(T0 + 15).due(BATCH, 2)).toBe(2);
    expect([...BATCH.subarray(0, 2)]).toEqual([5, 3]);
    wheel.remove(5);
    wheel.remove(3);
    expect(at(T0 + 15).due(BATCH, 16)).toBe(1);
    expect(BATCH[0]).toBe(1);
  });

  it('moves no more holds at a time to the fine buckets than it is told', () => {
    const { wheel, at, put } = makeWheel();
    at(T0);
    wheel.start();
    for (let slot = 0; slot < 10; slot++) {
      put(slot, T0 + 2 * EPOCH_MS + 100);
      wheel.add(slot);
    }
    expect(wheel.cascade(100)).toBe(0);
    // The second epoch has begun: the third one's holds may be moved.
    expect(at(T0 + EPOCH_MS).due(BATCH, 16)).toBe(0);
    expect(wheel.cascade(4)).toBe(4);
    expect(wheel.cascade(4)).toBe(4);
    expect(wheel.cascade(4)).toBe(2);
    expect(wheel.cascade(4)).toBe(0);
    expect(at(T0 + 2 * EPOCH_MS + 107).due(BATCH, 16)).toBe(10);
  });

  it('moves what was left to the fine buckets before it passes them', () => {
    const { wheel, at, put } = makeWheel();
    at(T0);
    wheel.start();
    for (let slot = 0; slot < 10; slot++) {
      put(slot, T0 + 5 * EPOCH_MS);
      wheel.add(slot);
    }
    expect(at(T0 + 5 * EPOCH_MS + 6).due(BATCH, 16)).toBe(0);
    expect(at(T0 + 5 * EPOCH_MS + 7).due(BATCH, 16)).toBe(10);
  });
});

/** A wheel over the memory of a segment, and a way to give slots a deadline. */
function makeWheel() {
  const { options } = makeSegment({ holds: SLOTS });
  const layout = layoutSegment(options);
  const memory = viewSegment(new SharedArrayBuffer(layout.bytes));
  memory.i32[Header.FRESH_HOLD] = SLOTS;
  const put = (slot: number, endsAt: number): void => {
    memory.f64[(layout.holds + slot * Hold.WORDS) / 2 + Hold.ENDS_F64] = endsAt;
  };
  const wheel = new Wheel(memory, layout);
  /** The wheel, once the segment's time is set. */
  const at = (now: number): Wheel => {
    memory.f64[Header.NOW_F64] = now;
    return wheel;
  };
  return { wheel, at, put, f64: memory.f64 };
}
