import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { RingConsumer } from '../../src/ring/consumer.ts';
import { Doorbell } from '../../src/ring/doorbell.ts';
import { RingProducer } from '../../src/ring/producer.ts';
import {
  BATCH_RECORDS,
  CAPACITY_BYTES,
  type StreamMemory,
  type StreamReport,
  streamMemory,
  wordOf,
  wordsOf,
} from './fixtures/stream.ts';

const RECORDS = 10_000_000;

/** Sends the records, sleeping while the ring is full; returns the XOR of every word written. */
function produce(ring: RingProducer, memory: StreamMemory): number {
  const ownBell = new Doorbell(memory.sab, memory.producerBell);
  const consumerBell = new Doorbell(memory.sab, memory.consumerBell);
  const words = ring.i32;
  let checksum = 0;
  for (let sequence = 0; sequence < RECORDS; sequence++) {
    const count = wordsOf(sequence);
    let index = ring.claim(count * 4, ~sequence);
    while (index < 0) {
      ring.publish();
      consumerBell.ring();
      // A claim looks at the consumer's head by an atomic load before it gives up: the look that the doorbell needs.
      ownBell.sleep(1000, () => {
        index = ring.claim(count * 4, ~sequence);
        return index >= 0;
      });
    }
    const first = index >> 2;
    for (let place = 0; place < count; place++) {
      const word = wordOf(sequence, place);
      words[first + place] = word;
      checksum ^= word;
    }
    if (sequence % BATCH_RECORDS === 0) {
      ring.publish();
      consumerBell.ring();
    }
  }
  ring.publish();
  consumerBell.ring();
  return checksum;
}

test.each([
  ['2^31', 2 ** 31 - 100_000_000],
  ['2^32', (2 ** 32 - 100_000_000) | 0],
])(
  'ten million records of many lengths cross from thread to thread and over %s, whole and in order',
  async (_, at) => {
    const memory = streamMemory();
    new RingConsumer(memory.sab, memory.ring, CAPACITY_BYTES).resumeAt(at);
    const ring = new RingProducer(memory.sab, memory.ring, CAPACITY_BYTES);
    ring.resumeAt(at);
    const worker = new Worker(new URL('./fixtures/stream-worker.ts', import.meta.url), {
      workerData: { memory, records: RECORDS },
    });
    const checksum = produce(ring, memory);
    const [report] = (await once(worker, 'message')) as [StreamReport];
    expect(report).toEqual({ outOfOrder: 0, damaged: 0, checksum } satisfies StreamReport);
  },
);
