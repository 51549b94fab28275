import { HoldState, Op, StockMode } from '../../protocol/ops.ts';
import { Status, statusName } from '../../protocol/status.ts';
import { type Answer, after, type Possible, type Span, same } from './hold-states.ts';
import {
  type Entry,
  type HoldRecord,
  inWords,
  type KeyRecord,
  keep,
  keyName,
  type PossibleStock,
  type SkuRecord,
} from './records.ts';
import type { ServerTime } from './server-time.ts';
import { type Invariant, Tally } from './tally.ts';

export interface JudgeOptions {
  readonly soldRetentionMs: number;
  readonly keyRetentionMs: number;
}

/** A SKU as it is stocked before the clients come. */
export interface SkuPlan {
  readonly name: string;
  readonly total: number;
  readonly maxPerHold: number;
  readonly maxPerHolder: number;
  readonly maxTtlMs: number;
}

/** Ended holds are read after this many starts of the server, then only counted. */
const AUDITS_OF_ENDED = 2;

/**
 * Holds what clients sent and heard against what was promised, over kills and starts of the server. It knows nothing but the clients'
 * logs and the protocol's specification. Where answers are missing it keeps every state that is possible, and each answer that
 * comes later, at whichever start of the server, rules some out for good.
 */
export class Judge {
  readonly tally = new Tally();
  readonly skus = new Map<string, SkuRecord>();
  readonly holds = new Map<number, HoldRecord>();
  readonly keys = new Map<string, KeyRecord>();
  private readonly options: JudgeOptions;
  private time: ServerTime;

  constructor(options: JudgeOptions, skus: readonly SkuPlan[], time: ServerTime) {
    this.options = options;
    this.time = time;
    for (const { name, ...stock } of skus) {
      const { maxPerHolder: holderLimit } = stock;
      const record = { name, stocks: [stock], soldBefore: 0, holds: new Set<HoldRecord>(), holderLimit };
      this.skus.set(name, { ...record, unknown: 0, confused: false, log: [] });
    }
  }

  /** The server was started again, and its clock was looked at. */
  started(time: ServerTime): void {
    const jump = this.time.known ? time.jumpFrom(this.time) : 0;
    if (jump < 0)
      this.tally.violate('clock', `the server's time went back by ${Math.ceil(-jump)} ms over a restart`);
    else if (jump > 0)
      this.tally.violate('clock', `the server's time jumped ahead by ${Math.ceil(jump)} ms over a restart`);
    this.time = time;
  }

  /** A command leaves. */
  sent(entry: Entry): void {
    this.tally.commands++;
    const [first, quantity, ttlMs, key] = entry.args as [never, number, number, string | undefined];
    if (entry.op === Op.HOLD && key !== undefined) {
      const sku = this.sku(first);
      const name = keyName(entry.holder, first, key);
      if (this.keys.has(name)) return;
      const askedAt = this.time.span(entry.sentMs, entry.sentMs).from;
      const body = { holder: entry.holder, sku, key, quantity, ttlMs, askedAt };
      this.keys.set(name, { ...body, hold: undefined, deadline: 0, unknown: 0, endAskedAt: Infinity });
    }
    const record = isOnHold(entry.op) ? this.holds.get(first) : undefined;
    if (record === undefined) return;
    record.waiting.push(entry);
    keep(record.log, entry);
    if (record.key !== undefined && (entry.op === Op.CONFIRM || entry.op === Op.RELEASE)) {
      const { from } = this.time.span(entry.sentMs, entry.sentMs);
      record.key.endAskedAt = Math.min(record.key.endAskedAt, from);
    }
  }

