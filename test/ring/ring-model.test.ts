import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RingConsumer } from '../../src/ring/consumer.ts';
import type { RingProducer } from '../../src/ring/producer.ts';
import { CAPACITY, fillPayload, isIntact, ringPair } from './fixtures/ring-pair.ts';

/** A record as the model keeps it: positions are plain numbers that never wrap. */
interface ModelRecord {
  readonly tag: number;
  length: number;
  readonly start: number;
  end: number;
}

/** The ring as queues of records: claimed, published, and read but not released. */
interface Model {
  tail: number;
  head: number;
  nextTag: number;
  claimed: ModelRecord[];
  published: ModelRecord[];
  read: ModelRecord[];
}

interface Real {
  readonly producer: RingProducer;
  readonly consumer: RingConsumer;
}

type Command = fc.Command<Model, Real>;

const sizeOf = (length: number) => 8 + Math.ceil(length / 8) * 8;

class Claim implements Command {
  readonly length: number;
  constructor(length: number) {
    this.length = length;
  }
  check = () => true;
  run(model: Model, { producer }: Real): void {
    const rest = CAPACITY - (model.tail % CAPACITY);
    const size = sizeOf(this.length);
    const start = model.tail + (size > rest ? rest : 0);
    const full = start + size - model.head > CAPACITY;
    const tag = model.nextTag++;
    expect(producer.hasRoom(this.length)).toBe(!full);
    const index = producer.claim(this.length, tag);
    expect(index).toBe(full ? -1 : (start % CAPACITY) + 8);
    if (full) return;
    fillPayload(producer.u8, index, this.length, tag);
    model.tail = start + size;
    model.claimed.push({ tag, length: this.length, start, end: model.tail });
  }
  toString = () => `claim(${this.length})`;
}

class Trim implements Command {
  readonly share: number;
  constructor(share: number) {
    this.share = share;
  }
  check = (model: Readonly<Model>) => model.claimed.length > 0;
  run(model: Model, { producer }: Real): void {
    const last = model.claimed[model.claimed.length - 1];
    last.length = Math.floor((last.length * this.share) / 100);
    last.end = last.start + sizeOf(last.length);
    model.tail = last.end;
    producer.trim(last.length);
  }
  toString = () => `trim(to ${this.share} %)`;
}

class Publish implements Command {
  check = () => true;
  run(model: Model, { producer, consumer }: Real): void {
    expect(producer.unpublished).toBe(model.claimed.length > 0);
    producer.publish();
    model.published.push(...model.claimed.splice(0));
    const readTo = model.read.at(-1)?.end ?? model.head;
    expect(consumer.fill()).toBe(model.published.length === 0 ? 0 : model.tail - readTo);
  }
  toString = () => 'publish';
}

class Next implements Command {
  check = () => true;
  run(model: Model, { consumer }: Real): void {
    const index = consumer.next();
    const record = model.published.shift();
    expect(index).toBe(record === undefined ? -1 : (record.start % CAPACITY) + 8);
    if (record === undefined) return;
    expect([consumer.length, consumer.tag]).toEqual([record.length, record.tag]);
    expect([consumer.peekPosition, consumer.position]).toEqual([record.start | 0, record.end | 0]);
    model.read.push(record);
  }
  toString = () => 'next';
}

/** Releases the first `share` percent of the records read; each must still be intact until then. */
class Release implements Command {
  readonly share: number;
  constructor(share: number) {
    this.share = share;
  }
  check = () => true;
  run(model: Model, { consumer }: Real): void {
    const count = Math.ceil((model.read.length * this.share) / 100);
    const released = model.read.splice(0, count);
    for (const { start, length, tag } of released) {
      expect(isIntact(consumer.u8, (start % CAPACITY) + 8, length, tag)).toBe(true);
    }
    const end = released.at(-1)?.end;
    if (end !== undefined) model.head = end;
    if (this.share === 100) consumer.release();
    else consumer.releaseTo(model.head | 0);
  }
  toString = () => `release(${this.share} %)`;
}

const commands = fc.commands(
  [
    fc
      .oneof(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 0, max: CAPACITY / 8 }))
      .map((n) => new Claim(n)),
    fc.integer({ min: 0, max: 100 }).map((share) => new Trim(share)),
    fc.constant(new Publish()),
    fc.constant(new Next()),
    fc.constant(new Next()),
    fc.constantFrom(100, 100, 50, 0).map((share) => new Release(share)),
  ],
  { size: '+1', maxCommands: 200 },
);

const starts = fc.tuple(fc.constantFrom(0, 2 ** 31, 2 ** 32), fc.integer({ min: 0, max: 1000 }));

test('whatever is claimed, trimmed, published, read and released, the ring is a queue', () => {
  const property = fc.property(starts, commands, ([edge, before], list) => {
    const start = 2 ** 32 + edge - before * 8;
    const { producer, consumer } = ringPair({ at: start | 0 });
    const model: Model = { tail: start, head: start, nextTag: 1, claimed: [], published: [], read: [] };
    fc.modelRun(() => ({ model, real: { producer, consumer } }), list);
  });
  fc.assert(property, { numRuns: 500 });
});
