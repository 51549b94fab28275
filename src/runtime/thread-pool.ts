import { Piscina } from 'piscina';

/**
 * Piscina loads a module by `require`, where Node can, before it tries `import`. A thread that is ended while it requires a large
 * module aborts the whole process in Node 22: the loader asks a graph that was never linked whether it is asynchronous. Without
 * `require` of modules it imports at once, and such a thread just ends.
 */
const THREAD_FLAGS = ['--no-experimental-require-module'];

export interface ThreadPoolOptions {
  readonly minThreads: number;
  readonly maxThreads: number;
  /** Threads above the least number end when they had nothing to do for so long. Default: at once. */
  readonly idleMs?: number;
}

/** Threads that run the exported functions of a module. To be destroyed. */
export function threadPool(module: URL, { minThreads, maxThreads, idleMs = 0 }: ThreadPoolOptions): Piscina {
  return new Piscina({
    filename: module.href,
    minThreads,
    maxThreads,
    idleTimeout: idleMs,
    execArgv: THREAD_FLAGS,
    // A thread that waits for its next task in Atomics.wait() would let nothing else happen in it meanwhile.
    atomics: 'disabled',
  });
}
