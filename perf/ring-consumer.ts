import { parentPort, workerData } from 'node:worker_threads';
import { RingConsumer } from '../src/ring/consumer.ts';
import { RingProducer } from '../src/ring/producer.ts';
import {
  BATCH_RECORDS,
  CAPACITY_BYTES,
  checksumOf,
  PAYLOAD_BYTES,
  type RingDrained,
  type RingMemory,
  type RingTask,
} from './ring.ts';

// The consumer's thread of the ring benchmark. It spins: what is measured is the ring, not the wake-ups.

const port = parentPort;
if (port === null) throw new Error('This file is the entry of a worker thread.');

const memory = workerData as RingMemory;
const there = new RingConsumer(memory.sab, memory.thereOffset, CAPACITY_BYTES);
const back = new RingProducer(memory.sab, memory.backOffset, CAPACITY_BYTES);

port.on('message', (task: RingTask) => {
  if (task.kind === 'echo') echo();
  else port.postMessage(drain(task.records));
});
port.postMessage('ready');

function drain(records: number): RingDrained {
  const words = there.i32;
  const lastWord = (PAYLOAD_BYTES >> 2) - 1;
  let mismatches = 0;
  let checksum = 0;
  let inBatch = 0;
  for (let sequence = 0; sequence < records; ) {
    const index = there.next();
    if (index < 0) {
      there.release();
      inBatch = 0;
      continue;
    }
    const word = index >> 2;
    const last = words[word + lastWord];
    if (words[word] !== sequence || last !== checksumOf(sequence)) mismatches += 1;
    checksum = (checksum + last) | 0;
    sequence += 1;
    inBatch += 1;
    if (inBatch === BATCH_RECORDS) {
      there.release();
      inBatch = 0;
    }
  }
  there.release();
  return { mismatches, checksum, endNs: process.hrtime.bigint() };
}

/** Sends every record back until the benchmark ends this thread. */
function echo(): never {
  for (;;) {
    const index = there.next();
    if (index < 0) continue;
    const answer = back.claim(there.length, there.tag);
    back.i32[answer >> 2] = there.i32[index >> 2];
    there.release();
    back.publish();
  }
}
