import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { Chains } from '../../src/core/chains.ts';

const CAPACITY = 24;
const HEADER = 3;
const BUCKETS = 8;
const WORDS = 4;
const VALUE = 1;

describe('a chained table', () => {
  it('finds what was added and not removed, wherever it moved the chains', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = new Prng(seed);
      const table = makeChains();
      // A few hashes only, so that chains are long; the value tells entries of one hash apart.
      const model = new Map<number, { hash: number; value: number }>();
      for (let step = 0; step < 500; step++) {
        expect(table.full).toBe(model.size === CAPACITY);
        if (random.oneIn(2) && !table.full) {
          const hash = random.below(20) - 10;
          const entry = table.add(hash);
          expect(model.has(entry)).toBe(false);
          expect(entry).toBeLessThan(CAPACITY);
          table.i32[table.at(entry) + VALUE] = step;
          model.set(entry, { hash, value: step });
        } else if (model.size > 0) {
          const entry = random.pick([...model.keys()]);
          table.remove((model.get(entry) as { hash: number }).hash, entry);
          model.delete(entry);
        }
        expect(table.count).toBe(model.size);
        for (let hash = -10; hash < 10; hash++) {
          const expected = [...model].filter(([, added]) => ((added.hash ^ hash) & (BUCKETS - 1)) === 0);
          expect(chainOf(table, hash)).toEqual(expected.map(([entry]) => entry).sort((a, b) => a - b));
        }
        for (const [entry, { value }] of model) expect(table.i32[table.at(entry) + VALUE]).toBe(value);
      }
    }
  });

  it('uses an entry that was given back before one that was never used', () => {
    const table = makeChains();
    const entries = [table.add(1), table.add(2), table.add(1)];
    expect(entries).toEqual([0, 1, 2]);
    table.remove(2, 1);
    expect(table.add(5)).toBe(1);
    expect(table.add(5)).toBe(3);
  });
});

function chainOf(table: Chains, hash: number): number[] {
  const entries: number[] = [];
  for (let entry = table.first(hash); entry >= 0; entry = table.next(entry)) entries.push(entry);
  return entries.sort((a, b) => a - b);
}

function makeChains(): Chains {
  const entries = HEADER + BUCKETS;
  const words = new Int32Array(new SharedArrayBuffer((entries + CAPACITY * WORDS) * 4));
  const memory = { i32: words, f64: new Float64Array(0), u8: new Uint8Array(0) };
  return new Chains(memory, {
    buckets: HEADER,
    mask: BUCKETS - 1,
    entries,
    words: WORDS,
    capacity: CAPACITY,
    chain: WORDS - 1,
    free: 0,
    fresh: 1,
    count: 2,
  });
}
