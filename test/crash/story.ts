import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { Answer } from './hold-states.ts';
import { Judge } from './judge.ts';
import type { Entry } from './records.ts';
import { ServerTime } from './server-time.ts';
import type { Invariant } from './tally.ts';

export const HOLD = 2 ** 32 + 7;
/** The server's time when the clients' is 0. */
export const T0 = 1_795_000_000_000;
/** Between two commands: more than the judge allows for, so that each has its own time. */
const STEP_MS = 5000;
export const TTL_MS = 60_000;
export const RETENTION_MS = 600_000;

/** A step of a story. */
export type Line = (story: Story) => void;

/** A made-up history for the judge: clients and a server that say what a test has them say, each STEP_MS after the one before. */
export class Story {
  readonly judge: Judge;
  private nowMs = 0;
  private start = 1;

  constructor() {
    const stock = { total: 10, maxPerHold: 0, maxPerHolder: 0, maxTtlMs: 0 };
    const plans = [
      { name: 'a', ...stock },
      { name: 'limited', ...stock, maxPerHolder: 3 },
    ];
    const options = { soldRetentionMs: RETENTION_MS, keyRetentionMs: RETENTION_MS };
    this.judge = new Judge(options, plans, clock(0));
  }

  /** The server's time now. */
  get server(): number {
    return T0 + this.nowMs;
  }

  say(
    op: number,
    args: readonly unknown[],
    answer: Answer | null,
    how: 'books' | 'returned' | 'segment' | '' = '',
  ): void {
    const { nowMs: sentMs, start } = this;
    const entry: Entry = { holder: 'ann', lane: 0, op, args, sentMs, start, heardMs: 0, answer: undefined };
    this.judge.sent(entry);
    entry.heardMs = sentMs + 1;
    entry.answer = answer;
    this.judge.resolved(entry);
    if (how === 'books') this.judge.checkBooks(entry);
    if (how === 'returned') this.judge.checkReturned(entry);
    if (how === 'segment') this.judge.checkSegment(entry);
    this.nowMs += STEP_MS;
  }

  wait(ms: number): void {
    this.nowMs += ms;
  }

  restart(clockMs = 0): void {
    this.start++;
    this.judge.started(clock(clockMs));
  }

  audited(): void {
    for (const hold of this.judge.holds.values()) hold.audited++;
    this.judge.retire(this.nowMs);
  }

  get violated(): Invariant[] {
    return this.judge.tally.violations.map(({ invariant }) => invariant);
  }
}

/** A server's clock that is some ms ahead of where it was at the first start. */
function clock(aheadMs: number): ServerTime {
  const time = new ServerTime();
  time.observe(0, 0, T0 + aheadMs);
  return time;
}

export const hold =
  (units = 2, key?: string): Line =>
  (story) =>
    story.say(Op.HOLD, ['a', units, TTL_MS, key], [Status.OK, HOLD, story.server + TTL_MS]);
export const confirm = (answer: Answer | null, units?: number): Line =>
  say(Op.CONFIRM, [HOLD, units], answer);
export const release = (answer: Answer | null, units?: number, of?: number): Line =>
  say(Op.RELEASE, [HOLD, units, of], answer);
export const returned = (answer: Answer | null, units?: number, of?: number): Line =>
  say(Op.RETURN, [HOLD, units, of], answer);
export const restart: Line = (story) => story.restart();
export const wait =
  (ms: number): Line =>
  (story) =>
    story.wait(ms);
/** READ_HOLD; times are ms after the first command. */
export const read = (state: number, held: number, sold: number, back: number, endsMs: number): Line =>
  say(Op.READ_HOLD, [HOLD], [Status.OK, state, 'a', held, sold, back, T0 + endsMs]);
export const books = (available: number, held: number, sold: number, total = 10): Line =>
  say(Op.READ, ['a'], [Status.OK, available, held, sold, total, 0, 0, 0, 0], 'books');

export function say(
  op: number,
  args: readonly unknown[],
  answer: Answer | null,
  how: Parameters<Story['say']>[3] = '',
): Line {
  return (story) => story.say(op, args, answer, how);
}

/** A step's `n`-th second. */
export const second = (n: number): number => n * STEP_MS;
export const END = TTL_MS;
