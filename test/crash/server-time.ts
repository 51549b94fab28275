import type { Span } from './hold-states.ts';

/** Threads of a server line their clocks up to about this; and a worker's reading is as old as its batch. */
const SLACK_MS = 5;
const BATCH_MS = 100;

/** What the clients know of the server's clock: how far it is ahead of theirs, at least and at most. */
export class ServerTime {
  private from = -Infinity;
  private to = Infinity;

  /** The server said `timeMs` between two moments of the local clock. */
  observe(sentMs: number, heardMs: number, timeMs: number): void {
    this.from = Math.max(this.from, timeMs - heardMs);
    this.to = Math.min(this.to, timeMs + 1 - sentMs);
    // Threads that tell the time a little differently must not leave nothing.
    if (this.from > this.to) [this.from, this.to] = [this.to, this.from];
  }

  get known(): boolean {
    return Number.isFinite(this.from) && Number.isFinite(this.to);
  }

  /** When, by the server's time, a command can have been carried out that was under way between two local moments. */
  span(sentMs: number, heardMs: number): Span {
    return { from: Math.floor(sentMs + this.from) - BATCH_MS, to: Math.ceil(heardMs + this.to) + SLACK_MS };
  }

  /** By how much this clock surely is behind (below 0) or ahead of another one of the same server, ms. */
  jumpFrom(earlier: ServerTime): number {
    if (this.to < earlier.from - SLACK_MS) return this.to - earlier.from;
    return this.from > earlier.to + SLACK_MS ? this.from - earlier.to : 0;
  }
}
