import { describe, expect, it } from 'vitest';
import { bytesPerCall } from '../../perf/allocation.ts';
import { HEAD_WORDS, Head, RING_WORDS } from '../../src/admission/entry-layout.ts';
import { allocateTable, KeyedTable, WAYS } from '../../src/admission/keyed-table.ts';
import { Prng } from '../../src/base/prng.ts';
import { seeds } from './fixtures.ts';

const ENTRY_BYTES = 4 * (HEAD_WORDS + RING_WORDS);
/** Written into an entry, to know it again. */
const MARK = Head.SUM;

describe('a table of keys', () => {
  it('finds a key again, and gives a new one an entry of zeros', () => {
    const table = new KeyedTable(allocateTable(64, 7), false);
    const entry = table.claim(1, 2, 10);
    expect([...table.i32.subarray(entry + 3, entry + HEAD_WORDS)]).toEqual(Array(HEAD_WORDS - 3).fill(0));
    table.i32[entry + MARK] = 5;
    expect(table.claim(1, 2, 20)).toBe(entry);
    expect(table.i32[table.claim(2, 1, 30) + MARK]).toBe(0);
    expect(table.i32[table.claim(1, 3, 30) + MARK]).toBe(0);
    expect(table.i32[table.claim(1, 2, 30) + MARK]).toBe(5);
  });

  it('knows the key of which both halves are zero', () => {
    const table = new KeyedTable(allocateTable(8, 7), false);
    const entry = table.claim(0, 0, 0);
    table.i32[entry + MARK] = 5;
    for (let key = 1; key < WAYS; key++) table.claim(key, 0, 0);
    expect(table.i32[table.claim(0, 0, 0) + MARK]).toBe(5);
    expect(table.evictions).toBe(0);
  });

  it('gives the entry of the key that was not asked for the longest to a new one, as new', () => {
    const table = new KeyedTable(allocateTable(8, 7), false);
    for (let key = 0; key < 8; key++) table.i32[table.claim(key, 0, 100 + 2 * key) + MARK] = 5;
    table.claim(0, 0, 200);
    expect(table.evictions).toBe(0);
    expect(table.i32[table.claim(8, 0, 210) + MARK]).toBe(0);
    expect(table.evictions).toBe(1);
    const known = [0, 2, 3, 4, 5, 6, 7].map((key) => table.i32[table.claim(key, 0, 220) + MARK]);
    expect(known).toEqual(Array(7).fill(5));
    expect(table.i32[table.claim(1, 0, 230) + MARK]).toBe(0);
    expect(table.evictions).toBe(2);
  });

  it("goes by age when the clock's low bits come round", () => {
    for (const edge of [2 ** 31, 2 ** 32]) {
      const table = new KeyedTable(allocateTable(8, 7), false);
      for (let key = 0; key < 8; key++) table.i32[table.claim(key, 0, (edge - 70 + 20 * key) | 0) + MARK] = 5;
      expect(table.i32[table.claim(8, 0, (edge + 100) | 0) + MARK]).toBe(0);
      const known = [1, 2, 3, 4, 5, 6, 7].map((key) => table.i32[table.claim(key, 0, edge + 110) + MARK]);
      expect(known).toEqual(Array(7).fill(5));
    }
  });

  it('takes memory for the keys that it was made for, at least eight, and no more', () => {
    const bytesFor = (keys: number) => allocateTable(keys, 1).sab.byteLength;
    expect(bytesFor(1)).toBe(bytesFor(8));
    for (const keys of [64, 65_536]) {
      expect(bytesFor(keys)).toBeGreaterThan(keys * ENTRY_BYTES);
      expect(bytesFor(keys)).toBeLessThan(keys * (ENTRY_BYTES + 4));
    }
    expect(bytesFor(65)).toBe(bytesFor(128));
  });

  it('spreads keys that were chosen for one set of another seed', () => {
    const chosen = chosenForOneSet(1, 64);
    const evictions = (seed: number) => {
      const table = new KeyedTable(allocateTable(4096, seed), false);
      for (const key of chosen) table.claim(key, 0, 1);
      return table.evictions;
    };
    expect(evictions(1)).toBe(64 - WAYS);
    expect(evictions(0x5eed)).toBe(0);
  });

  it('allocates nothing for a key, known or not', () => {
    const table = new KeyedTable(allocateTable(1024, 7), true);
    const random = new Prng(1);
    const claim = (call: number) => {
      table.claim(random.next() & 0xfff, 0, call);
      table.release();
    };
    const bytes = bytesPerCall(claim, 20_000, 1);
    expect(bytes).toBeLessThan(1);
    expect(table.evictions).toBeGreaterThan(0);
  });

  it.each(seeds(30))('keeps what eight entries a set can keep (seed %i)', (seed) => {
    const random = new Prng(seed);
    const memory = allocateTable(random.pick([8, 64, 512]), seed);
    // What one front writes, the others find.
    const tables = [1, 2, 3].map(() => new KeyedTable(memory, true));
    const values = new Map<string, number>();
    let nowMs = 2 ** 31 - 3000;
    let kept = 0;
    let forgotten = 0;
    for (let i = 1; i <= 5000; i++) {
      nowMs += random.below(3);
      const key = [random.next() % 700, random.oneIn(5) ? 1 : 0] as const;
      const table = random.pick(tables);
      const entry = table.claim(key[0], key[1], nowMs | 0);
      const found = table.i32[entry + MARK];
      if (found !== 0) {
        expect(found).toBe(values.get(String(key)));
        kept++;
      } else if (values.has(String(key))) forgotten++;
      table.i32[entry + MARK] = i;
      values.set(String(key), i);
      table.release();
    }
    expect(kept).toBeGreaterThan(0);
    expect(forgotten).toBeLessThanOrEqual(tables[0].evictions);
    expect(tables[0].uncounted).toBe(0);
  });
});

