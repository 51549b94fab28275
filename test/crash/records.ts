import { opName } from '../../protocol/ops.ts';
import { Status, statusName } from '../../protocol/status.ts';
import type { Answer, Possible } from './hold-states.ts';

/** What a client sent, and what it heard: a line of its log. */
export interface Entry {
  readonly holder: string;
  /** Which of the holder's connections; what is sent over one on a hold is carried out in that order. */
  readonly lane: number;
  readonly op: number;
  readonly args: readonly unknown[];
  /** By the clock of the clients, ms. */
  readonly sentMs: number;
  /** Server started for the how manieth time when it was sent. */
  readonly start: number;
  heardMs: number;
  /** Undefined while there is none; null when there will never be one. */
  answer: Answer | null | undefined;
}

/** What clients know of a hold that was acknowledged. */
export interface HoldRecord {
  readonly id: number;
  readonly holder: string;
  readonly sku: SkuRecord;
  readonly quantity: number;
  readonly key: KeyRecord | undefined;
  /** What it may be now. */
  states: Possible[];
  /** Commands on it in the order in which they were sent, until it is clear what they did. */
  readonly waiting: Entry[];
  /** Commands without an answer since the state was last clear. */
  unknown: number;
  /** After a violation nothing more is concluded until it is read. */
  confused: boolean;
  /** After how many starts of the server it was read and had ended. */
  audited: number;
  readonly log: Entry[];
}

/** What an idempotency key was used for. */
export interface KeyRecord {
  readonly holder: string;
  readonly sku: SkuRecord;
  readonly key: string;
  readonly quantity: number;
  readonly ttlMs: number;
  /** Server's time at which the hold can have been placed at the earliest. */
  readonly askedAt: number;
  hold: HoldRecord | undefined;
  /** Deadline in the answer of the first time. */
  deadline: number;
  /** Times that it was sent and not answered, as long as nobody knows whether the hold was placed. */
  unknown: number;
  /** Server's time at which the hold can have ended at the earliest; Infinity while nothing was asked that could end it. */
  endAskedAt: number;
}

/** Total and settings that a SKU may have. */
export interface PossibleStock {
  readonly total: number;
  readonly maxPerHold: number;
  readonly maxPerHolder: number;
  readonly maxTtlMs: number;
}

export interface SkuRecord {
  readonly name: string;
  stocks: PossibleStock[];
  /** Units sold by holds that are no longer looked after. */
  soldBefore: number;
  /** Holds that are looked after. */
  readonly holds: Set<HoldRecord>;
  /** Limit per holder that never changes, 0 for none. */
  readonly holderLimit: number;
  /** Commands without an answer since the stock was last clear. */
  unknown: number;
  readonly log: Entry[];
}

const MOST_LINES = 40;

/** Keeps the last lines only. */
export function keep(log: Entry[], entry: Entry): void {
  if (log.length >= MOST_LINES) log.shift();
  log.push(entry);
}

/** A line of a client's log in words. */
export function inWords({ holder, lane, op, args, sentMs, heardMs, start, answer }: Entry): string {
  const asked = `${opName(op)} ${args.map((arg) => arg ?? 'nil').join(' ')}`.trimEnd();
  const when = `${(sentMs / 1000).toFixed(3)} s, start ${start}`;
  if (answer === undefined) return `${when}: ${holder}/${lane} ${asked} → under way`;
  if (answer === null) return `${when}: ${holder}/${lane} ${asked} → unknown`;
  const [status, ...results] = answer;
  const took = `${(heardMs - sentMs).toFixed(1)} ms`;
  return `${when}: ${holder}/${lane} ${asked} → ${[statusName(status as number), ...results].join(' ')} (${took})`;
}

/** Keys are scoped to holder and SKU. */
export function keyName(holder: string, sku: string, key: string): string {
  return `${holder}|${sku}|${key}`;
}

/** Nothing happened, and the answer says nothing about the hold. */
export function isNotTaken(status: number): boolean {
  return status === Status.BUSY || status === Status.UNAVAILABLE;
}

/** An answer in words. */
export function answerInWords(answer: Answer): string {
  return [statusName(answer[0] as number), ...answer.slice(1)].join(' ');
}