  /** A command was answered, or, with null for an answer, never will be. Returns the hold that a HOLD made known. */
  resolved(entry: Entry): HoldRecord | undefined {
    const { op, args } = entry;
    if (op === Op.HOLD) return this.placed(entry);
    if (op === Op.STOCK) this.stocked(entry);
    else if (op === Op.READ) this.checkSum(entry);
    const record = isOnHold(op) ? this.holds.get(args[0] as number) : undefined;
    while (record !== undefined && record.waiting[0]?.answer !== undefined) {
      this.learn(record, record.waiting.shift() as Entry);
    }
    return undefined;
  }

  /** READ of a SKU while nothing else is under way, after its holds were read: counts as they must be. */
  checkBooks(entry: Entry): void {
    const sku = this.sku(entry.args[0] as string);
    keep(sku.log, entry);
    const answer = entry.answer;
    if (answer === null || answer === undefined) return;
    if (answer[0] !== Status.OK) {
      this.violate('I2', `${sku.name} is ${statusName(answer[0] as number)}`, sku.log);
      return;
    }
    this.checkStock(sku, answer);
    this.checkUnits(sku, entry);
  }

  /** READ of a SKU once every deadline and a grace have passed. */
  checkReturned(entry: Entry): void {
    const answer = entry.answer;
    if (answer?.[0] !== Status.OK) return;
    const [, available, held, sold, total] = answer as number[];
    const sku = this.sku(entry.args[0] as string);
    if (held === 0 && available === total - sold) return;
    const what = `${sku.name}: ${available} available, ${held} held, ${sold} sold of ${total} when every deadline had passed`;
    this.violate('I3', what, [...sku.log, entry]);
  }

  /** INSPECT of a segment. */
  checkSegment(entry: Entry): void {
    const answer = entry.answer;
    if (answer?.[0] !== Status.OK) return;
    const [, , , available, held, sold, total, , violations] = answer as number[];
    if (violations === 0 && available + held + sold === total) return;
    const counts = `${available} available + ${held} held + ${sold} sold, ${total} in total`;
    this.violate('I1', `segment ${entry.args[0]}: ${violations} violations, ${counts}`, [entry]);
  }

  /** An audit is over: what has ended and was read after several starts is only counted from now on. */
  retire(nowMs: number): void {
    for (const hold of this.holds.values()) {
      if (hold.confused || hold.waiting.length > 0 || hold.states.length !== 1) continue;
      const [{ state, sold }] = hold.states;
      if (state === HoldState.HELD || hold.audited < AUDITS_OF_ENDED) continue;
      hold.sku.soldBefore += sold;
      this.forget(hold);
    }
    for (const [name, key] of this.keys) {
      if (key.unknown === 0 && !this.remembers(key, nowMs)) this.keys.delete(name);
    }
  }

  /** Nobody will send a HOLD again whose answer is missing. */
  abandon(key: KeyRecord): void {
    this.tally.undecided += key.unknown;
    this.keys.delete(keyName(key.holder, key.sku.name, key.key));
  }

  /** Whether the server has to know a key now, and through to the end of a command that is sent now. */
  remembers(key: KeyRecord, nowMs: number): boolean {
    const ended = Math.min(key.endAskedAt, key.hold === undefined ? key.askedAt : key.deadline);
    return this.time.span(nowMs, nowMs).to < ended + this.options.keyRetentionMs;
  }

  /** When the last of the holds ends that are known to be open, by the clock of the clients at the latest; 0 for none. */
  lastDeadline(nowMs: number): number {
    const behind = this.time.span(nowMs, nowMs).from - nowMs;
    const open = [...this.holds.values()]
      .flatMap((hold) => hold.states)
      .filter(({ state }) => state === HoldState.HELD);
    return Math.max(0, ...open.map(({ ends }) => ends.to - behind));
  }

  /** What is still undecided when a run ends counts as such. */
  finish(): void {
    for (const { unknown } of [...this.holds.values(), ...this.keys.values(), ...this.skus.values()]) {
      this.tally.undecided += unknown;
    }
  }

