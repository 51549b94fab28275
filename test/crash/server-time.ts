import type { Span } from './hold-states.ts';

/** Threads of a server line their clocks up to about this. */
const SLACK_MS = 5;
/** A worker reads the clock once for a batch, and a busy machine may put it aside before it takes the batch's commands. */
const BATCH_MS = 1000;

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

  /** The server's time at a local moment, as far as it is known. */
  at(localMs: number): number {
    return localMs + (this.from + this.to) / 2;
  }

  /** By how much this clock surely is behind (below 0) or ahead of another one of the same server, ms. */
  jumpFrom(earlier: ServerTime): number {
    if (this.to < earlier.from - SLACK_MS) return this.to - earlier.from;
    return this.from > earlier.to + SLACK_MS ? this.from - earlier.to : 0;
  }
}
