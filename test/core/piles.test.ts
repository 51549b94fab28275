import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { Header, Hold, LOOSE, layoutSegment, Sku, viewSegment } from '../../src/core/layout.ts';
import { Piles } from '../../src/core/piles.ts';
import { makeSegment, T0 } from './fixtures.ts';

const SLOTS = 48;
const SEEDS = Array.from({ length: 12 }, (_, i) => i + 1);

interface Placed {
  readonly slot: number;
  readonly endsAt: number;
  readonly pile: number;
}

describe('the piles of a SKU', () => {
  it.each([[[500]], [[30, 500]], [[1, 30, 70, 90, 200, 500, 333]]])(
    'know exactly which hold ends first, with times to live of %j',
    (times) => {
      for (const seed of SEEDS) {
        play(new Prng(seed), times, (answer, ends) => {
          expect(answer).toBe(ends[0] ?? 0);
        });
      }
    },
  );

  it('take a hold before the first as well as behind the last, and keep what fits nowhere apart', () => {
    const { piles, record, put, earliestEnd, i32 } = makePiles();
    i32[record + Sku.HELD] = 9;
    const add = (slot: number, endsAt: number): number => {
      put(slot, T0 + endsAt);
      return piles.add(record, slot);
    };
    const remove = (slot: number, pile: number): void => piles.remove(record, slot, pile);
    expect([add(0, 100), add(8, 210), add(1, 300)]).toEqual([0, 0, 0]);
    expect([add(2, 200), add(3, 250)]).toEqual([1, 1]);
    expect(earliestEnd(T0)).toBe(T0 + 100);
    expect(add(4, 50)).toBe(0);
    expect(piles.earliest(record)).toBe(4);
    expect(add(5, 150)).toBe(1);
    expect(add(6, 160)).toBe(LOOSE);
    expect(earliestEnd(T0)).toBe(T0 + 50);
    remove(4, 0);
    remove(0, 0);
    remove(5, 1);
    expect(earliestEnd(T0)).toBe(T0 + 160);
    remove(6, LOOSE);
    expect(earliestEnd(T0 + 160)).toBe(T0 + 200);
    put(7, T0 + 240);
    expect(piles.add(record, 7)).toBe(LOOSE);
    remove(2, 1);
    expect(earliestEnd(T0 + 170)).toBe(T0 + 210);
    remove(8, 0);
    expect(earliestEnd(T0 + 170)).toBe(T0 + 240);
  });

  /** Places and ends holds at random as time goes on, and asks for the earliest end after each step. */
  function play(
    random: Prng,
    times: readonly number[],
    check: (answer: number, ends: readonly number[], now: number) => void,
  ): void {
    const { piles, record, put, earliestEnd, i32 } = makePiles();
    const free = Array.from({ length: SLOTS }, (_, slot) => slot);
    let placed: Placed[] = [];
    let now = T0;
    for (let step = 0; step < 2000; step++) {
      now += random.below(12);
      const gone = placed.filter(({ endsAt }) => endsAt <= now || random.oneIn(25));
      for (const { slot, pile } of gone) {
        piles.remove(record, slot, pile);
        free.push(slot);
      }
      placed = placed.filter((hold) => !gone.includes(hold));
      for (let adds = random.below(3); adds > 0 && free.length > 0; adds--) {
        const slot = free.splice(random.below(free.length), 1)[0] as number;
        const endsAt = now + random.pick(times);
        put(slot, endsAt);
        i32[record + Sku.HELD] = placed.length;
        placed.push({ slot, endsAt, pile: piles.add(record, slot) });
      }
      i32[record + Sku.HELD] = placed.length;
      const ends = placed.map(({ endsAt }) => endsAt).sort((a, b) => a - b);
      check(earliestEnd(now), ends, now);
    }
  }
});

function makePiles() {
  const { options } = makeSegment({ holds: SLOTS });
  const layout = layoutSegment(options);
  const memory = viewSegment(new SharedArrayBuffer(layout.bytes));
  const put = (slot: number, endsAt: number): void => {
    memory.f64[(layout.holds + slot * Hold.WORDS) / 2 + Hold.ENDS_F64] = endsAt;
  };
  const piles = new Piles(memory, layout);
  const out = new Float64Array(1);
  const earliestEnd = (now: number): number => {
    memory.f64[Header.NOW_F64] = now;
    piles.earliestEnd(layout.skus, out, 0);
    return out[0] as number;
  };
  return { piles, record: layout.skus, put, earliestEnd, i32: memory.i32 };
}
