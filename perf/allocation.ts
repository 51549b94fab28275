import { GCProfiler, getHeapStatistics } from 'node:v8';
import { collectGarbage } from '../src/base/collect-garbage.ts';
import { median } from './stats.ts';

/** Calls before the measurements of an attempt, unless more are asked for: the optimizing compiler then has the function, as a rule. */
const WARM_UP_CALLS = 20_000;
const ATTEMPTS = 12;
const REPEATS = 3;

/** Calls of `fn` by one `bytesPerCall` of that many calls, at most. */
export function mostCalls(calls: number): number {
  return ATTEMPTS * (Math.max(calls, WARM_UP_CALLS) + REPEATS * calls);
}

/**
 * Bytes that one call of `fn` allocates on this thread's heap once it has settled. Code that the optimizing compiler has not come to
 * yet, or has to compile anew, boxes every number; how soon that thread is done is up to the machine. So what counts is the least of
 * up to 12 attempts, with longer and longer pauses, until one is below `enough`. An attempt is the median of three measurements of
 * `calls` calls each.
 * What a buffer holds outside the heap is not in it, since that is freed at times of its own, but its view is. Collections during
 * a measurement are accounted for: what is allocated is the growth of the heap plus what every collection took away. A function that
 * allocates nothing gives less than a byte.
 *
 * `fn` gets the number of the call, from 0 in each measurement. It must neither be asynchronous nor keep much of
 * what it makes. The heap is collected before each measurement, which takes some milliseconds.
 */
export function bytesPerCall(
  fn: (call: number) => void,
  calls: number,
  enough: number,
  warmUpCalls: number = Math.max(calls, WARM_UP_CALLS),
): number {
  const overhead = median(Array.from({ length: 5 }, () => allocatedBytes(fn, 0)));
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS && least >= enough; attempt++) {
    repeat(fn, warmUpCalls);
    if (attempt > 0) pause(2 ** attempt);
    const measured = Array.from({ length: REPEATS }, () => allocatedBytes(fn, calls));
    least = Math.min(least, Math.max(0, median(measured) - overhead) / calls);
  }
  return least;
}

/** Leaves the processor to the compiler's thread. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function repeat(fn: (call: number) => void, calls: number): void {
  for (let call = 0; call < calls; call++) fn(call);
}

function allocatedBytes(fn: (call: number) => void, calls: number): number {
  collectGarbage(false);
  const profiler = new GCProfiler();
  profiler.start();
  const before = getHeapStatistics().used_heap_size;
  repeat(fn, calls);
  const after = getHeapStatistics().used_heap_size;
  let collected = 0;
  for (const { beforeGC, afterGC } of profiler.stop().statistics) {
    collected += beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize;
  }
  return after - before + collected;
}
