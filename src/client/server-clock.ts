/** What a clock may drift against another one: 100 millionths, the worst that is usual for quartz. */
const DRIFT = 1e-4;
/** A sample is refreshed this often while commands flow: by then drift has added 6 ms. */
const REFRESH_MS = 60_000;

/** Local time that never jumps, in ms. */
export const monotonicMs = (): number => performance.now();

/**
 * Knows the server's time from samples of it. A sample that took a round trip of r ms is off by at most r / 2,
 * and by more as it ages; the one with the smallest error counts.
 */
export class ServerClock {
  #offset = Number.NaN;
  #errorMs = Number.POSITIVE_INFINITY;
  #sampledAt = 0;
  #askedAt = Number.NEGATIVE_INFINITY;

  /** Server time now, in ms since the epoch; the local clock's before the first sample. */
  now(): number {
    return Number.isNaN(this.#offset) ? Date.now() : Math.round(monotonicMs() + this.#offset);
  }

  /** A server time as the local clock will show it, in ms since the epoch. */
  toLocal(serverTimeMs: number): number {
    return serverTimeMs - this.now() + Date.now();
  }

  /**
   * Starts anew from a hello. It travelled one way only, and how long is unknown but less than connecting took;
   * so any round trip is better. Older samples go: the machine may have slept, or the server be another one.
   */
  greet(serverTimeMs: number, startedAt: number, receivedAt: number): void {
    this.#offset = serverTimeMs - receivedAt;
    this.#errorMs = receivedAt - startedAt;
    this.#sampledAt = receivedAt;
    this.#askedAt = Number.NEGATIVE_INFINITY;
  }

  /** Takes the answer to a TIME command that was sent and answered at these monotonic times. */
  sample(serverTimeMs: number, sentAt: number, receivedAt: number): void {
    const errorMs = (receivedAt - sentAt) / 2;
    if (errorMs > this.#errorMs + (receivedAt - this.#sampledAt) * DRIFT) return;
    this.#offset = serverTimeMs - (sentAt + receivedAt) / 2;
    this.#errorMs = errorMs;
    this.#sampledAt = receivedAt;
  }

  /** True when a TIME command should go along with the next frame; then it counts as asked. */
  takeTurn(): boolean {
    const now = monotonicMs();
    if (now - this.#askedAt < REFRESH_MS) return false;
    this.#askedAt = now;
    return true;
  }
}
