import { describe, expect, it } from 'vitest';
import { RingConsumer } from '../../src/ring/consumer.ts';
import { ringBytes } from '../../src/ring/layout.ts';
import { ringOccupancy } from '../../src/ring/occupancy.ts';
import { RingProducer } from '../../src/ring/producer.ts';

const CAPACITY = 4096;
const PAYLOAD = 100;
/** 100 bytes and a header of 8, to the next 8. */
const RECORD = 112;

function ring(position = 0) {
  const sab = new SharedArrayBuffer(128 + ringBytes(CAPACITY));
  const producer = new RingProducer(sab, 128, CAPACITY);
  const consumer = new RingConsumer(sab, 128, CAPACITY);
  producer.resumeAt(position);
  consumer.resumeAt(position);
  return { sab, producer, consumer, look: () => ringOccupancy(sab, 128, CAPACITY) };
}

describe('a ring that is looked into', () => {
  it('shows what is published and not given back', () => {
    const { producer, consumer, look } = ring();
    expect(look()).toEqual({ records: 0, fill: 0 });
    for (let i = 0; i < 3; i++) producer.claim(PAYLOAD, i);
    expect(look().records).toBe(0);
    producer.publish();
    expect(look()).toEqual({ records: 3, fill: (3 * RECORD) / CAPACITY });
    consumer.next();
    expect(look().records).toBe(3);
    consumer.release();
    expect(look()).toEqual({ records: 2, fill: (2 * RECORD) / CAPACITY });
  });

  it.each([0, 4000, 2 ** 31 - 200, 2 ** 32 - 200])('counts a full one from position %i on', (position) => {
    const { producer, look } = ring(position & -8);
    let claimed = 0;
    while (producer.claim(PAYLOAD, 0) >= 0) claimed++;
    producer.publish();
    expect(look().records).toBe(claimed);
    expect(look().fill).toBeGreaterThan(0.9);
    expect(look().fill).toBeLessThanOrEqual(1);
  });

  it('gives up where a length makes no sense', () => {
    const { producer, look } = ring();
    for (let i = 0; i < 3; i++) producer.claim(PAYLOAD, i);
    producer.publish();
    producer.i32[RECORD >> 2] = 1_000_000;
    expect(look()).toEqual({ records: 1, fill: (3 * RECORD) / CAPACITY });
  });
});