describe('a set that another front has', () => {
  it('is gone without, and had again when it is let go', () => {
    const memory = allocateTable(8, 7);
    const [one, other] = [new KeyedTable(memory, true), new KeyedTable(memory, true)];
    expect(one.claim(1, 2, 10)).toBeGreaterThan(0);
    expect(other.claim(1, 2, 10)).toBe(-1);
    expect(other.uncounted).toBe(1);
    one.release();
    expect(other.claim(1, 2, 10)).toBeGreaterThan(0);
    other.release();
    expect(one.uncounted).toBe(1);
  });

  it('is one of many', () => {
    const memory = allocateTable(4096, 7);
    const [one, other] = [new KeyedTable(memory, true), new KeyedTable(memory, true)];
    one.claim(1, 2, 10);
    expect(other.claim(2, 1, 10)).toBeGreaterThan(0);
  });

  it('is not looked for by a single front', () => {
    const table = new KeyedTable(allocateTable(8, 7), false);
    const entry = table.claim(1, 2, 10);
    expect(table.claim(1, 2, 10)).toBe(entry);
  });
});

/** Keys that share a set under a seed: found by trying, as somebody who knew the seed would. */
function chosenForOneSet(seed: number, count: number): number[] {
  const table = new KeyedTable(allocateTable(4096, seed), false);
  const sets = 4096 / WAYS;
  const headsAt = table.i32.length - 4096 * (HEAD_WORDS + RING_WORDS);
  const setOf = (key: number) => {
    const set = (table.claim(key, 0, 1) - headsAt) / (WAYS * HEAD_WORDS);
    if (set < 0 || set >= sets) throw new Error('the heads are not where they were');
    return Math.floor(set);
  };
  const first = setOf(1);
  const chosen = [1];
  for (let key = 2; chosen.length < count; key++) if (setOf(key) === first) chosen.push(key);
  return chosen;
}
