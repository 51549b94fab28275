import { workerData } from 'node:worker_threads';
import { type ClockAnchor, clockFrom } from '../src/base/clock.ts';
import { collectGarbage } from '../src/base/collect-garbage.ts';
import type { EngineMemory } from '../src/shard/memory.ts';
import { runWorker } from '../src/shard/worker-loop.ts';

/** What the supervisor hands to a worker thread. */
export interface ShardWorkerData {
  memory: EngineMemory;
  worker: number;
  anchor: ClockAnchor;
  spins: number;
}

// What loading the code has left. V8 would collect it some seconds later, in the middle of the load.
collectGarbage(false);
const { memory, worker, anchor, spins } = workerData as ShardWorkerData;
runWorker(memory, worker, clockFrom(anchor), spins);
