import type { GCProfiler as Collector } from 'node:v8';

/** What `stopHealth` tells of its thread. */
export interface RawHealth {
  readonly minor: { count: number; totalMs: number; longestMs: number };
  readonly major: { count: number; totalMs: number; longestMs: number };
  readonly allocatedBytes: number;
  readonly heapBytes: number;
  /** Of the timer, its interval included; null when it never came. */
  readonly delay: { count: number; meanMs: number; p50Ms: number; p99Ms: number; maxMs: number } | null;
  readonly utilization: number;
  readonly loopMs: number;
}

interface Probe {
  readonly collector: Collector;
  readonly delay: {
    disable(): void;
    count: number;
    mean: number;
    max: number;
    percentile(p: number): number;
  };
  readonly loop: { idle: number; active: number; utilization: number };
  readonly heapBytes: number;
}

/**
 * The functions of this file are sent to other threads as text and run there, between two instructions of whatever the thread is
 * doing. They can use nothing from outside their own braces.
 *
 * This one begins to watch collections, heap and event loop. Returns where /proc has the thread.
 */
export function startHealth(resolutionMs: number): string {
  const { GCProfiler, getHeapStatistics } = process.getBuiltinModule('node:v8');
  const { monitorEventLoopDelay, performance } = process.getBuiltinModule('node:perf_hooks');
  const { readlinkSync } = process.getBuiltinModule('node:fs');
  const collector = new GCProfiler();
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  const loop = performance.eventLoopUtilization();
  const probes = globalThis as unknown as Record<symbol, unknown>;
  let task = '';
  try {
    task = readlinkSync('/proc/thread-self');
  } catch {}
  collector.start();
  delay.enable();
  probes[Symbol.for('holdfast.health')] = {
    collector,
    delay,
    loop,
    heapBytes: getHeapStatistics().used_heap_size,
  };
  return task;
}

/** Ends what `startHealth` began. What was allocated is the growth of the heap plus what every collection took away. */
export function stopHealth(): RawHealth {
  const { getHeapStatistics } = process.getBuiltinModule('node:v8');
  const { performance } = process.getBuiltinModule('node:perf_hooks');
  const key = Symbol.for('holdfast.health');
  const probes = globalThis as unknown as Record<symbol, unknown>;
  const { collector, delay, loop, heapBytes } = probes[key] as Probe;
  delete probes[key];
  const heapNow = getHeapStatistics().used_heap_size;
  const { idle, active, utilization } = performance.eventLoopUtilization(loop);
  const minor = { count: 0, totalMs: 0, longestMs: 0 };
  const major = { count: 0, totalMs: 0, longestMs: 0 };
  let allocatedBytes = heapNow - heapBytes;
  for (const { gcType, cost, beforeGC, afterGC } of collector.stop()?.statistics ?? []) {
    const kind = gcType === 'Scavenge' || gcType.startsWith('Minor') ? minor : major;
    // Marking in slices is part of the collection that ends it.
    if (kind === minor || gcType === 'MarkSweepCompact') kind.count += 1;
    kind.totalMs += cost / 1000;
    kind.longestMs = Math.max(kind.longestMs, cost / 1000);
    allocatedBytes += beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize;
  }
  delay.disable();
  const toMs = (ns: number) => ns / 1e6;
  return {
    minor,
    major,
    allocatedBytes,
    heapBytes: heapNow,
    delay:
      delay.count === 0
        ? null
        : {
            count: delay.count,
            meanMs: toMs(delay.mean),
            p50Ms: toMs(delay.percentile(50)),
            p99Ms: toMs(delay.percentile(99)),
            maxMs: toMs(delay.max),
          },
    utilization,
    loopMs: idle + active,
  };
}