  /** HOLD was answered. */
  private placed(entry: Entry): HoldRecord | undefined {
    const [name, quantity, ttlMs, keyText] = entry.args as [string, number, number, string | undefined];
    const sku = this.sku(name);
    const key = keyText === undefined ? undefined : this.keys.get(keyName(entry.holder, name, keyText));
    const answer = entry.answer as Answer | null;
    if (key !== undefined)
      return this.placedWithKey(key, entry, quantity === key.quantity && ttlMs === key.ttlMs);
    if (answer === null) {
      // Nobody will ever learn its id: it may be held until its deadline, and cannot be sold.
      this.tally.unknown++;
      this.tally.undecided++;
      return undefined;
    }
    if (answer[0] !== Status.OK || keyText !== undefined) return undefined;
    return this.place(entry, sku, undefined, this.when(entry));
  }

  private placedWithKey(key: KeyRecord, entry: Entry, sameBody: boolean): HoldRecord | undefined {
    const answer = entry.answer as Answer | null;
    if (answer === null || answer[0] === Status.UNKNOWN_OUTCOME) {
      this.tally.unknown++;
      if (key.hold === undefined && sameBody) key.unknown++;
      else this.tally.undecided++;
      return undefined;
    }
    const [status, id, deadline] = answer as [number, number, number];
    if (isNotTaken(status)) return undefined;
    const when = this.when(entry);
    if (key.hold === undefined) {
      if (!sameBody) return undefined;
      if (status === Status.KEY_CONFLICT) {
        const what = `key ${key.key} of ${key.holder} was sent with one body only, and got ${inAnswer(answer)}`;
        this.violate('I4', what, [entry]);
        return undefined;
      }
      const placedAt = deadline - key.ttlMs;
      const happened = status === Status.OK && placedAt < when.from;
      if (key.unknown > 0) {
        this.tally.happened += happened ? 1 : 0;
        this.tally.notHappened += key.unknown - (happened ? 1 : 0);
        key.unknown = 0;
      }
      if (status !== Status.OK) return undefined;
      key.deadline = deadline;
      key.hold = this.place(entry, key.sku, key, { from: Math.min(key.askedAt, when.from), to: when.to });
      return key.hold;
    }
    keep(key.hold.log, entry);
    const ended = Math.min(key.endAskedAt, key.deadline);
    if (when.to >= ended + this.options.keyRetentionMs) return undefined;
    const right = sameBody
      ? status === Status.OK && id === key.hold.id && deadline === key.deadline
      : status === Status.KEY_CONFLICT && id === key.hold.id;
    if (right) return undefined;
    const body = sameBody ? 'the same body' : 'another body';
    this.violate(
      'I4',
      `key ${key.key} of ${key.holder} stands for hold ${key.hold.id} of ${key.sku.name} until ${key.deadline}; ${body} got ${inAnswer(answer)}`,
      key.hold.log,
    );
    return undefined;
  }

