import { performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { collectGarbage } from '../base/collect-garbage.ts';

const LOOK_MS = 250;
/** At rest is who was busy for less than this share of the time, in so many looks in a row. */
const CALM_SHARE = 0.1;
const CALM_LOOKS = 4;
/** From one time to the next, since it holds the thread up: clients could have it done over and over by coming and going. */
const APART_MS = 15_000;
/** A heap that has grown by less is let be. */
const GROWN_BYTES = 8 << 20;

/** A thread as Rest sees it. */
export interface Resting {
  /** The share of the time since it was last asked in which the event loop was busy. */
  busyShare(): number;
  /** What its heap has of the system. */
  heapBytes(): number;
  giveBack(): void;
}

/**
 * Gives back what a crowd has left in the heap of its thread. V8 gives young objects more room while many come, and takes it away in a
 * later collection; a front at rest makes so few that this would not come for hours. So it is asked for, once the front has been at rest for a
 * second.
 */
export class Rest {
  private readonly thread: Resting;
  private nextLookMs = 0;
  private calmLooks = 0;
  /** What the heap had when it was last at rest. */
  private restingBytes = Number.POSITIVE_INFINITY;

  constructor(thread: Resting = thisThread()) {
    this.thread = thread;
  }

  /** Call it often, with performance.now(). */
  look(nowMs: number): void {
    if (nowMs < this.nextLookMs) return;
    this.nextLookMs = nowMs + LOOK_MS;
    const { thread } = this;
    this.calmLooks = thread.busyShare() < CALM_SHARE ? this.calmLooks + 1 : 0;
    if (this.calmLooks < CALM_LOOKS) return;
    const bytes = thread.heapBytes();
    if (bytes - this.restingBytes < GROWN_BYTES) {
      this.restingBytes = Math.min(this.restingBytes, bytes);
      return;
    }
    thread.giveBack();
    this.restingBytes = thread.heapBytes();
    this.calmLooks = 0;
    this.nextLookMs = nowMs + APART_MS;
  }
}

function thisThread(): Resting {
  let before = performance.eventLoopUtilization();
  return {
    busyShare: () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, before);
      before = now;
      return utilization;
    },
    heapBytes: () => getHeapStatistics().total_heap_size,
    giveBack: () => collectGarbage(true),
  };
}
