import { RingConsumer } from '../ring/consumer.ts';
import { RingProducer } from '../ring/producer.ts';
import type { LinkMemory, WorkerMemory } from './memory.ts';

/** A front's end of the command ring towards a worker. */
export function commandProducer(worker: WorkerMemory, front: number): RingProducer {
  const { sab, commands, commandRingBytes } = linkOf(worker, front);
  return new RingProducer(sab, commands, commandRingBytes);
}

/** A worker's end of it. */
export function commandConsumer(worker: WorkerMemory, front: number): RingConsumer {
  const { sab, commands, commandRingBytes } = linkOf(worker, front);
  return new RingConsumer(sab, commands, commandRingBytes);
}

/** A worker's end of the reply ring towards a front. */
export function replyProducer(worker: WorkerMemory, front: number): RingProducer {
  const { sab, replies, replyRingBytes } = linkOf(worker, front);
  return new RingProducer(sab, replies, replyRingBytes);
}

/** A front's end of it. */
export function replyConsumer(worker: WorkerMemory, front: number): RingConsumer {
  const { sab, replies, replyRingBytes } = linkOf(worker, front);
  return new RingConsumer(sab, replies, replyRingBytes);
}

function linkOf(worker: WorkerMemory, front: number): LinkMemory {
  const link = worker.links[front];
  if (link === undefined) throw new RangeError(`there is no front ${front}`);
  return link;
}
