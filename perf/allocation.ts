import { GCProfiler, getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { median } from './stats.ts';

const LEAST_WARM_UP_CALLS = 20_000;

export interface AllocationOptions {
  /** Calls before measuring, so that the optimizing compiler is done with the function. */
  readonly warmUpCalls?: number;
  /** Measurements of which the median counts; a compilation that lands in one of them does no harm. */
  readonly repeats?: number;
}

/**
 * Bytes that one call of `fn` allocates on this thread's heap: median over the repeats, each of `calls` calls.
 * What a buffer holds outside the heap is not in it, since that is freed at times of its own, but its view is. Collections during a measurement are accounted for: what is allocated is the growth of the heap plus
 * what every collection took away. A function that allocates nothing gives less than a byte.
 *
 * `fn` gets the number of the call, from 0 in each measurement. It must neither be asynchronous nor keep much of
 * what it makes. The heap is collected before each measurement, which takes some milliseconds.
 */
export function bytesPerCall(
  fn: (call: number) => void,
  calls: number,
  options: AllocationOptions = {},
): number {
  const { warmUpCalls = Math.max(calls, LEAST_WARM_UP_CALLS), repeats = 5 } = options;
  repeat(fn, warmUpCalls);
  const overhead = median(Array.from({ length: 5 }, () => allocatedBytes(fn, 0)));
  const measured = Array.from({ length: repeats }, () => allocatedBytes(fn, calls));
  return Math.max(0, median(measured) - overhead) / calls;
}

function repeat(fn: (call: number) => void, calls: number): void {
  for (let call = 0; call < calls; call++) fn(call);
}

function allocatedBytes(fn: (call: number) => void, calls: number): number {
  collectGarbage();
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

// The flag takes effect in contexts that are made after it is set.
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
