import { HEAD_WORD } from '../../src/ring/layout.ts';
import { Control, controlOf, type WorkerMemory } from '../../src/shard/memory.ts';

/** Whether a worker's event ring surely has room for so many bytes, whatever is lost at its end. */
export function hasEventRoom(own: WorkerMemory, bytes: number): boolean {
  const head = Atomics.load(new Int32Array(own.sab, own.events, HEAD_WORD + 1), HEAD_WORD);
  const fill = ((controlOf(own)[Control.EVENT_POSITION] as number) - head) | 0;
  return fill + 2 * bytes <= own.eventRingBytes;
}
