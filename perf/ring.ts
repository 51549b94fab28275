import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { RingConsumer } from '../src/ring/consumer.ts';
import { ringBytes } from '../src/ring/layout.ts';
import { RingProducer } from '../src/ring/producer.ts';

/** Payload of one record; with its header it takes 64 bytes of the ring, a cache line. */
export const PAYLOAD_BYTES = 56;
/** Records per publication and per release, as a duty cycle under load would batch them. */
export const BATCH_RECORDS = 64;
export const CAPACITY_BYTES = 256 * 1024;

const WARM_UP_RECORDS = 2_000_000;
const HOP_ROUNDS = 200_000;
const HOP_LIMIT_MS = 1000;
/** A consumer that frees nothing for so long has died; spinning on would hang the benchmark. */
const STALL_LIMIT_MS = 60_000;

/** What the consumer thread is asked to do; its memory comes as workerData. */
export type RingTask = { kind: 'drain'; records: number } | { kind: 'echo' };

export interface RingMemory {
  readonly sab: SharedArrayBuffer;
  readonly thereOffset: number;
  readonly backOffset: number;
}

/** The consumer's account of a 'drain'. */
export interface RingDrained {
  readonly mismatches: number;
  readonly checksum: number;
  /** When the last record was read, by the monotonic clock that all threads share, in ns. */
  readonly endNs: bigint;
}

export interface RingBenchOptions {
  /** Records per measured run. */
  readonly records: number;
  /** Measured runs, at least one; a warm-up run comes before them. */
  readonly repeats: number;
}

export interface RingBenchResult {
  /** Median over the repeats. */
  readonly recordsPerSecond: number;
  /** Slowest and fastest repeat, records per second. */
  readonly spread: [min: number, max: number];
  /** One way from thread to thread with both spinning; left out with fewer than two cores. */
  readonly hopMicroseconds?: number;
  /** Whether every record of every run arrived once, in order, with its checksum. */
  readonly verified: boolean;
}

/** What the last word of a record's payload holds; the first holds the sequence number. */
export function checksumOf(sequence: number): number {
  return Math.imul(sequence ^ 0x55555555, 0x9e3779b1);
}

/**
 * One producer thread (this one), one consumer thread, records of 64 bytes: writes the first and the last word of each
 * payload, and checks both on the other side. It measures the ring, not the copying of payloads.
 */
export async function benchRing(options: RingBenchOptions): Promise<RingBenchResult> {
  const bytes = ringBytes(CAPACITY_BYTES);
  const memory: RingMemory = { sab: new SharedArrayBuffer(2 * bytes), thereOffset: 0, backOffset: bytes };
  const there = new RingProducer(memory.sab, memory.thereOffset, CAPACITY_BYTES);
  const back = new RingConsumer(memory.sab, memory.backOffset, CAPACITY_BYTES);
  const worker = new Worker(new URL('./ring-consumer.ts', import.meta.url), { workerData: memory });
  try {
    await once(worker, 'message');
    let verified = (await runOnce(worker, there, Math.min(options.records, WARM_UP_RECORDS))).verified;
    const rates: number[] = [];
    for (let repeat = 0; repeat < options.repeats; repeat++) {
      const run = await runOnce(worker, there, options.records);
      verified &&= run.verified;
      rates.push(run.recordsPerSecond);
    }
    rates.sort((a, b) => a - b);
    const result: RingBenchResult = {
      recordsPerSecond: median(rates),
      spread: [rates[0], rates[rates.length - 1]],
      verified,
    };
    if (availableParallelism() < 2) return result;
    worker.postMessage({ kind: 'echo' } satisfies RingTask);
    return { ...result, hopMicroseconds: pingPong(there, back, Math.min(HOP_ROUNDS, options.records)) };
  } finally {
    await worker.terminate();
  }
}

async function runOnce(worker: Worker, there: RingProducer, records: number) {
  const startNs = process.hrtime.bigint();
  worker.postMessage({ kind: 'drain', records } satisfies RingTask);
  const checksum = produce(there, records);
  const [drained] = (await once(worker, 'message')) as [RingDrained];
  return {
    recordsPerSecond: (records / Number(drained.endNs - startNs)) * 1e9,
    verified: drained.mismatches === 0 && drained.checksum === checksum,
  };
}

/** Sends `records` records as fast as the ring takes them; returns the sum of their checksums, as int32. */
function produce(ring: RingProducer, records: number): number {
  const words = ring.i32;
  const lastWord = (PAYLOAD_BYTES >> 2) - 1;
  let sum = 0;
  let inBatch = 0;
  for (let sequence = 0; sequence < records; ) {
    const index = ring.claim(PAYLOAD_BYTES, 1);
    if (index < 0) {
      ring.publish();
      inBatch = 0;
      waitForRoom(ring);
      continue;
    }
    const word = index >> 2;
    const checksum = checksumOf(sequence);
    words[word] = sequence;
    words[word + lastWord] = checksum;
    sum = (sum + checksum) | 0;
    sequence += 1;
    inBatch += 1;
    if (inBatch === BATCH_RECORDS) {
      ring.publish();
      inBatch = 0;
    }
  }
  ring.publish();
  return sum;
}

function waitForRoom(ring: RingProducer): void {
  let stallsAt = 0;
  for (let spins = 1; !ring.hasRoom(PAYLOAD_BYTES); spins++) {
    if ((spins & 0xfffff) !== 0) continue;
    if (stallsAt === 0) stallsAt = performance.now() + STALL_LIMIT_MS;
    if (performance.now() > stallsAt) throw new Error('The consumer thread has stopped reading.');
  }
}

/** Sends one record at a time and spins for its echo; returns microseconds per hop. */
function pingPong(there: RingProducer, back: RingConsumer, rounds: number): number {
  const start = performance.now();
  let done = 0;
  while (done < rounds) {
    const index = there.claim(8, 1);
    there.i32[index >> 2] = done;
    there.publish();
    while (back.next() < 0) {
      if (performance.now() - start > STALL_LIMIT_MS) throw new Error('The consumer thread does not answer.');
    }
    back.release();
    done += 1;
    if ((done & 0xff) === 0 && performance.now() - start > HOP_LIMIT_MS) break;
  }
  return ((performance.now() - start) / done / 2) * 1000;
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
