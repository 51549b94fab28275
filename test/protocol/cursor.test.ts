import { describe, expect, test } from 'vitest';
import { Reason } from '../../protocol/status.ts';
import {
  BOUNDARY_INTEGERS,
  concat,
  cursorOver,
  float32,
  float64,
  hex,
  integerEncodings,
  pack,
  toHex,
  unpack,
} from './fixtures.ts';

const INT32_MIN = -(2n ** 31n);
const INT32_MAX = 2n ** 31n - 1n;
const UINT53_MAX = 2n ** 53n - 1n;
const encodings = BOUNDARY_INTEGERS.flatMap(integerEncodings);

function uint53Of(bytes: Uint8Array): { ok: boolean; value: number; fault: number; pos: number } {
  const cursor = cursorOver(bytes);
  const ok = cursor.uint53();
  const value = (cursor.hi >>> 0) * 2 ** 32 + (cursor.lo >>> 0);
  return { ok, value, fault: cursor.fault, pos: cursor.pos };
}

describe('integers in every format that can carry them', () => {
  test('the table has both ends of every format', () => {
    expect(new Set(encodings.map(({ format }) => format)).size).toBe(11);
    expect(encodings.length).toBeGreaterThan(200);
  });

  test.each(encodings)('$format of $value: int32', ({ value, bytes }) => {
    const cursor = cursorOver(bytes);
    const read = cursor.int32();
    if (value < INT32_MIN || value > INT32_MAX) {
      expect([read, cursor.fault]).toEqual([0, Reason.OUT_OF_BOUNDS]);
    } else {
      expect([read, cursor.fault, cursor.pos]).toEqual([Number(value), 0, bytes.length]);
    }
  });

  test.each(encodings)('$format of $value: uint53', ({ value, bytes }) => {
    const read = uint53Of(bytes);
    if (value < 0n || value > UINT53_MAX) {
      expect([read.ok, read.fault]).toEqual([false, Reason.OUT_OF_BOUNDS]);
    } else {
      expect(read).toEqual({ ok: true, value: Number(value), fault: 0, pos: bytes.length });
    }
  });

  test.each(encodings)('$format of $value: as msgpackr reads it', ({ value, bytes }) => {
    expect(unpack(bytes)).toBe(Number(value));
  });

  test.each(BOUNDARY_INTEGERS.filter((value) => value >= 0n && value <= UINT53_MAX))(
    '%s as msgpackr writes a number',
    (value) => {
      const bytes = pack(Number(value));
      expect(uint53Of(bytes)).toEqual({ ok: true, value: Number(value), fault: 0, pos: bytes.length });
    },
  );

  test('minus zero is zero', () => {
    for (const bytes of [float32(-0), float64(-0)]) {
      expect(Object.is(cursorOver(bytes).int32(), 0)).toBe(true);
      expect(uint53Of(bytes)).toMatchObject({ ok: true, value: 0 });
    }
  });

  test.each([0.5, -0.5, 1e-9, 2 ** 20 + 0.5, Number.NaN, Infinity, -Infinity])(
    'the float %s is no integer',
    (value) => {
      for (const bytes of [float32(value), float64(value)]) {
        const cursor = cursorOver(bytes);
        expect([cursor.int32(), cursor.fault]).toEqual([0, Reason.WRONG_TYPE]);
        expect(uint53Of(bytes)).toMatchObject({ ok: false, fault: Reason.WRONG_TYPE });
      }
    },
  );

  test.each([1e300, -1e300, 2 ** 53 + 2])('the whole float64 %s is out of bounds', (value) => {
    const cursor = cursorOver(float64(value));
    expect([cursor.int32(), cursor.fault]).toEqual([0, Reason.OUT_OF_BOUNDS]);
    expect(uint53Of(float64(value))).toMatchObject({ ok: false, fault: Reason.OUT_OF_BOUNDS });
  });

  test.each(['c0', 'c2', 'c3', 'a131', 'd90131', 'c40131', '9101', '810101', 'd40101', 'c1'])(
    '%s is no integer',
    (text) => {
      const cursor = cursorOver(hex(text));
      expect([cursor.int32(), cursor.fault]).toEqual([0, Reason.WRONG_TYPE]);
      expect(uint53Of(hex(text))).toMatchObject({ ok: false, fault: Reason.WRONG_TYPE });
    },
  );

  test.each(encodings.filter(({ bytes }) => bytes.length > 1))(
    '$format of $value, cut off at every byte',
    ({ bytes }) => {
      for (let end = 0; end < bytes.length; end++) {
        const cursor = cursorOver(bytes, end);
        expect([cursor.int32(), cursor.fault]).toEqual([0, Reason.TRUNCATED]);
        expect(uint53Of(bytes.subarray(0, end))).toMatchObject({ ok: false, fault: Reason.TRUNCATED });
      }
    },
  );
});

const SIZES = [0, 1, 31, 32, 63, 64, 65, 255, 256, 257, 65_535, 65_536];

/** Headers of every format, text first, that can say this size. */
function textHeaders(size: number): Uint8Array[] {
  const headers = [hex(`db${size.toString(16).padStart(8, '0')}`)];
  if (size < 2 ** 16) headers.push(hex(`da${size.toString(16).padStart(4, '0')}`));
  if (size < 2 ** 8) headers.push(hex(`d9${size.toString(16).padStart(2, '0')}`));
  if (size < 32) headers.push(Uint8Array.of(0xa0 | size));
  return headers;
}

