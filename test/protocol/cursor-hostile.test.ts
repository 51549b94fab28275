import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Cursor } from '../../protocol/cursor.ts';
import { Reason } from '../../protocol/status.ts';
import { concat, cursorOver, hex, pack, repeated, watched } from './fixtures.ts';

/** Anything that a MessagePack library may write: nested, with maps, binary, dates and numbers of every size. */
const anyValue = fc.anything({ maxDepth: 4, withDate: true, withMap: true, withTypedArray: true });
const anyBytes = fc
  .tuple(anyValue, fc.oneof(fc.nat(40), fc.nat(70_000)), fc.boolean())
  .map(([value, size, text]) => pack([value, text ? 'x'.repeat(size) : Buffer.alloc(size)]));

describe('skip over what msgpackr writes', () => {
  test('ends exactly behind any value, and reads nothing behind it', () => {
    fc.assert(
      fc.property(anyBytes, fc.uint8Array({ maxLength: 20 }), (bytes, tail) => {
        const watch = watched(concat(bytes, tail), bytes.length);
        const cursor = cursorOver(watch.bytes, bytes.length);
        expect([cursor.skip(1), cursor.pos, cursor.fault]).toEqual([true, bytes.length, 0]);
        expect(watch.reads).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 300 },
    );
  });

  test('ends exactly behind each of several values', () => {
    fc.assert(
      fc.property(fc.array(anyValue.map(pack), { maxLength: 8 }), (values) => {
        const cursor = cursorOver(concat(...values));
        const ends = values.map(() => cursor.skip(1) && cursor.pos);
        let end = 0;
        expect(ends).toEqual(values.map(({ length }) => (end += length)));
        const together = cursorOver(concat(...values));
        expect([together.skip(values.length), together.pos]).toEqual([true, end]);
      }),
      { numRuns: 200 },
    );
  });

  test('says that any value is cut off, wherever it is', () => {
    fc.assert(
      fc.property(anyValue.map(pack), (bytes) => {
        for (let end = 0; end < bytes.length; end++) {
          const cursor = cursorOver(watched(bytes, end).bytes, end);
          expect([cursor.skip(1), cursor.fault]).toEqual([false, Reason.TRUNCATED]);
        }
      }),
      { numRuns: 200 },
    );
  });
});

test('bytes that arrive one at a time make a value with the last one, not earlier', () => {
  const whole = pack([
    1,
    77,
    'sku-1',
    3,
    30_000,
    'key',
    { a: [1, 2.5, null] },
    new Date(0),
    Buffer.alloc(300),
  ]);
  const arrived = new Uint8Array(whole.length);
  const cursor = new Cursor(arrived);
  for (let count = 0; count < whole.length; count++) {
    cursor.reset(arrived, 0, count);
    expect([cursor.skip(1), cursor.fault]).toEqual([false, Reason.TRUNCATED]);
    arrived[count] = whole[count] as number;
  }
  cursor.reset(arrived, 0, whole.length);
  expect([cursor.skip(1), cursor.pos]).toEqual([true, whole.length]);
});

const METHODS = ['array', 'int32', 'uint53', 'text', 'bytes', 'nil', 'skip'] as const;

describe('garbage', () => {
  test('never throws, is never read past its end, and costs a few reads a byte', () => {
    const calls = fc.array(fc.constantFrom(...METHODS), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), calls, (bytes, cut, methods) => {
        const end = Math.min(cut, bytes.length);
        const watch = watched(bytes, end);
        const cursor = cursorOver(watch.bytes, end);
        for (const method of methods) {
          const before = cursor.pos;
          cursor[method](64);
          expect(cursor.pos).toBeGreaterThanOrEqual(before);
        }
        // A read that fails may look at the same few bytes again; none walks them more than once.
        expect(watch.reads).toBeLessThanOrEqual(end + 12 * methods.length);
      }),
      { numRuns: 3000 },
    );
  });

  test('of every first byte, cut off everywhere, gives a fault or a value within its end', () => {
    const rest = concat(hex('00 00 00 03'), new Uint8Array(20).fill(0x01));
    for (let head = 0; head < 256; head++) {
      const bytes = concat(Uint8Array.of(head), rest);
      for (let end = 0; end <= bytes.length; end++) {
        for (const method of METHODS) {
          const cursor = cursorOver(watched(bytes, end).bytes, end);
          cursor[method](1);
          if (cursor.fault === 0) expect(cursor.pos).toBeLessThanOrEqual(end);
        }
      }
    }
  });

  test('0xc1 begins no value', () => {
    const cursor = cursorOver(hex('93 01 c1 01'));
    expect([cursor.skip(1), cursor.fault]).toEqual([false, Reason.NOT_A_COMMAND]);
  });
});

