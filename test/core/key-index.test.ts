import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { KeyIndex } from '../../src/core/key-index.ts';
import {
  BUCKET_WORDS,
  DEFAULT_SEGMENT_OPTIONS,
  Header,
  KEYS_PER_BUCKET,
  Key,
  KeyState,
  layoutSegment,
  segmentBytes,
  viewSegment,
} from '../../src/core/layout.ts';

const CAPACITY = 600;
const OPTIONS = { ...DEFAULT_SEGMENT_OPTIONS, skus: 1, holds: 1, holders: 1, keys: CAPACITY };

/** Keys by their hash: all over the table, in few buckets, and all in one, told apart by the tag only or not even by that. */
const HASHES: [string, (random: Prng) => number][] = [
  ['of any hash', (random) => random.next() | 0],
  ['in three buckets', (random) => (random.next() & ~0xffff) | random.below(3)],
  ['in one bucket', (random) => random.next() & ~0x7fffff],
  ['of four hashes', (random) => random.below(4) - 2],
];

describe('the index of keys', () => {
  it.each(HASHES)('finds keys %s that were added and not taken out, and no others', (_name, hashFrom) => {
    for (let seed = 1; seed <= 4; seed++) {
      const random = new Prng(seed);
      const table = makeIndex();
      const model = new Map<number, number[]>();
      const free = Array.from({ length: CAPACITY }, (_, entry) => entry);
      for (let step = 0; step < 3000; step++) {
        const add = free.length === CAPACITY || (free.length > 0 && random.below(10) < (step < 1500 ? 8 : 3));
        if (add) {
          const entry = free.pop() as number;
          const print = [hashFrom(random), random.below(3), random.below(3), step];
          table.add(entry, print);
          model.set(entry, print);
        } else {
          const entry = random.pick([...model.keys()]);
          table.index.remove(entry);
          const gone = model.get(entry) as number[];
          if (table.find(gone) !== -1) throw new Error(`seed ${seed}, step ${step}: ${gone} is still there`);
          model.delete(entry);
          free.push(entry);
        }
        if (step % 50 !== 0) continue;
        expect(table.i32[Header.KEY_COUNT]).toBe(model.size);
        const wrong = [...model].filter(
          ([entry, print]) => table.find(print) !== entry || table.find(print.with(3, -1)) !== -1,
        );
        expect(wrong, `seed ${seed}, step ${step}`).toEqual([]);
      }
    }
  });

  it('has a bucket for each few keys, and few keys that no bucket has a place for', () => {
    const table = makeIndex();
    const random = new Prng(7);
    for (let entry = 0; entry < CAPACITY; entry++) {
      table.add(entry, [random.next() | 0, 0, 0, entry]);
      const buckets = Math.max(16, Math.ceil((entry + 1) / KEYS_PER_BUCKET));
      expect(16 + table.i32[Header.KEY_GROWN]).toBe(buckets);
    }
    let inBuckets = 0;
    const { keyBuckets, keyStates } = table.layout;
    for (let at = keyBuckets; at < keyStates; at += BUCKET_WORDS) {
      inBuckets += table.i32.subarray(at, at + BUCKET_WORDS - 1).filter((place) => place !== 0).length;
    }
    expect(inBuckets).toBeGreaterThan(CAPACITY * 0.95);
  });
});

function makeIndex() {
  const layout = layoutSegment(OPTIONS);
  const memory = viewSegment(new SharedArrayBuffer(segmentBytes(OPTIONS)));
  const { i32 } = memory;
  const index = new KeyIndex(memory, layout);
  const find = (print: number[]): number => index.find(...(print as [number, number, number, number]));
  const add = (entry: number, print: number[]): void => {
    i32.set(print, layout.keys + entry * Key.WORDS + Key.PRINT);
    i32[layout.keyStates + entry * KeyState.WORDS + KeyState.HASH] = print[0];
    index.add(entry);
  };
  return { index, layout, i32, find, add };
}
