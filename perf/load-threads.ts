import { Piscina } from 'piscina';

/** Threads that run the functions of a module, all of them from the start: load generators and other clients. To be destroyed. */
export function loadThreads(module: URL, threads = 1): Piscina {
  return new Piscina({
    filename: module.href,
    minThreads: threads,
    maxThreads: threads,
    // They sleep between tasks; waiting with Atomics would stall the sockets of their own event loops.
    atomics: 'disabled',
  });
}
