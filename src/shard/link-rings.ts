import { RingConsumer } from '../ring/consumer.ts';
import { RingProducer } from '../ring/producer.ts';
import type { LinkMemory, RingMemory, WorkerMemory } from './memory.ts';

/** A front's ends of the command rings towards a worker, by lane. */
export function commandProducers(worker: WorkerMemory, front: number): RingProducer[] {
  return linkOf(worker, front).commands.map(({ at, bytes }) => new RingProducer(worker.sab, at, bytes));
}

/** A worker's end of one of them. */
export function commandConsumer(worker: WorkerMemory, front: number, lane: number): RingConsumer {
  const { at, bytes } = linkOf(worker, front).commands[lane] as RingMemory;
  return new RingConsumer(worker.sab, at, bytes);
}

/** A worker's end of the reply ring towards a front. */
export function replyProducer(worker: WorkerMemory, front: number): RingProducer {
  const { at, bytes } = linkOf(worker, front).replies;
  return new RingProducer(worker.sab, at, bytes);
}

/** A front's end of it. */
export function replyConsumer(worker: WorkerMemory, front: number): RingConsumer {
  const { at, bytes } = linkOf(worker, front).replies;
  return new RingConsumer(worker.sab, at, bytes);
}

function linkOf(worker: WorkerMemory, front: number): LinkMemory {
  const link = worker.links[front];
  if (link === undefined) throw new RangeError(`there is no front ${front}`);
  return link;
}
