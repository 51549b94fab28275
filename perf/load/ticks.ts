import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Tick, type TickerData } from './tick.ts';

/** A steady beat for a thread's event loop, from a thread of its own, see ticker.ts. */
export class Ticks {
  private readonly words = new Int32Array(new SharedArrayBuffer(Tick.WORDS * 4));
  private readonly worker: Worker;
  private seen = 0;

  constructor(tickMs: number, onFailure: (error: Error) => void) {
    const data: TickerData = { words: this.words, tickMs };
    this.worker = new Worker(new URL(`./ticker${extname(import.meta.filename)}`, import.meta.url), {
      workerData: data,
    });
    this.worker.once('error', onFailure);
  }

  /** Resolves at the next beat; those that were missed count as one. */
  async next(): Promise<void> {
    const tick = Atomics.waitAsync(this.words, Tick.COUNT, this.seen);
    if (tick.async) await tick.value;
    this.seen = Atomics.load(this.words, Tick.COUNT);
  }

  async stop(): Promise<void> {
    Atomics.store(this.words, Tick.STOP, 1);
    Atomics.notify(this.words, Tick.STOP);
    await this.worker.terminate();
  }
}
