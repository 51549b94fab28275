import { HoldState, Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';

/** Milliseconds of the server's time between which something lies, both ends included. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * A state that a hold may be in, as far as its client can know. Several commands without an answer leave several of them; every
 * answer rules some out.
 */
export interface Possible {
  /** A HoldState; 0 once it is forgotten. */
  readonly state: number;
  /** Units held; of an ended hold those that were confirmed, or held when it ended. */
  readonly units: number;
  /** Units of it that are sold and not returned. */
  readonly sold: number;
  /** When it ends, or when it ended. */
  readonly ends: Span;
  /** How many of the commands without an answer happened on the way here. */
  readonly happened: number;
}

export interface HoldCommand {
  readonly op: number;
  /** Arguments behind the hold's id. */
  readonly args: readonly (number | undefined)[];
}

/** `[status, …results]`, as a client gets it. */
export type Answer = readonly unknown[];

/** How a server may carry a command out: what it answers, each number from and to, and what becomes of the hold. */
interface Outcome {
  readonly answer: readonly Span[];
  readonly next: Possible;
}

const ALWAYS: Span = { from: 0, to: Number.MAX_SAFE_INTEGER };

/**
 * What can become of a hold in one of `states` by a command that is carried out at some time within `when`, and has this answer; without
 * one, because it is not known, it may not have been carried out at all. Empty when the answer contradicts them all.
 *
 * @param soldRetentionMs how long a confirmed hold is surely remembered
 */
export function after(
  states: readonly Possible[],
  command: HoldCommand,
  when: Span,
  answer: Answer | undefined,
  soldRetentionMs: number,
): Possible[] {
  const next: Possible[] = answer === undefined ? [...states] : [];
  for (const state of states) {
    for (const outcome of outcomes(state, command, when, soldRetentionMs)) {
      if (answer !== undefined) {
        const seen = match(outcome, command, answer);
        if (seen !== undefined) next.push(seen);
      } else if (
        outcome.next.state !== HoldState.EXPIRED &&
        outcome.next.state !== 0 &&
        !same(outcome.next, state)
      ) {
        // That it expires needs no command; whatever is asked next will consider it.
        next.push({ ...outcome.next, happened: state.happened + 1 });
      }
    }
  }
  return next.filter(
    (one, at) => next.findIndex((other) => same(one, other) && one.happened === other.happened) === at,
  );
}

export function same(one: Possible, other: Possible): boolean {
  return (
    one.state === other.state &&
    one.units === other.units &&
    one.sold === other.sold &&
    one.ends.from === other.ends.from &&
    one.ends.to === other.ends.to
  );
}

function outcomes(hold: Possible, command: HoldCommand, when: Span, soldRetentionMs: number): Outcome[] {
  if (hold.state !== HoldState.HELD) return ofEnded(hold, command, when, soldRetentionMs);
  const found: Outcome[] = [];
  if (when.from < hold.ends.to) found.push(ofOpen(hold, command, when));
  if (when.to >= hold.ends.from) {
    const ends = { from: hold.ends.from, to: Math.min(hold.ends.to, when.to) };
    found.push(...ofEnded({ ...hold, state: HoldState.EXPIRED, ends }, command, when, soldRetentionMs));
  }
  return found;
}

function ofOpen(hold: Possible, { op, args }: HoldCommand, when: Span): Outcome {
  const [first, of] = args;
  const has = hold.units;
  switch (op) {
    case Op.CONFIRM: {
      const units = first ?? has;
      if (units > has) return refused(hold, Status.EXCEEDS_HOLD, has);
      return done({ ...hold, state: HoldState.CONFIRMED, units, sold: units, ends: when }, units);
    }
    case Op.RELEASE: {
      if (first !== undefined && of !== undefined && has === of - first) return done(hold, has);
      if (first !== undefined && first > has) return refused(hold, Status.EXCEEDS_HOLD, has);
      if (of !== undefined && of !== has) return refused(hold, Status.CHANGED, has);
      if (first === undefined || first === has)
        return done({ ...hold, state: HoldState.RELEASED, ends: when }, 0);
      return done({ ...hold, units: has - first }, has - first);
    }
    case Op.EXTEND: {
      const ttlMs = first as number;
      const ends = {
        from: Math.max(hold.ends.from, when.from + ttlMs),
        to: Math.max(hold.ends.to, when.to + ttlMs),
      };
      return { answer: [exactly(Status.OK), ends], next: { ...hold, ends } };
    }
    case Op.RETURN:
      return { answer: [exactly(Status.NOT_CONFIRMED)], next: hold };
    default:
      return read(hold, HoldState.HELD, has, 0, 0);
  }
}

function ofEnded(hold: Possible, { op, args }: HoldCommand, when: Span, soldRetentionMs: number): Outcome[] {
  const { state, units, sold } = hold;
  const gone = { answer: [exactly(Status.UNKNOWN_HOLD)], next: { ...hold, state: 0 } };
  if (state === 0) return [gone];
  const forgotten =
    state !== HoldState.CONFIRMED || when.to >= hold.ends.from + soldRetentionMs ? [gone] : [];
  if (op === Op.READ_HOLD) {
    const returned = state === HoldState.CONFIRMED ? units - sold : 0;
    return [read(hold, state, 0, sold, returned), ...forgotten];
  }
  const [first, of] = args;
  if (op === Op.CONFIRM && state === HoldState.CONFIRMED && (first ?? units) === units) {
    return [done(hold, units), ...forgotten];
  }
  if (op === Op.RELEASE && state === HoldState.RELEASED && (first ?? units) === units) {
    return [done(hold, 0), ...forgotten];
  }
  if (op !== Op.RETURN || state !== HoldState.CONFIRMED) return [refusedAsEnded(hold), ...forgotten];
  if (of !== undefined && sold === (first === undefined ? 0 : of - first))
    return [done(hold, sold), ...forgotten];
  if (first !== undefined && first > sold) return [refused(hold, Status.EXCEEDS_HOLD, sold), ...forgotten];
  if (of !== undefined && of !== sold) return [refused(hold, Status.CHANGED, sold), ...forgotten];
  const left = sold - (first ?? sold);
  return [done({ ...hold, sold: left }, left), ...forgotten];
}

function refusedAsEnded(hold: Possible): Outcome {
  if (hold.state === HoldState.CONFIRMED) return refused(hold, Status.CONFIRMED, hold.units);
  const status = hold.state === HoldState.RELEASED ? Status.RELEASED : Status.EXPIRED;
  return { answer: [exactly(status), hold.ends], next: hold };
}

function read(hold: Possible, state: number, held: number, sold: number, returned: number): Outcome {
  const answer = [
    exactly(Status.OK),
    exactly(state),
    ALWAYS,
    exactly(held),
    exactly(sold),
    exactly(returned),
    hold.ends,
  ];
  return { answer, next: { ...hold, state } };
}

function done(next: Possible, result: number): Outcome {
  return { answer: [exactly(Status.OK), exactly(result)], next };
}

function refused(hold: Possible, status: number, result: number): Outcome {
  return { answer: [exactly(status), exactly(result)], next: hold };
}

function exactly(value: number): Span {
  return { from: value, to: value };
}

/** The hold afterwards, with what the answer tells more exactly; undefined when this is not the answer. */
function match({ answer, next }: Outcome, { op }: HoldCommand, actual: Answer): Possible | undefined {
  if (actual.length !== answer.length) return undefined;
  for (const [at, { from, to }] of answer.entries()) {
    const value = actual[at];
    if (typeof value === 'number' && (value < from || value > to)) return undefined;
  }
  const [status, first] = actual as [number, number];
  const at = status === Status.OK && op === Op.READ_HOLD ? (actual[6] as number) : first;
  const tellsTime =
    (status === Status.OK && (op === Op.EXTEND || op === Op.READ_HOLD)) ||
    status === Status.RELEASED ||
    status === Status.EXPIRED;
  return tellsTime ? { ...next, ends: exactly(at) } : next;
}
