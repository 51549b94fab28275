import { describe, expect, test } from 'vitest';
import { MAX_SKU_BYTES } from '../../protocol/limits.ts';
import { Writer } from '../../protocol/writer.ts';
import { BOUNDARY_INTEGERS, cursorOver, hex, pack, toHex, unpack } from './fixtures.ts';

const INT32 = BOUNDARY_INTEGERS.filter((value) => value >= -(2n ** 31n) && value < 2n ** 31n).map(Number);
const SAFE = BOUNDARY_INTEGERS.filter((value) => value >= 0n && value < 2n ** 53n).map(Number);

/** What a writer writes, in the middle of a buffer whose other bytes must stay as they are. */
function written(write: (writer: Writer) => void): Uint8Array {
  const buffer = new Uint8Array(512).fill(0xee);
  const writer = new Writer(buffer);
  writer.reset(buffer, 100);
  write(writer);
  expect(buffer.subarray(0, 100).every((byte) => byte === 0xee)).toBe(true);
  expect(buffer.subarray(writer.pos).every((byte) => byte === 0xee)).toBe(true);
  return buffer.slice(100, writer.pos);
}

test.each(INT32)('int32 writes %i in the shortest format, as msgpackr does', (value) => {
  const bytes = written((writer) => writer.int32(value));
  expect(toHex(bytes)).toBe(toHex(pack(value)));
  expect(cursorOver(bytes).int32()).toBe(value);
});

describe('safe integers', () => {
  test.each(SAFE)('uint53 writes %i in the shortest format', (value) => {
    const bytes = written((writer) => writer.uint53(value));
    expect(unpack(bytes)).toBe(value);
    expect(bytes.length).toBe(value > 0xffffffff ? 9 : pack(value).length);
  });

  test.each(SAFE)('time writes %i as a uint64', (value) => {
    const bytes = written((writer) => writer.time(value));
    expect([bytes.length, bytes[0], unpack(bytes)]).toEqual([9, 0xcf, value]);
    const cursor = cursorOver(bytes);
    expect(cursor.uint53()).toBe(true);
    expect((cursor.hi >>> 0) * 2 ** 32 + (cursor.lo >>> 0)).toBe(value);
  });

  test('uint64 takes words with and without a sign', () => {
    expect(toHex(written((writer) => writer.uint64(0x1fffff, -1)))).toBe('cf 00 1f ff ff ff ff ff ff');
    expect(toHex(written((writer) => writer.uint64(1, 0xc0000000)))).toBe('cf 00 00 00 01 c0 00 00 00');
  });
});

test.each([0, 1, 31, 32, MAX_SKU_BYTES, 255])('text of %i bytes from another buffer', (length) => {
  const source = new TextEncoder().encode(`ab${'x'.repeat(length)}c`);
  const bytes = written((writer) => writer.textFrom(source, 2, length));
  expect(toHex(bytes)).toBe(toHex(pack('x'.repeat(length))));
});

test('arrays, nil and bytes that are encoded already make one value', () => {
  const id = hex('cf 00 00 00 00 00 00 00 07');
  const bytes = written((writer) => {
    writer.array(4);
    writer.copy(id, 0, id.length);
    writer.nil();
    writer.array(0);
    writer.int32(-1);
  });
  expect(toHex(bytes)).toBe('94 cf 00 00 00 00 00 00 00 07 c0 90 ff');
  expect(unpack(bytes)).toEqual([7, null, [], -1]);
  for (let count = 0; count < 16; count++) {
    expect(cursorOver(written((writer) => writer.array(count))).array()).toBe(count);
  }
});
