import { describe, expect, test } from 'vitest';
import { CAPACITY, drainTags, put, ringPair, take } from './fixtures/ring-pair.ts';

const LONGEST = CAPACITY / 8;

/** Where counters are about to overflow, and where nothing special is. */
const STARTS = [
  ['zero', 0],
  ['just below 2^31', 2 ** 31 - 512],
  ['just below 2^32', (2 ** 32 - 512) | 0],
] as const;

describe.each(STARTS)('a ring that starts at %s', (_, at) => {
  test('a record is visible once it is published, not before', () => {
    const { producer, consumer } = ringPair({ at });
    put(producer, 5, 7);
    expect([producer.unpublished, consumer.fill(), take(consumer)]).toEqual([true, 0, undefined]);
    producer.publish();
    expect([producer.unpublished, consumer.fill(), take(consumer)]).toEqual([false, 16, [5, 7]]);
    expect([consumer.fill(), take(consumer)]).toEqual([0, undefined]);
  });

  test('records exactly fill it, the next is refused, and room comes back with the release only', () => {
    const { producer, consumer } = ringPair({ at });
    for (let tag = 0; tag < CAPACITY / 64; tag++) expect(put(producer, 56, tag)).toBe(true);
    expect(put(producer, 0, 99)).toBe(false);
    producer.publish();
    expect(consumer.fill()).toBe(CAPACITY);
    expect(take(consumer)).toEqual([56, 0]);
    expect(put(producer, 0, 99)).toBe(false);
    consumer.release();
    expect(put(producer, 56, 99)).toBe(true);
    expect(put(producer, 0, 100)).toBe(false);
    producer.publish();
    expect(drainTags(consumer)).toEqual([...Array(63).keys()].map((tag) => tag + 1).concat(99));
  });

  test('records of every length arrive whole from every offset, across the wrap', () => {
    const { producer, consumer } = ringPair({ at });
    const offsets = new Set<number>();
    for (let round = 0; round < 8; round++) {
      for (let length = 0; length <= LONGEST; length++) {
        const index = producer.claim(length, length);
        offsets.add(index);
        producer.u8.fill(length, index, index + length);
        producer.publish();
        const found = consumer.next();
        expect([found, consumer.length, consumer.tag]).toEqual([index, length, length]);
        expect(consumer.u8.subarray(found, found + length).every((byte) => byte === (length & 0xff))).toBe(
          true,
        );
        consumer.release();
      }
    }
    expect(offsets.size).toBeGreaterThan(200);
  });

  test('a record that does not fit before the end begins at index 0, wherever the end comes', () => {
    for (let room = 8; room <= LONGEST + 8; room += 8) {
      const { producer, consumer } = ringPair({ at: (at & -CAPACITY) + CAPACITY - room });
      expect(producer.claim(LONGEST, 1)).toBe(room === LONGEST + 8 ? CAPACITY - LONGEST : 8);
      producer.u8.fill(0, 8, 8 + LONGEST);
      producer.publish();
      const bytes = (room === LONGEST + 8 ? 0 : room) + LONGEST + 8;
      expect(consumer.fill()).toBe(bytes);
      expect(consumer.next()).toBeGreaterThanOrEqual(8);
      expect([consumer.length, consumer.position]).toEqual([LONGEST, producer.position]);
    }
  });

  test('a refused claim at the wrap leaves nothing behind', () => {
    const { producer, consumer } = ringPair({ at: (at & -CAPACITY) + CAPACITY - 8 });
    for (let tag = 0; tag < 7; tag++) put(producer, LONGEST, tag);
    const before = producer.position;
    expect(put(producer, LONGEST, 7)).toBe(false);
    expect(producer.position).toBe(before);
    producer.publish();
    expect(drainTags(consumer)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(put(producer, LONGEST, 7)).toBe(true);
  });

  test.each([0, 1, 8, 9, 63, 64])('a claim of 64 bytes trimmed to %i arrives with that length', (length) => {
    const { producer, consumer } = ringPair({ at });
    put(producer, 3, 1);
    put(producer, 64, 2);
    producer.trim(length);
    put(producer, 5, 3);
    producer.publish();
    expect([take(consumer), take(consumer), take(consumer)]).toEqual([
      [3, 1],
      [length, 2],
      [5, 3],
    ]);
    expect(consumer.position).toBe(producer.position);
  });

  test('a trimmed record behind padding keeps its place', () => {
    const { producer, consumer } = ringPair({ at: (at & -CAPACITY) + CAPACITY - 16 });
    put(producer, 64, 1);
    producer.trim(2);
    put(producer, 1, 2);
    producer.publish();
    expect([take(consumer), take(consumer), take(consumer)]).toEqual([[2, 1], [1, 2], undefined]);
  });

  test('room is released up to a position remembered earlier', () => {
    const { producer, consumer } = ringPair({ at });
    for (let tag = 0; tag < CAPACITY / 64; tag++) put(producer, 56, tag);
    producer.publish();
    take(consumer);
    const remembered = consumer.position;
    take(consumer);
    take(consumer);
    consumer.releaseTo(remembered);
    expect([put(producer, 56, 90), put(producer, 56, 91)]).toEqual([true, false]);
    consumer.releaseTo(consumer.peekPosition);
    expect([put(producer, 56, 92), put(producer, 56, 93)]).toEqual([true, false]);
    consumer.release();
    expect([put(producer, 56, 94), put(producer, 56, 95)]).toEqual([true, false]);
  });

  test('a record returned by next can be given back and is returned again', () => {
    const { producer, consumer } = ringPair({ at });
    for (let tag = 0; tag < 3; tag++) put(producer, 9, tag);
    producer.publish();
    take(consumer);
    expect(take(consumer)).toEqual([9, 1]);
    consumer.resumeAt(consumer.peekPosition);
    expect(drainTags(consumer)).toEqual([1, 2]);
  });
});

describe('misuse', () => {
  test.each([-1, LONGEST + 1, 2 ** 31, -(2 ** 31)])('claiming %i bytes throws', (length) => {
    expect(() => ringPair().producer.claim(length, 0)).toThrow(RangeError);
  });

  test.each([-1, 17])('trimming a record of 16 bytes to %i throws', (length) => {
    const { producer } = ringPair();
    put(producer, 16, 1);
    expect(() => producer.trim(length)).toThrow(RangeError);
  });

  test('trimming a published record throws', () => {
    const { producer } = ringPair();
    put(producer, 16, 1);
    producer.publish();
    expect(() => producer.trim(8)).toThrow(RangeError);
  });

  test('releasing what is not read yet, or what is released already, throws', () => {
    const { producer, consumer } = ringPair({ at: -8 });
    put(producer, 0, 1);
    put(producer, 0, 2);
    producer.publish();
    take(consumer);
    expect(() => consumer.releaseTo(producer.position)).toThrow(RangeError);
    consumer.releaseTo(0);
    expect(() => consumer.releaseTo(-8)).toThrow(RangeError);
    take(consumer);
    consumer.release();
    expect(() => consumer.releaseTo(0)).toThrow(RangeError);
    consumer.releaseTo(consumer.position);
    expect(drainTags(consumer)).toEqual([]);
  });

  test('a damaged length is noticed, not followed', () => {
    const { producer, consumer } = ringPair();
    put(producer, 16, 1);
    producer.publish();
    producer.i32[0] = LONGEST + 1;
    expect(() => consumer.next()).toThrow('damaged');
  });
});

describe.each(STARTS)('ownership of a ring that starts at %s', (_, at) => {
  test('a new producer carries on where the old one published', () => {
    const { producer, consumer, secondProducer } = ringPair({ at });
    put(producer, 40, 1);
    producer.publish();
    put(producer, 40, 2);
    const heir = secondProducer();
    put(heir, 8, 3);
    heir.publish();
    expect(drainTags(consumer)).toEqual([1, 3]);
  });

  test('a new producer publishes what the dead one had finished, and drops what it had begun', () => {
    const { producer, consumer, secondProducer } = ringPair({ at });
    put(producer, 40, 1);
    const finished = producer.position;
    producer.claim(100, 2);
    const heir = secondProducer();
    heir.resumeAt(finished);
    expect([heir.position, heir.unpublished]).toEqual([finished, false]);
    put(heir, 8, 3);
    heir.publish();
    expect(drainTags(consumer)).toEqual([1, 3]);
  });

  test('the writing end goes to another object and comes back', () => {
    const { producer, consumer, secondProducer } = ringPair({ at });
    const other = secondProducer();
    put(producer, 24, 1);
    producer.publish();
    other.refresh();
    put(other, 24, 2);
    other.publish();
    expect(drainTags(consumer)).toEqual([1, 2]);
    producer.refresh();
    for (let tag = 3; tag < 3 + CAPACITY / 32; tag++) expect(put(producer, 24, tag)).toBe(true);
    expect(put(producer, 24, 0)).toBe(false);
    producer.publish();
    expect(drainTags(consumer).length).toBe(CAPACITY / 32);
  });

  test('refreshing a producer gives up what it has not published', () => {
    const { producer, consumer } = ringPair({ at });
    put(producer, 24, 1);
    producer.refresh();
    expect([producer.unpublished, producer.position]).toEqual([false, at]);
    put(producer, 24, 2);
    producer.publish();
    expect(drainTags(consumer)).toEqual([2]);
  });

  test('the reading end goes to another object, which reads again what was not released', () => {
    const { producer, consumer, secondConsumer } = ringPair({ at });
    for (let tag = 0; tag < 4; tag++) put(producer, 24, tag);
    producer.publish();
    take(consumer);
    consumer.release();
    take(consumer);
    const heir = secondConsumer();
    expect(take(heir)).toEqual([24, 1]);
    heir.release();
    consumer.refresh();
    expect([consumer.position, consumer.peekPosition]).toEqual([heir.position, heir.position]);
    expect(drainTags(consumer)).toEqual([2, 3]);
  });

  test('a new consumer resumes behind what the dead one had worked off without releasing', () => {
    const { producer, consumer, secondConsumer } = ringPair({ at });
    for (let tag = 0; tag < CAPACITY / 64; tag++) put(producer, 56, tag);
    producer.publish();
    take(consumer);
    take(consumer);
    const workedOff = consumer.position;
    const heir = secondConsumer();
    heir.resumeAt(workedOff);
    expect([put(producer, 56, 90), put(producer, 56, 91), put(producer, 0, 92)]).toEqual([true, true, false]);
    producer.publish();
    expect(drainTags(heir).slice(0, 2)).toEqual([2, 3]);
  });
});
