import { Status } from '../../protocol/status.ts';
import type { Answer } from './hold-states.ts';
import type { Judge } from './judge.ts';
import type { Call, Link } from './link.ts';
import type { Entry, HoldRecord } from './records.ts';

/** What a client asks for. */
export interface Intent {
  readonly op: number;
  readonly args: readonly unknown[];
}

/** A connection with a clerk beside it, who writes down for the judge what goes out and what comes in. */
export class Desk {
  readonly holder: string;
  readonly lane: number;
  readonly start: number;
  private readonly link: Link;
  private readonly judge: Judge;
  private readonly now: () => number;

  constructor(
    link: Link,
    judge: Judge,
    now: () => number,
    who: { holder: string; lane: number; start: number },
  ) {
    this.link = link;
    this.judge = judge;
    this.now = now;
    this.holder = who.holder;
    this.lane = who.lane;
    this.start = who.start;
  }

  get open(): boolean {
    return this.link.open;
  }

  get pending(): number {
    return this.link.pending;
  }

  /** Sends a frame; resolves when all of it is answered or the connection has ended. */
  async send(intents: readonly Intent[], onPlaced: (hold: HoldRecord) => void = () => {}): Promise<Entry[]> {
    if (!this.open || intents.length === 0) return [];
    const sentMs = this.now();
    const entries: Entry[] = [];
    const answered: Promise<void>[] = [];
    const calls: Call[] = [];
    for (const { op, args } of intents) {
      const { holder, lane, start } = this;
      const entry: Entry = { holder, lane, op, args, sentMs, start, heardMs: 0, answer: undefined };
      entries.push(entry);
      this.judge.sent(entry);
      answered.push(
        new Promise((resolve) => {
          const onAnswer = (answer: Answer | null): void => {
            if (answer?.[0] === Status.MALFORMED)
              throw new Error(`a client sent what is MALFORMED: ${op} ${args}`);
            entry.heardMs = this.now();
            entry.answer = answer;
            const placed = this.judge.resolved(entry);
            if (placed !== undefined) onPlaced(placed);
            resolve();
          };
          calls.push({ op, args, onAnswer });
        }),
      );
    }
    this.link.send(calls);
    await Promise.all(answered);
    return entries;
  }

  close(): Promise<void> {
    return this.link.close();
  }

  get closed(): Promise<void> {
    return this.link.closed;
  }
}

/** Whether the server takes nothing for now, so that it is better to wait. */
export function isRefusingAll(entries: readonly Entry[]): boolean {
  return entries.some(({ answer }) => answer?.[0] === Status.UNAVAILABLE || answer?.[0] === Status.BUSY);
}
