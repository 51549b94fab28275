import type { Span } from './hold-states.ts';
import { type Entry, inWords } from './records.ts';
import type { ServerTime } from './server-time.ts';
import { type Invariant, Tally } from './tally.ts';

export interface JudgeOptions {
  readonly soldRetentionMs: number;
  readonly keyRetentionMs: number;
}

/** What the parts of the judge share: the counts, the promises of the settings, and the server's time at each moment. */
export class Hearing {
  readonly tally = new Tally();
  readonly options: JudgeOptions;
  time: ServerTime;

  constructor(options: JudgeOptions, time: ServerTime) {
    this.options = options;
    this.time = time;
  }

  /** When, by the server's time, a command can have been carried out that was answered, or given up. */
  when({ sentMs, heardMs }: Entry): Span {
    return this.time.span(sentMs, heardMs);
  }

  /** The server's time now, by the clock of the clients, at the earliest and at the latest. */
  at(nowMs: number): Span {
    return this.time.span(nowMs, nowMs);
  }

  violate(invariant: Invariant, what: string, log: readonly Entry[]): void {
    this.tally.violate(invariant, what, log.map(inWords));
  }
}