  /** A hold is acknowledged for the first time; it was placed at some time within `when`. */
  private place(entry: Entry, sku: SkuRecord, key: KeyRecord | undefined, when: Span): HoldRecord {
    const [, quantity, ttlMs] = entry.args as [string, number, number];
    const [, id, deadline] = entry.answer as [number, number, number];
    const ends = { from: deadline, to: deadline };
    const states: Possible[] = [{ state: HoldState.HELD, units: quantity, sold: 0, ends, happened: 0 }];
    const known = { id, holder: entry.holder, sku, quantity, key, states, waiting: [], log: [entry] };
    const record: HoldRecord = { ...known, unknown: 0, confused: false, audited: 0 };
    const before = this.holds.get(id);
    if (before !== undefined) this.violate('I2', `hold ${id} was given out twice`, [...before.log, entry]);
    if (deadline < when.from + ttlMs || deadline > when.to + ttlMs) {
      this.violate(
        'I2',
        `hold ${id} of ${sku.name} got the deadline ${deadline}, ${ttlMs} ms from no time at which it can have been placed`,
        record.log,
      );
    }
    this.holds.set(id, record);
    sku.holds.add(record);
    this.tally.holds++;
    return record;
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
      this.tally.unknown++;
      hold.unknown++;
    }
    if (hold.confused) {
      this.adopt(hold, entry);
      return;
    }
    const next = after(
      hold.states,
      command,
      this.when(entry),
      lost ? undefined : answer,
      this.options.soldRetentionMs,
    );
    const [first] = next;
    if (
      first === undefined ||
      (op === Op.READ_HOLD && status === Status.OK && answer?.[2] !== hold.sku.name)
    ) {
      const expected = hold.states.map(describe).join(', or ');
      this.violate(
        accuse(hold, entry),
        `hold ${hold.id} of ${hold.sku.name} is ${expected}; it got ${inAnswer(answer as Answer)}`,
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
      this.tally.confirmed++;
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
      this.tally.happened += first.happened;
      this.tally.notHappened += hold.unknown - first.happened;
    } else if (others.every((other) => same(other, first))) {
      this.tally.undecided += hold.unknown;
      hold.states = [first];
    } else {
      return;
    }
    hold.unknown = 0;
    hold.states = hold.states.map((state) => ({ ...state, happened: 0 }));
  }

