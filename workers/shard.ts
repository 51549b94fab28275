import { workerData } from 'node:worker_threads';
import { type ClockAnchor, clockFrom } from '../src/base/clock.ts';
import type { EngineMemory } from '../src/shard/memory.ts';
import { runWorker } from '../src/shard/worker-loop.ts';

/** What the supervisor hands to a worker thread. */
export interface ShardWorkerData {
  memory: EngineMemory;
  worker: number;
  anchor: ClockAnchor;
  spins: number;
}

const { memory, worker, anchor, spins } = workerData as ShardWorkerData;
runWorker(memory, worker, clockFrom(anchor), spins);
