import { HoldState, Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { Hearing } from './hearing.ts';
import { type Answer, after, type Possible, type Span, same } from './hold-states.ts';
import {
  answerInWords,
  type Entry,
  type HoldRecord,
  isNotTaken,
  type KeyRecord,
  keep,
  type SkuRecord,
} from './records.ts';
import type { Invariant } from './tally.ts';

/** Ended holds are read after this many starts of the server, then only counted. */
const AUDITS_OF_ENDED = 2;

/** The holds that clients know of, each with the states that it may be in: I2 and I5. */
export class HoldBook {
  readonly holds = new Map<number, HoldRecord>();
  private readonly hearing: Hearing;

  constructor(hearing: Hearing) {
    this.hearing = hearing;
  }

  /** A command on a hold leaves. */
  sent(entry: Entry): void {
    const hold = this.holds.get(entry.args[0] as number);
    if (hold === undefined) return;
    hold.waiting.push(entry);
    keep(hold.log, entry);
    if (hold.key === undefined || (entry.op !== Op.CONFIRM && entry.op !== Op.RELEASE)) return;
    hold.key.endAskedAt = Math.min(hold.key.endAskedAt, this.hearing.at(entry.sentMs).from);
  }

  /** A command on a hold was answered, or given up. What it did is clear when that of those before it is. */
  resolved(entry: Entry): void {
    const hold = this.holds.get(entry.args[0] as number);
    while (hold !== undefined && hold.waiting[0]?.answer !== undefined) {
      this.learn(hold, hold.waiting.shift() as Entry);
    }
  }

  /** A hold is acknowledged for the first time; it was placed at some time within `when`. */
  place(entry: Entry, sku: SkuRecord, key: KeyRecord | undefined, when: Span): HoldRecord {
    const [, quantity, ttlMs] = entry.args as [string, number, number];
    const [, id, deadline] = entry.answer as [number, number, number];
    const ends = { from: deadline, to: deadline };
    const states: Possible[] = [{ state: HoldState.HELD, units: quantity, sold: 0, ends, happened: 0 }];
    const known = { id, holder: entry.holder, sku, quantity, key, states, waiting: [], log: [entry] };
    const record: HoldRecord = { ...known, unknown: 0, confused: false, audited: 0 };
    const before = this.holds.get(id);
    if (before !== undefined)
      this.hearing.violate('I2', `hold ${id} was given out twice`, [...before.log, entry]);
    if (deadline < when.from + ttlMs || deadline > when.to + ttlMs) {
      this.hearing.violate(
        'I2',
        `hold ${id} of ${sku.name} got the deadline ${deadline}, ${ttlMs} ms from no time at which it can have been placed`,
        record.log,
      );
    }
    this.holds.set(id, record);
    sku.holds.add(record);
    this.hearing.tally.holds++;
    return record;
  }

  /** Counts what has ended and was read after several starts, and looks after it no more. */
  retire(): void {
    for (const hold of this.holds.values()) {
      if (hold.confused || hold.waiting.length > 0 || hold.states.length !== 1) continue;
      const [{ state, sold }] = hold.states;
      if (state === HoldState.HELD || hold.audited < AUDITS_OF_ENDED) continue;
      hold.sku.soldBefore += sold;
      this.forget(hold);
    }
  }

  /** When the last of the holds ends that may be open, by the server's time; 0 for none. */
  lastDeadline(): number {
    const states = [...this.holds.values()].flatMap((hold) => hold.states);
    return Math.max(0, ...states.filter(({ state }) => state === HoldState.HELD).map(({ ends }) => ends.to));
  }

  /** Takes what a command on a hold did, or may have done. */
  private learn(hold: HoldRecord, entry: Entry): void {
    const { op } = entry;
    const answer = entry.answer as Answer | null;
    const status = answer?.[0] as number | undefined;
    if (status !== undefined && isNotTaken(status)) return;
    const command = { op, args: entry.args.slice(1) as number[] };
    const lost = answer === null || status === Status.UNKNOWN_OUTCOME;
    if (lost && op === Op.READ_HOLD) return;
    if (lost) {
      this.hearing.tally.unknown++;
      hold.unknown++;
    }
    if (hold.confused) {
      this.adopt(hold, entry);
      return;
    }
    const next = after(
      hold.states,
      command,
      this.hearing.when(entry),
      lost ? undefined : answer,
      this.hearing.options.soldRetentionMs,
    );
    const [first] = next;
    if (
      first === undefined ||
      (op === Op.READ_HOLD && status === Status.OK && answer?.[2] !== hold.sku.name)
    ) {
      const expected = hold.states.map(describe).join(', or ');
      this.hearing.violate(
        accuse(hold, entry),
        `hold ${hold.id} of ${hold.sku.name} is ${expected}; it got ${answerInWords(answer as Answer)}`,
        hold.log,
      );
      hold.confused = true;
      this.adopt(hold, entry);
      return;
    }
    if (
      op === Op.CONFIRM &&
      status === Status.OK &&
      hold.states.some(({ state }) => state === HoldState.HELD)
    )
      this.hearing.tally.confirmed++;
    hold.states = next;
    this.settle(hold);
    if (next.length === 1 && first.state === 0) {
      hold.sku.soldBefore += first.sold;
      this.forget(hold);
    }
  }

  /** Counts the commands of which it is now known whether they happened. */
  private settle(hold: HoldRecord): void {
    const [first, ...others] = hold.states as [Possible, ...Possible[]];
    if (hold.unknown === 0) return;
    if (others.every(({ happened }) => happened === first.happened)) {
      this.hearing.tally.happened += first.happened;
      this.hearing.tally.notHappened += hold.unknown - first.happened;
    } else if (others.every((other) => same(other, first))) {
      this.hearing.tally.undecided += hold.unknown;
      hold.states = [first];
    } else {
      return;
    }
    hold.unknown = 0;
    hold.states = hold.states.map((state) => ({ ...state, happened: 0 }));
  }

  /** After a violation, what the server says is believed from now on. */
  private adopt(hold: HoldRecord, { op, answer }: Entry): void {
    this.hearing.tally.undecided += hold.unknown;
    hold.unknown = 0;
    if (answer?.[0] === Status.UNKNOWN_HOLD) {
      this.forget(hold);
    } else if (op === Op.READ_HOLD && answer?.[0] === Status.OK) {
      const [, state, , held, sold, returned, at] = answer as number[];
      const units = state === HoldState.HELD ? held : sold + returned;
      hold.states = [{ state, units, sold, ends: { from: at, to: at }, happened: 0 }];
      hold.confused = false;
    }
  }

  private forget(hold: HoldRecord): void {
    this.holds.delete(hold.id);
    hold.sku.holds.delete(hold);
  }
}

/** Which promise an answer breaks that fits none of the states that a hold may be in. */
function accuse({ states, log }: HoldRecord, entry: Entry): Invariant {
  const claimed = claimedState(entry);
  if (claimed === 0 || states.some(({ state }) => state === claimed)) return 'I2';
  if (states.some(({ state }) => state === HoldState.HELD))
    return claimed === HoldState.EXPIRED ? 'I2' : 'I5';
  const restarted = log.some(({ start, answer }) => answer !== undefined && start < entry.start);
  return claimed === HoldState.HELD && restarted ? 'I2' : 'I5';
}

/** The state that an answer tells of: 0 for one that knows nothing of the hold. */
function claimedState({ op, answer }: Entry): number {
  const [status, first] = answer as [number, number];
  if (status === Status.UNKNOWN_HOLD) return 0;
  if (status === Status.CONFIRMED) return HoldState.CONFIRMED;
  if (status === Status.RELEASED) return HoldState.RELEASED;
  if (status === Status.EXPIRED) return HoldState.EXPIRED;
  if (op === Op.READ_HOLD) return first;
  if (op === Op.RETURN) return status === Status.NOT_CONFIRMED ? HoldState.HELD : HoldState.CONFIRMED;
  if (status === Status.OK && op === Op.CONFIRM) return HoldState.CONFIRMED;
  return status === Status.OK && op === Op.RELEASE && first === 0 ? HoldState.RELEASED : HoldState.HELD;
}

const STATES = ['forgotten', 'held', 'confirmed', 'released', 'expired'];

function describe({ state, units, sold, ends }: Possible): string {
  const of = state === HoldState.CONFIRMED ? `${sold} of ${units} units sold` : `${units} units`;
  return `${STATES[state]} (${of}, ends ${ends.from === ends.to ? ends.from : `${ends.from} to ${ends.to}`})`;
}
