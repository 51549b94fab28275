/** Weight of the newest reading: what was measured a second ago, ten readings, still counts for a tenth. */
const WEIGHT = 0.2;
const LEAST_RETRY_MS = 1;
const MOST_RETRY_MS = 5000;

/** How many commands a second a worker finishes when it has enough to do, as a moving average; and what follows for who has to wait. */
export class DrainRate {
  /** Commands a second; 0 before anything was measured. */
  perSecond = 0;

  /** So many commands were finished in so many ms. `idle`: nothing waited at the end, so that it could have been more. */
  note(finished: number, elapsedMs: number, idle: boolean): void {
    if (elapsedMs <= 0) return;
    const now = (finished * 1000) / elapsedMs;
    if (this.perSecond === 0) this.perSecond = now;
    else if (!idle || now > this.perSecond) this.perSecond += WEIGHT * (now - this.perSecond);
  }

  /**
   * When so many commands will be finished, in whole ms from 1 to 5,000: how long whoever comes behind them had better wait.
   *
   * @param otherwiseMs when nothing is known of the rate
   */
  retryMs(commands: number, otherwiseMs: number): number {
    if (this.perSecond === 0) return otherwiseMs;
    const ms = Math.ceil((commands * 1000) / this.perSecond);
    return Math.min(MOST_RETRY_MS, Math.max(LEAST_RETRY_MS, ms));
  }
}
