import type { Piscina } from 'piscina';
import { threadPool } from '../src/runtime/thread-pool.ts';

/** Threads that run the functions of a module, all of them from the start: load generators and other clients. To be destroyed. */
export function loadThreads(module: URL, threads = 1): Piscina {
  return threadPool(module, { minThreads: threads, maxThreads: threads });
}