describe('bombs', () => {
  const zeros = '00'.repeat(1000);
  test.each([
    ['an array of 2^31 - 1', `dd7fffffff${zeros}`],
    ['an array of 2^31', `dd80000000${zeros}`],
    ['an array of 2^32 - 1', `ddffffffff${zeros}`],
    ['an array of one more than there are bytes', `dd000003e9${zeros}`],
    ['an array of 65,535', `dcffff${zeros}`],
    ['a map of 2^31 - 1', `df7fffffff${zeros}`],
    ['a map of 2^32 - 1', `dfffffffff${zeros}`],
    ['a map of 2^30, twice which is 2^31', `df40000000${zeros}`],
    ['a map of as many pairs as there are bytes', `df000003e8${zeros}`],
    ['text of 2^32 - 1', `dbffffffff${zeros}`],
    ['text of 2^31 - 1', `db7fffffff${zeros}`],
    ['binary of 2^32 - 1', `c6ffffffff${zeros}`],
    ['an extension of 2^32 - 1', `c9ffffffff05${zeros}`],
    ['an extension of 2^31 - 1, which with its type is 2^31', `c97fffffff05${zeros}`],
    ['arrays of 1,000 within each other', 'dd000003e8'.repeat(1000)],
    ['maps of 1,000 within each other', 'df000003e8'.repeat(1000)],
    ['arrays of 15 within each other', '9f'.repeat(10_000)],
    ['maps of 15 within each other', '8f'.repeat(10_000)],
    ['arrays of one within each other, and nothing in the last', '91'.repeat(10_000)],
  ])('%s is said to be cut off, after few reads', (_, text) => {
    const bytes = hex(text);
    const watch = watched(bytes);
    const cursor = cursorOver(watch.bytes);
    expect([cursor.skip(1), cursor.fault]).toEqual([false, Reason.TRUNCATED]);
    expect(watch.reads).toBeLessThanOrEqual(bytes.length);
  });

  test('a count that the bytes cannot hold is found at once, not by walking them', () => {
    for (const head of ['dd000003e9', 'dd7fffffff', 'df000003e9', 'df7fffffff', 'dc03e9', 'de03e9']) {
      const watch = watched(hex(head + zeros));
      expect(cursorOver(watch.bytes).skip(1)).toBe(false);
      expect(watch.reads).toBeLessThanOrEqual(5);
    }
  });

  test.each([
    ['arrays', '91', 'c0'],
    ['maps', '81c0', 'c0'],
    ['arrays of 16 bits', 'dc0001', '01'],
    ['maps of 32 bits', 'df00000001a0', 'a0'],
  ])('10,000 %s within each other are passed without a stack', (_, open, last) => {
    const bytes = repeated(open, 10_000, last);
    const cursor = cursorOver(concat(bytes, hex('c1')));
    expect([cursor.skip(1), cursor.pos]).toEqual([true, bytes.length]);
  });

  test('no value at all is passed by no work', () => {
    const cursor = cursorOver(new Uint8Array(0));
    expect([cursor.skip(0), cursor.fault]).toEqual([true, 0]);
  });
});
