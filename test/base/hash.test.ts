import { describe, expect, test } from 'vitest';
import { MAX_SEGMENTS } from '../../protocol/limits.ts';
import { mix, SkuHash, segmentOfHash } from '../../src/base/hash.ts';
import { Prng } from '../../src/base/prng.ts';

const encoder = new TextEncoder();
const hash = new SkuHash();

function hashOf(name: string | Uint8Array): [hi: number, lo: number] {
  const bytes = typeof name === 'string' ? encoder.encode(name) : name;
  hash.run(bytes, 0, bytes.length);
  return [hash.hi, hash.lo];
}

function segmentOf(name: string, segments: number): number {
  return segmentOfHash(hashOf(name)[0], segments);
}

/** Hash words and segment of 64. A store keeps SKUs by these: a change here loses every stored SKU. */
const FROZEN: [name: string, hi: number, lo: number, segment: number][] = [
  ['a', 124131423, -879858807, 1],
  ['ab', -87760733, -1941029179, 62],
  ['abc', -1331320572, 1037880462, 44],
  ['sku-1', 32696603, -1576537590, 0],
  ['sku-2', -1320797557, 1565637978, 44],
  ['sku-12', -157815992, 1325009445, 61],
  ['größe-42', 128686945, 200894023, 1],
  ['商品-7', 687371123, 850803676, 10],
  ['0', 528023745, 1536506355, 7],
  ['limited-edition-sneaker-white', 363011384, -1607141933, 5],
  ['xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 140966814, -1635708647, 2],
];

describe('what is stored by', () => {
  test.each(FROZEN)('%j never changes', (name, hi, lo, segment) => {
    expect([...hashOf(name), segmentOf(name, 64)]).toEqual([hi, lo, segment]);
  });

  test('does not depend on where the name lies', () => {
    const name = encoder.encode('größe-42');
    const expected = hashOf(name);
    for (let offset = 0; offset < 9; offset++) {
      const buffer = new Uint8Array(64).fill(0xa5);
      buffer.set(name, offset);
      hash.run(buffer, offset, name.length);
      expect([hash.hi, hash.lo]).toEqual(expected);
    }
  });

  test('are two whole int32 words', () => {
    const prng = new Prng(1);
    for (let i = 0; i < 1000; i++) {
      const [hi, lo] = hashOf(Uint8Array.from({ length: 1 + (i % 64) }, () => prng.below(256)));
      expect([hi | 0, lo | 0]).toEqual([hi, lo]);
    }
  });
});

/** Ways in which shops name things. Each gives the name of a number. */
const FAMILIES: Record<string, (i: number) => string> = {
  'a counter': (i) => `sku-${i}`,
  'a number alone': (i) => String(i),
  'a padded number': (i) => String(i).padStart(12, '0'),
  'a number before a long tail': (i) => `${i}-limited-edition-sneaker-white-spring-collection`,
  'a number behind a long head': (i) => `limited-edition-sneaker-white-spring-collection-${i}`,
  'colour and size': (i) => `tee/${i >> 6}/${'rgbwkypo'[(i >> 3) & 7]}/${i & 7}`,
  'a hexadecimal number': (i) => mix(i).toString(16),
  'two letters of any alphabet': (i) => String.fromCodePoint(0x3b1 + (i % 1000), 0x4e00 + (i >> 3)),
};

function chiSquare(counts: number[], draws: number): number {
  const expected = draws / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

describe.each(Object.entries(FAMILIES))('names made of %s', (_, nameOf) => {
  const names = [...new Set(Array.from({ length: 50_000 }, (_, i) => nameOf(i)))];

  test.each([2, 3, 7, 64, 100, 1000, MAX_SEGMENTS])('spread evenly over %i segments', (segments) => {
    const counts = new Array<number>(segments).fill(0);
    for (const name of names) (counts[segmentOf(name, segments)] as number)++;
    // Six deviations of the chi-square distribution; the names are fixed, so that this never flickers.
    const freedom = segments - 1;
    expect(chiSquare(counts, names.length)).toBeLessThan(freedom + 6 * Math.sqrt(2 * freedom));
  });

  test('have hashes of their own', () => {
    const whole = new Set<string>();
    const low = new Set<number>();
    for (const name of names) {
      const [hi, lo] = hashOf(name);
      whole.add(`${hi},${lo}`);
      low.add(lo);
    }
    expect(whole.size).toBe(names.length);
    // Of 50,000 random words of 32 bits, 0.3 pairs are equal on average.
    expect(names.length - low.size).toBeLessThan(6);
  });
});

describe('every bit of a name counts', () => {
  test.each([1, 3, 4, 5, 8, 31, 64])('of %i bytes', (length) => {
    const prng = new Prng(length);
    const rounds = 200;
    for (let bit = 0; bit < length * 8; bit++) {
      let changed = 0;
      for (let round = 0; round < rounds; round++) {
        const name = Uint8Array.from({ length }, () => prng.below(256));
        const [hi, lo] = hashOf(name);
        (name[bit >> 3] as number) ^= 1 << (bit & 7);
        const [otherHi, otherLo] = hashOf(name);
        changed += ones(hi ^ otherHi) + ones(lo ^ otherLo);
      }
      const share = changed / (rounds * 64);
      expect(share).toBeGreaterThan(0.45);
      expect(share).toBeLessThan(0.55);
    }
  });

  test('and so does its length', () => {
    const zeros = new Uint8Array(64);
    const hashes = Array.from({ length: 65 }, (_, length) => {
      hash.run(zeros, 0, length);
      return `${hash.hi},${hash.lo}`;
    });
    expect(new Set(hashes).size).toBe(65);
  });
});

function ones(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  return count;
}

describe('segmentOfHash', () => {
  test.each([1, 2, 3, 64, 1000, MAX_SEGMENTS])(
    'with %i segments reaches the first and the last, none behind',
    (n) => {
      expect(segmentOfHash(0, n)).toBe(0);
      expect(segmentOfHash(-1, n)).toBe(n - 1);
      expect(segmentOfHash(0x7fffffff, n)).toBe(Math.ceil(n / 2) - 1);
      for (let hi = 0; hi < 2 ** 16; hi += 37) expect(segmentOfHash(hi << 16, n)).toBeLessThan(n);
    },
  );
});

test('bits tell ASCII names from others, wherever the other byte is', () => {
  for (let length = 1; length <= 20; length++) {
    const name = new Uint8Array(length).fill(0x7f);
    hash.run(name, 0, length);
    expect(hash.bits).toBe(0x7f);
    for (let at = 0; at < length; at++) {
      name.fill(0x61);
      name[at] = 0x80;
      hash.run(name, 0, length);
      expect(hash.bits).toBe(0xe1 & (length === 1 ? 0x80 : 0xff));
    }
  }
});
