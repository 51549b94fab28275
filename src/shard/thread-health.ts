import { GCProfiler, getHeapStatistics } from 'node:v8';
import { add, COLLECTIONS, type CounterMemory, ThreadCell, threadCounters } from './counters.ts';
import { bucketOf } from './stage-histogram.ts';

/** How often collections and the heap are looked at. */
const LOOK_MS = 1000;
/** In µs it is an int32 still. */
const LONGEST_MS = 1_000_000;

/**
 * How a thread fares, for the counters: garbage collections by kind, the heap, and how long its loop was held up. The thread itself
 * asks, since a worker that waits in Atomics.wait gets no callback: V8 notes collections meanwhile, and a look costs some µs.
 */
export class ThreadHealth {
  readonly cells: Float64Array;
  private readonly collector = new GCProfiler();
  private nextLookMs = 0;

  /** @param name see threadNames(); a thread that takes the place of one that died carries on its account */
  constructor(memory: CounterMemory, name: string) {
    this.cells = threadCounters(memory, name);
    this.collector.start();
  }

  /** The loop could take nothing new for so long. */
  heldUp(tookMs: number): void {
    const { cells } = this;
    const us = Math.min(tookMs, LONGEST_MS) * 1000;
    add(cells, ThreadCell.DELAY, us);
    add(cells, ThreadCell.DELAY + 1 + bucketOf(us | 0), 1);
  }

  /** Call it often, with performance.now(). */
  look(nowMs: number): void {
    if (nowMs < this.nextLookMs) return;
    this.nextLookMs = nowMs + LOOK_MS;
    this.read();
  }

  /** Reads what has happened since it was read last. */
  read(): void {
    const { cells, collector } = this;
    for (const { gcType, cost } of collector.stop()?.statistics ?? []) {
      const kind = COLLECTIONS.indexOf(kindOf(gcType));
      add(cells, ThreadCell.COLLECTIONS + kind, 1);
      add(cells, ThreadCell.COLLECTING_US + kind, cost);
    }
    collector.start();
    const { used_heap_size, total_heap_size } = getHeapStatistics();
    cells[ThreadCell.HEAP_USED] = used_heap_size;
    cells[ThreadCell.HEAP_SIZE] = total_heap_size;
  }

  stop(): void {
    this.collector.stop();
  }
}

function kindOf(gcType: string): (typeof COLLECTIONS)[number] {
  if (gcType === 'Scavenge' || gcType.startsWith('Minor')) return 'minor';
  if (gcType === 'MarkSweepCompact') return 'major';
  return gcType === 'IncrementalMarking' ? 'incremental' : 'weak_callbacks';
}
