import { describe, expect, test } from 'vitest';
import { RingConsumer } from '../../src/ring/consumer.ts';
import {
  DATA_OFFSET,
  HEAD_WORD,
  LINE_PAIR_BYTES,
  longestPayload,
  RING_BYTES_MAX,
  RING_BYTES_MIN,
  recordBytes,
  ringBytes,
  TAIL_WORD,
} from '../../src/ring/layout.ts';
import { RingProducer } from '../../src/ring/producer.ts';

describe('the ring layout', () => {
  test.each([
    [0, 8],
    [1, 16],
    [8, 16],
    [9, 24],
    [56, 64],
  ])('a payload of %i bytes takes a record of %i', (payloadBytes, bytes) => {
    expect(recordBytes(payloadBytes)).toBe(bytes);
  });

  test('tail and head lie a pair of cache lines apart, and a line away from the data and the neighbours', () => {
    expect((HEAD_WORD - TAIL_WORD) * 4).toBe(LINE_PAIR_BYTES);
    expect(TAIL_WORD * 4).toBe(64);
    expect(DATA_OFFSET - HEAD_WORD * 4).toBe(64);
  });

  test('rings may lie back to back', () => {
    expect(ringBytes(RING_BYTES_MIN) % LINE_PAIR_BYTES).toBe(0);
  });

  test('a record and the padding before it fit into an empty ring, whatever their size', () => {
    expect(2 * recordBytes(longestPayload(RING_BYTES_MIN))).toBeLessThanOrEqual(RING_BYTES_MIN);
  });

  test.each([0, 2048, 4095, 4097, 6144, 2 ** 31, RING_BYTES_MAX + 1, Number.NaN, 4096.5])(
    'refuses a capacity of %d bytes',
    (capacity) => {
      expect(() => ringBytes(capacity)).toThrow(RangeError);
    },
  );

  test.each([RING_BYTES_MIN, 2 ** 20, RING_BYTES_MAX])('takes a capacity of %d bytes', (capacity) => {
    expect(ringBytes(capacity)).toBe(DATA_OFFSET + capacity);
  });

  test.each([
    ['not on a line pair', 64, 2 * ringBytes(4096)],
    ['before the buffer', -128, ringBytes(4096)],
    ['beyond the buffer', 128, ringBytes(4096)],
  ])('both ends refuse a place %s', (_, byteOffset, bufferBytes) => {
    const sab = new SharedArrayBuffer(bufferBytes);
    expect(() => new RingProducer(sab, byteOffset, 4096)).toThrow(/^A ring /);
    expect(() => new RingConsumer(sab, byteOffset, 4096)).toThrow(/^A ring /);
  });

  test('a ring writes nothing outside of its own bytes', () => {
    const bytes = ringBytes(4096);
    const sab = new SharedArrayBuffer(3 * bytes);
    const all = new Uint8Array(sab).fill(0xaa);
    all.fill(0, bytes, 2 * bytes);
    const producer = new RingProducer(sab, bytes, 4096);
    const consumer = new RingConsumer(sab, bytes, 4096);
    for (let record = 0; record < 1000; record++) {
      const length = record % 500;
      const index = producer.claim(length, -1);
      producer.u8.fill(0xff, index, index + length);
      producer.publish();
      consumer.next();
      consumer.release();
    }
    expect(all.subarray(0, bytes).every((byte) => byte === 0xaa)).toBe(true);
    expect(all.subarray(2 * bytes).every((byte) => byte === 0xaa)).toBe(true);
  });
});
