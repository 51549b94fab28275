import type { CounterMemory } from '../shard/counters.ts';
import { FrontControl } from '../shard/memory.ts';
import { ThreadHealth } from '../shard/thread-health.ts';
import { Rest } from './rest.ts';

const EVERY_MS = 20;

/**
 * Watches the event loop of a front's thread: how late a timer of 20 ms comes is how long a frame that arrives may have to wait. That it comes
 * at all is the front's heartbeat.
 */
export class LoopWatch {
  private readonly health: ThreadHealth;
  private readonly control: Int32Array;
  private readonly rest = new Rest();
  private readonly timer: NodeJS.Timeout;
  private dueMs = performance.now() + EVERY_MS;

  /**
   * @param name of the thread, see threadNames()
   * @param control of the front, see FrontControl
   */
  constructor(memory: CounterMemory, name: string, control: Int32Array) {
    this.control = control;
    this.health = new ThreadHealth(memory, name);
    this.timer = setInterval(() => this.tick(), EVERY_MS);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.health.stop();
  }

  private tick(): void {
    const now = performance.now();
    Atomics.add(this.control, FrontControl.HEARTBEAT, 1);
    this.health.heldUp(Math.max(0, now - this.dueMs));
    this.dueMs = now + EVERY_MS;
    this.health.look(now);
    this.rest.look(now);
  }
}