  /** After a violation, what the server says is believed from now on. */
  private adopt(hold: HoldRecord, { op, answer }: Entry): void {
    this.tally.undecided += hold.unknown;
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

  /** STOCK was answered, or not. There is one at a time for a SKU. */
  private stocked(entry: Entry): void {
    const [name, mode, amount, perHold, perHolder, ttlMs] = entry.args as [
      string,
      number,
      number,
      ...(number | undefined)[],
    ];
    const sku = this.sku(name);
    keep(sku.log, entry);
    const answer = entry.answer as Answer | null;
    const changed = (stock: PossibleStock): PossibleStock => ({
      total: mode === StockMode.TOTAL ? amount : stock.total + amount,
      maxPerHold: perHold ?? stock.maxPerHold,
      maxPerHolder: perHolder ?? stock.maxPerHolder,
      maxTtlMs: ttlMs ?? stock.maxTtlMs,
    });
    if (answer === null || answer[0] === Status.UNKNOWN_OUTCOME) {
      this.tally.unknown++;
      sku.unknown++;
      sku.stocks = [...sku.stocks, ...sku.stocks.map(changed)];
      return;
    }
    const [status, available, held, sold, total] = answer as number[];
    if (isNotTaken(status)) return;
    if (available + held + sold !== total)
      this.violate('I1', `${name}: ${available} + ${held} + ${sold} is not ${total}`, sku.log);
    const next = (status === Status.OK ? sku.stocks.map(changed) : sku.stocks).filter(
      (stock) => stock.total === total,
    );
    if (next.length === 0) {
      this.violate(
        'I2',
        `${name} had ${sku.stocks.map((stock) => stock.total).join(' or ')} units; STOCK got ${inAnswer(answer)}`,
        sku.log,
      );
      sku.stocks = [{ ...changed(sku.stocks[0]), total }];
    } else {
      sku.stocks = next;
    }
    this.tally.undecided += sku.unknown;
    sku.unknown = 0;
  }

  /** READ, whatever else is under way: it is one moment of one SKU. */
  private checkSum(entry: Entry): void {
    const [status, available, held, sold, total] = (entry.answer ?? [Status.BUSY]) as number[];
    if (status !== Status.OK) return;
    if (available + held + sold === total && Math.min(available, held, sold) >= 0) return;
    this.violate(
      'I1',
      `${entry.args[0]}: ${available} available + ${held} held + ${sold} sold, ${total} in total`,
      [entry],
    );
  }

  private checkStock(sku: SkuRecord, answer: Answer): void {
    const [, , , , total, maxPerHold, maxPerHolder, maxTtlMs] = answer as number[];
    const read = { total, maxPerHold, maxPerHolder, maxTtlMs };
    const [before] = sku.stocks as [PossibleStock];
    const found = sku.stocks.some((stock) => isEqual(stock, read));
    if (!found) {
      this.violate(
        'I2',
        `${sku.name} has ${JSON.stringify(read)}, and was given ${sku.stocks.map((stock) => JSON.stringify(stock)).join(' or ')}`,
        sku.log,
      );
    } else if (sku.unknown > 0) {
      // One STOCK at a time is sent, and the books are looked at before the next one.
      this.tally.notHappened += isEqual(before, read) ? sku.unknown : 0;
      this.tally.happened += isEqual(before, read) ? 0 : sku.unknown;
    }
    sku.unknown = 0;
    sku.stocks = [read];
  }

  private checkUnits(sku: SkuRecord, entry: Entry): void {
    const [, , held, sold] = entry.answer as number[];
    const { to: now } = this.when(entry);
    let least = sku.soldBefore;
    let most = sku.soldBefore;
    let open = 0;
    const byHolder = new Map<string, number>();
    for (const hold of sku.holds) {
      if (hold.confused) return;
      const units = hold.states.map((one) => one.sold);
      least += Math.min(...units);
      most += Math.max(...units);
      const surelyOpen = hold.states.every(({ state, ends }) => state === HoldState.HELD && ends.from > now);
      const unitsOpen = surelyOpen ? Math.min(...hold.states.map((one) => one.units)) : 0;
      open += unitsOpen;
      byHolder.set(hold.holder, (byHolder.get(hold.holder) ?? 0) + unitsOpen + Math.min(...units));
    }
    const logs = [...sku.log, ...[...sku.holds].slice(-3).flatMap((hold) => hold.log)];
    if (sold < least)
      this.violate('I2', `${sku.name}: ${sold} sold, and clients were told of ${least}`, logs);
    if (sold > most)
      this.violate('I1', `${sku.name}: ${sold} sold, and clients asked for ${most} at most`, logs);
    if (sold < least || sold > most) sku.soldBefore += sold < least ? sold - least : sold - most;
    if (held < open) this.violate('I2', `${sku.name}: ${held} held, and clients were told of ${open}`, logs);
    for (const [holder, units] of byHolder) {
      if (sku.holderLimit === 0 || units <= sku.holderLimit) continue;
      this.violate('I1', `${sku.name}: ${holder} has ${units} units, and may have ${sku.holderLimit}`, logs);
    }
  }

  private when({ sentMs, heardMs }: Entry): Span {
    return this.time.span(sentMs, heardMs);
  }

  private sku(name: string): SkuRecord {
    return this.skus.get(name) as SkuRecord;
  }

  private violate(invariant: Invariant, what: string, log: readonly Entry[]): void {
    this.tally.violate(invariant, what, log.map(inWords));
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

/** Nothing happened, and the answer says nothing about the hold. */
function isNotTaken(status: number): boolean {
  return status === Status.BUSY || status === Status.UNAVAILABLE;
}

function isOnHold(op: number): boolean {
  return (
    op === Op.CONFIRM || op === Op.RELEASE || op === Op.EXTEND || op === Op.RETURN || op === Op.READ_HOLD
  );
}

function isEqual(one: PossibleStock, other: PossibleStock): boolean {
  return Object.entries(one).every(([name, value]) => other[name as keyof PossibleStock] === value);
}

const STATES = ['forgotten', 'held', 'confirmed', 'released', 'expired'];

function describe({ state, units, sold, ends }: Possible): string {
  const of = state === HoldState.CONFIRMED ? `${sold} of ${units} units sold` : `${units} units`;
  return `${STATES[state]} (${of}, ends ${ends.from === ends.to ? ends.from : `${ends.from} to ${ends.to}`})`;
}

function inAnswer(answer: Answer): string {
  return [statusName(answer[0] as number), ...answer.slice(1)].join(' ');
}
