import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { Chains } from '../../src/core/chains.ts';

const CAPACITY = 200;
const HEADER = 4;
const BUCKETS = 64;
const WORDS = 4;
const HASH = 0;
const VALUE = 1;
/** Hashes in use: few for long chains, many for a table that grows. */
const HASHES = [20, 1000];

describe('a chained table', () => {
  it('finds what was added and not removed, wherever it moved the chains', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = new Prng(seed);
      const table = makeChains();
      const hashes = HASHES[seed % 2] as number;
      // The value tells entries of one hash apart.
      const model = new Map<number, { hash: number; value: number }>();
      for (let step = 0; step < 1000; step++) {
        expect(table.full).toBe(model.size === CAPACITY);
        if (random.below(10) < (step < 500 ? 8 : 4) && !table.full) {
          const hash = random.below(hashes) - hashes / 2;
          const entry = table.add(hash);
          expect(model.has(entry)).toBe(false);
          expect(entry).toBeLessThan(CAPACITY);
          table.i32[table.at(entry) + HASH] = hash;
          table.i32[table.at(entry) + VALUE] = step;
          model.set(entry, { hash, value: step });
        } else if (model.size > 0) {
          const entry = random.pick([...model.keys()]);
          table.remove((model.get(entry) as { hash: number }).hash, entry);
          model.delete(entry);
        }
        expect(table.count).toBe(model.size);
        if (step % 20 !== 0) continue;
        const found = [...model].filter(([entry, { hash }]) => chainOf(table, hash).includes(entry));
        expect(found).toHaveLength(model.size);
        for (const [entry, { value }] of model) expect(table.i32[table.at(entry) + VALUE]).toBe(value);
      }
    }
  });

  it('has short chains at any number of entries, up to its most buckets', () => {
    const table = makeChains();
    for (let hash = 0; hash < CAPACITY; hash++) {
      table.i32[table.at(table.add(hash)) + HASH] = hash;
      const buckets = Math.max(16, Math.min(hash + 1, BUCKETS));
      const chains = Array.from({ length: buckets }, (_, first) => chainOf(table, first).length);
      expect(chains.reduce((sum, length) => sum + length)).toBe(hash + 1);
      // Chains that were not split yet are twice as long as others.
      expect(Math.max(...chains)).toBeLessThanOrEqual(Math.ceil((hash + 1) / buckets) * 2);
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
    grown: 3,
    hashAt: (at) => words[at + HASH] as number,
  });
}