function binaryHeaders(size: number): Uint8Array[] {
  return textHeaders(size)
    .filter((header) => header.length > 1)
    .map((header) => Uint8Array.of((header[0] as number) - 0xd9 + 0xc4, ...header.subarray(1)));
}

describe('text and binary', () => {
  const tables = SIZES.flatMap((size) => [
    ...textHeaders(size).map((header) => ({ size, header, what: 'text', name: toHex(header) })),
    ...binaryHeaders(size).map((header) => ({ size, header, what: 'binary', name: toHex(header) })),
  ]);

  test.each(tables)('$what of $size bytes behind $name', ({ size, header, what }) => {
    const bytes = concat(header, new Uint8Array(size).fill(0x61), hex('c0'));
    for (const maxBytes of [size, 70_000]) {
      const cursor = cursorOver(bytes);
      expect(cursor.bytes(maxBytes)).toBe(size);
      expect([cursor.start, cursor.pos, cursor.fault]).toEqual([header.length, bytes.length - 1, 0]);
      expect(cursor.nil()).toBe(true);
    }
    const text = cursorOver(bytes);
    if (what === 'text') expect([text.text(size), text.start]).toEqual([size, header.length]);
    else expect([text.text(size), text.fault]).toEqual([-1, Reason.WRONG_TYPE]);
    if (size === 0) return;
    const tooLong = cursorOver(bytes);
    expect([tooLong.bytes(size - 1), tooLong.fault]).toEqual([-1, Reason.OUT_OF_BOUNDS]);
  });

  test.each(SIZES)('%s bytes as msgpackr writes them', (size) => {
    for (const value of ['x'.repeat(size), Buffer.alloc(size, 'x')]) {
      const bytes = pack(value);
      const cursor = cursorOver(bytes);
      expect(cursor.bytes(size)).toBe(size);
      expect([cursor.pos, cursor.pos - cursor.start]).toEqual([bytes.length, size]);
    }
  });

  test('cut off at every byte', () => {
    for (const size of [1, 31, 32, 64, 256]) {
      for (const header of [...textHeaders(size), ...binaryHeaders(size)]) {
        const bytes = concat(header, new Uint8Array(size));
        for (let end = 0; end < bytes.length; end++) {
          const cursor = cursorOver(bytes, end);
          expect([cursor.bytes(size), cursor.fault]).toEqual([-1, Reason.TRUNCATED]);
        }
      }
    }
  });

  test.each(['c0', 'c3', '01', 'ff', 'cc20', 'cb3ff0000000000000', '9161', '816161', 'c7010161', 'd40161'])(
    '%s is neither',
    (text) => {
      for (const read of ['text', 'bytes'] as const) {
        const cursor = cursorOver(hex(text));
        expect([cursor[read](64), cursor.fault]).toEqual([-1, Reason.WRONG_TYPE]);
      }
    },
  );

  test.each(['db80000000', 'dbffffffff', 'c680000000', 'c6ffffffff', 'db7fffffff'])(
    'a length that no frame can have: %s',
    (text) => {
      const cursor = cursorOver(concat(hex(text), new Uint8Array(64)));
      expect([cursor.bytes(64), cursor.fault]).toEqual([-1, Reason.TRUNCATED]);
    },
  );
});

describe('arrays and nil', () => {
  test.each([
    ['90', 0],
    ['95', 5],
    ['9f', 15],
    ['dc0000', 0],
    ['dc0010', 16],
    ['dcffff', 65_535],
    ['dd00000000', 0],
    ['dd00010000', 65_536],
    ['dd7fffffff', 2 ** 31 - 1],
  ])('header %s counts %i', (text, count) => {
    const bytes = hex(text);
    const cursor = cursorOver(bytes);
    expect([cursor.array(), cursor.fault, cursor.pos]).toEqual([count, 0, bytes.length]);
    for (let end = 0; end < bytes.length; end++) {
      const cut = cursorOver(bytes, end);
      expect([cut.array(), cut.fault]).toEqual([-1, Reason.TRUNCATED]);
    }
  });

  test.each([
    ['dd80000000', Reason.WRONG_COUNT],
    ['ddffffffff', Reason.WRONG_COUNT],
    ['80', Reason.WRONG_TYPE],
    ['de0000', Reason.WRONG_TYPE],
    ['00', Reason.WRONG_TYPE],
    ['a0', Reason.WRONG_TYPE],
    ['c1', Reason.WRONG_TYPE],
    ['7b', Reason.WRONG_TYPE],
  ])('%s is no array that can be read', (text, reason) => {
    const cursor = cursorOver(hex(text));
    expect([cursor.array(), cursor.fault]).toEqual([-1, reason]);
  });

  test('nil passes nil and nothing else', () => {
    expect(cursorOver(hex('c0')).nil()).toBe(true);
    for (const text of ['', 'c2', '00', 'a0', '90']) {
      const cursor = cursorOver(hex(text));
      expect([cursor.nil(), cursor.pos, cursor.fault]).toEqual([false, 0, 0]);
    }
  });
});

test('the first fault stays when others follow, so that one look at the end is enough', () => {
  const cursor = cursorOver(hex('c0 cf ff ff ff ff ff ff ff ff'));
  cursor.int32();
  cursor.pos = 1;
  cursor.uint53();
  cursor.pos = 10;
  cursor.text(64);
  expect(cursor.fault).toBe(Reason.WRONG_TYPE);
  cursor.reset(cursor.u8, 0, 1);
  expect(cursor.fault).toBe(0);
});
