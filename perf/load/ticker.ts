import { workerData } from 'node:worker_threads';
import { Tick, type TickerData } from './tick.ts';

/**
 * Entry of a thread that counts up and wakes whoever waits, every `tickMs`, until it is stopped. The event loop's own timers know whole
 * milliseconds only, and a loop that looks at the clock all the time would take a core from the server.
 */
const { words, tickMs } = workerData as TickerData;
let nextMs = performance.now() + tickMs;
while (Atomics.load(words, Tick.STOP) === 0) {
  Atomics.wait(words, Tick.STOP, 0, Math.max(0, nextMs - performance.now()));
  Atomics.add(words, Tick.COUNT, 1);
  Atomics.notify(words, Tick.COUNT);
  // Whoever was woken makes up for what was due meanwhile, so missed ticks are not.
  nextMs = Math.max(nextMs + tickMs, performance.now());
}
