import type { Doorbell } from './doorbell.ts';

/** How a thread waits when a turn of its duty cycle found nothing to do. */
export interface IdleOptions {
  /** Empty turns before the first sleep. Spinning only pays when there is a core to spare. */
  readonly spins: number;
  /** Longest single sleep in ms: the fallback for a wake-up that never comes. */
  readonly maxSleepMs: number;
}

/**
 * The idle strategy of a duty cycle, after Agrona's: the cycle reports how much it did, and this decides whether to
 * run again at once, or to sleep on the doorbell.
 */
export class IdleStrategy {
  private readonly doorbell: Doorbell;
  private readonly spins: number;
  private readonly maxSleepMs: number;
  private spinsLeft: number;

  constructor(doorbell: Doorbell, options: IdleOptions) {
    this.doorbell = doorbell;
    this.spins = options.spins;
    this.maxSleepMs = options.maxSleepMs;
    this.spinsLeft = options.spins;
  }

  /**
   * Call at the end of each turn. Returns at once after work, and for the first `spins` empty turns; then each call
   * blocks until rung, for `sleepMs` at most (zero or less: something is due, no sleep). `ready` must look at
   * everything the cycle would work on, by atomic reads.
   */
  idle(workDone: number, ready: () => boolean, sleepMs: number): void {
    if (workDone > 0) {
      this.spinsLeft = this.spins;
    } else if (this.spinsLeft > 0) {
      this.spinsLeft -= 1;
    } else if (sleepMs > 0) {
      this.doorbell.sleep(Math.min(sleepMs, this.maxSleepMs), ready);
    }
  }
}

/** Empty turns worth spinning when every thread has a core: some tens of microseconds, about what a wake-up costs. */
const SPINS_WITH_CORE_TO_SPARE = 500;

/**
 * How long to spin by default. A thread that spins while another waits for a core takes its time away, so nobody spins
 * unless there is a core that no thread of ours needs.
 */
export function defaultSpins(cores: number, threads: number): number {
  return threads >= cores ? 0 : SPINS_WITH_CORE_TO_SPARE;
}
