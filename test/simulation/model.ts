import { MAX_QUANTITY } from '../../protocol/limits.ts';
import { HoldState, Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { SegmentOptions } from '../../src/core/layout.ts';
import type { Command } from './commands.ts';
import { type HoldRecord, newSku, Shelf, type SkuRecord } from './shelf.ts';

/** What an answer says, without the request id. */
export type Answer = readonly unknown[];
type Complain = (what: string) => void;

/**
 * A segment as the protocol's specification describes it, in Maps and with sums made anew each time. It is given the
 * commands in the order in which they are applied and says what each has to be answered. Three things it takes from the segment
 * rather than foresee them, and checks that they are allowed: the id of a new hold, when exactly an overdue hold's units come
 * back, and whether a key that may be forgotten is.
 */
export class SegmentModel {
  fenced = false;
  /** What those are told who are turned away by the fence. */
  fencedRetryMs = 0;
  readonly shelf: Shelf;
  now = 0;
  /** Holds that were ended because of their deadlines since the last command. */
  private justExpired = 0;
  private readonly options: SegmentOptions;
  private readonly complain: Complain;

  constructor(number: number, options: SegmentOptions, complain: Complain) {
    this.options = options;
    this.complain = complain;
    this.shelf = new Shelf(number, options, complain);
  }

  /** The segment was told the time. */
  advance(now: number): void {
    this.now = Math.max(this.now, now);
  }

  /** The segment ended the hold in a slot because its deadline came. */
  expire(slot: number): void {
    const hold = this.shelf.holdIn(slot);
    if (hold === undefined || hold.state !== HoldState.HELD) {
      this.complain(`slot ${slot} expired, and nothing is held in it`);
      return;
    }
    if (hold.endsAt > this.now) this.complain(`hold ${hold.id} expired ${hold.endsAt - this.now} ms early`);
    this.shelf.end(hold, HoldState.EXPIRED, hold.endsAt, this.now);
    this.justExpired++;
  }

  /** Holds that should have been ended by now, with `grace` ms more than they asked for. */
  overdue(grace: number): HoldRecord[] {
    return [...this.shelf.holds.values()].filter(
      (hold) => hold.state === HoldState.HELD && hold.endsAt + grace <= this.now,
    );
  }

  /** Applies a command and returns the answer that it has to get. `actual` is the one that it got. */
  apply(command: Command, holder: string, now: number, actual: Answer): Answer {
    const answer = this.answer(command, holder, now, actual);
    this.justExpired = 0;
    return answer;
  }

  private answer(command: Command, holder: string, now: number, actual: Answer): Answer {
    if (this.fenced) return [Status.UNAVAILABLE, this.fencedRetryMs];
    const { flaw } = command;
    if (flaw !== undefined) return [Status.MALFORMED, flaw.reason, flaw.element];
    // Looking at a segment as a whole is the one thing that does not depend on the time.
    if (command.op !== Op.INSPECT) this.advance(now);
    switch (command.op) {
      case Op.HOLD:
        return this.hold(command, holder, actual);
      case Op.STOCK:
        return this.stock(command);
      case Op.READ:
        return this.read(command, actual);
      case Op.INSPECT:
        return this.inspect(actual);
      default:
        return this.onHold(command, holder);
    }
  }

  private hold(command: Command, holder: string, actual: Answer): Answer {
    const [name, quantity, ttlMs, key] = command.args as [string, number, number, string | undefined];
    const { shelf, now } = this;
    const sku = shelf.skus.get(name);
    if (sku === undefined) return [Status.UNKNOWN_SKU];
    const scoped = key === undefined ? undefined : `${name}|${holder}|${key}`;
    const known = scoped === undefined ? undefined : shelf.keys.get(scoped);
    if (known !== undefined) {
      const same = known.quantity === quantity && known.ttlMs === ttlMs;
      const answer = same ? [Status.OK, known.id, known.endsAt] : [Status.KEY_CONFLICT, known.id];
      const mayBeForgotten = known.forgetAt !== undefined && known.forgetAt <= now;
      // One that was forgotten may be known again after a recovery, unless another hold has taken its place.
      if (!mayBeForgotten || isEqual(answer, actual)) return answer;
    }
    if (sku.maxPerHold !== 0 && quantity > sku.maxPerHold) return [Status.HOLD_LIMIT, sku.maxPerHold];
    const longest = this.longestTtl(sku);
    if (ttlMs > longest) return [Status.TTL_LIMIT, longest];
    const units = shelf.unitsOf(sku, holder);
    if (sku.maxPerHolder !== 0 && quantity + units > sku.maxPerHolder) {
      return [Status.HOLDER_LIMIT, sku.maxPerHolder, units];
    }
    const held = shelf.held(sku);
    const available = sku.total - held - sku.sold;
    if (quantity > available + held) return [Status.SOLD_OUT, available];
    if (quantity > available) {
      if (this.justExpired === 0 && shelf.isOverdue(sku, now)) {
        this.complain(`${name} is held out at ${now} by holds whose deadline is past`);
      }
      return [Status.HELD_OUT, available, shelf.earliestEnd(sku, actual[2])];
    }
    if (!shelf.hasRoom(now)) return [Status.HOLD_CAPACITY];
    if (key !== undefined && shelf.keysInUse(now) >= this.options.keys) return [Status.KEY_CAPACITY];
    if (sku.counted && units === 0 && shelf.holderCount() >= this.options.holders) {
      return [Status.HOLDER_CAPACITY];
    }
    const endsAt = now + ttlMs;
    const id = actual[0] === Status.OK ? (actual[1] as number) : 0;
    if (!shelf.admits(id, now)) return [Status.OK, 'the id of a free place', endsAt];
    sku.ttls.add(ttlMs);
    shelf.place({ id, sku, holder, quantity, endsAt, createdAt: now, key: scoped });
    if (scoped !== undefined) shelf.keys.set(scoped, { quantity, ttlMs, id, endsAt, forgetAt: undefined });
    return [Status.OK, id, endsAt];
  }

  /** CONFIRM, RELEASE, EXTEND, RETURN and READ_HOLD. */
  private onHold(command: Command, holder: string): Answer {
    const [id, first, of] = command.args as [number, number | undefined, number | undefined];
    const hold = this.shelf.holds.get(id);
    if (hold === undefined || hold.holder !== holder) return [Status.UNKNOWN_HOLD];
    if (command.op === Op.EXTEND && (first as number) > this.longestTtl(hold.sku)) {
      return [Status.TTL_LIMIT, this.longestTtl(hold.sku)];
    }
    const isOpen = hold.state === HoldState.HELD;
    const isDue = isOpen && hold.endsAt <= this.now;
    if (command.op === Op.READ_HOLD) return readHold(hold, isDue);
    if (isDue) {
      this.complain(`hold ${id} was not ended by a command that came at its deadline or later`);
    }
    switch (command.op) {
      case Op.CONFIRM:
        return isOpen ? this.confirm(hold, first) : this.confirmAgain(hold, first);
      case Op.RELEASE:
        return isOpen ? this.release(hold, first, of) : this.releaseAgain(hold, first);
      case Op.EXTEND:
        return isOpen ? this.extend(hold, first as number) : ended(hold);
      default:
        return isOpen ? [Status.NOT_CONFIRMED] : this.returnSold(hold, first, of);
    }
  }

  private confirm(hold: HoldRecord, quantity = hold.quantity): Answer {
    if (quantity > hold.quantity) return [Status.EXCEEDS_HOLD, hold.quantity];
    hold.sku.sold += quantity;
    hold.quantity = quantity;
    this.shelf.end(hold, HoldState.CONFIRMED, this.now, this.now);
    return [Status.OK, quantity];
  }

  private confirmAgain(hold: HoldRecord, quantity: number | undefined): Answer {
    const same = hold.state === HoldState.CONFIRMED && (quantity ?? hold.quantity) === hold.quantity;
    return same ? [Status.OK, hold.quantity] : ended(hold);
  }

  private release(hold: HoldRecord, quantity: number | undefined, of: number | undefined): Answer {
    const has = hold.quantity;
    if (quantity !== undefined && of !== undefined && has === of - quantity) return [Status.OK, has];
    if (quantity !== undefined && quantity > has) return [Status.EXCEEDS_HOLD, has];
    if (of !== undefined && of !== has) return [Status.CHANGED, has];
    if (quantity === undefined || quantity === has) {
      this.shelf.end(hold, HoldState.RELEASED, this.now, this.now);
      return [Status.OK, 0];
    }
    hold.quantity -= quantity;
    return [Status.OK, hold.quantity];
  }

  private releaseAgain(hold: HoldRecord, quantity: number | undefined): Answer {
    const same = hold.state === HoldState.RELEASED && (quantity ?? hold.quantity) === hold.quantity;
    return same ? [Status.OK, 0] : ended(hold);
  }

  private extend(hold: HoldRecord, ttlMs: number): Answer {
    const latest = hold.createdAt + this.options.maxHoldLifeMs;
    if (this.now + ttlMs > latest) return [Status.LIFE_LIMIT, latest];
    if (this.now + ttlMs > hold.endsAt) {
      hold.endsAt = this.now + ttlMs;
      hold.sku.orderly = false;
    }
    return [Status.OK, hold.endsAt];
  }

  private returnSold(hold: HoldRecord, quantity: number | undefined, of: number | undefined): Answer {
    if (hold.state !== HoldState.CONFIRMED) return ended(hold);
    const left = hold.quantity - hold.returned;
    if (of !== undefined && left === (quantity === undefined ? 0 : of - quantity)) return [Status.OK, left];
    if (quantity !== undefined && quantity > left) return [Status.EXCEEDS_HOLD, left];
    if (of !== undefined && of !== left) return [Status.CHANGED, left];
    const back = quantity ?? left;
    hold.returned += back;
    hold.sku.sold -= back;
    return [Status.OK, left - back];
  }

  private stock(command: Command): Answer {
    const [name, mode, amount, perHold, perHolder, ttlMs] = command.args as [
      string,
      number,
      number,
      ...(number | undefined)[],
    ];
    const { shelf } = this;
    const sku = shelf.skus.get(name) ?? newSku(name);
    const held = shelf.held(sku);
    const total = mode === StockMode.TOTAL ? amount : sku.total + amount;
    const counts = (): Answer => [sku.total - held - sku.sold, held, sku.sold, sku.total];
    if (total < held + sku.sold || total > MAX_QUANTITY) return [Status.STOCK_LIMIT, ...counts()];
    if (!shelf.skus.has(name)) {
      if (shelf.skus.size >= this.options.skus) return [Status.SKU_CAPACITY];
      shelf.skus.set(name, sku);
    }
    if ((perHolder ?? 0) > 0 && !sku.counted && !shelf.count(sku)) return [Status.HOLDER_CAPACITY];
    sku.total = total;
    sku.maxPerHold = perHold ?? sku.maxPerHold;
    sku.maxPerHolder = perHolder ?? sku.maxPerHolder;
    sku.maxTtlMs = ttlMs ?? sku.maxTtlMs;
    return [Status.OK, ...counts()];
  }

  private read(command: Command, actual: Answer): Answer {
    const sku = this.shelf.skus.get(command.args[0] as string);
    if (sku === undefined) return [Status.UNKNOWN_SKU];
    const held = this.shelf.held(sku);
    const counts = [sku.total - held - sku.sold, held, sku.sold, sku.total];
    const settings = [sku.maxPerHold, sku.maxPerHolder, sku.maxTtlMs];
    return [Status.OK, ...counts, ...settings, this.shelf.earliestEnd(sku, actual[8])];
  }

  private inspect(actual: Answer): Answer {
    const { shelf } = this;
    const sums = { held: 0, sold: 0, total: 0 };
    for (const sku of shelf.skus.values()) {
      sums.held += shelf.held(sku);
      sums.sold += sku.sold;
      sums.total += sku.total;
    }
    const { held, sold, total } = sums;
    const keys = actual[7] as number;
    const least = shelf.keysInUse(this.now);
    const plausible = keys >= least && keys <= shelf.keys.size;
    const wanted = plausible ? keys : `${least} to ${shelf.keys.size} keys`;
    return [Status.OK, shelf.skus.size, shelf.openHolds(), total - held - sold, held, sold, total, wanted, 0];
  }

  private longestTtl(sku: SkuRecord): number {
    const { maxHoldLifeMs } = this.options;
    return sku.maxTtlMs === 0 ? maxHoldLifeMs : Math.min(sku.maxTtlMs, maxHoldLifeMs);
  }
}

/** How a command is refused that needs an open hold, or one of another end. */
function ended(hold: HoldRecord): Answer {
  if (hold.state === HoldState.CONFIRMED) return [Status.CONFIRMED, hold.quantity];
  return [hold.state === HoldState.RELEASED ? Status.RELEASED : Status.EXPIRED, hold.endsAt];
}

/** What is due is told as expired; to read it does not end it. */
function readHold(hold: HoldRecord, isDue: boolean): Answer {
  const state = isDue ? HoldState.EXPIRED : hold.state;
  const held = state === HoldState.HELD ? hold.quantity : 0;
  const sold = hold.state === HoldState.CONFIRMED ? hold.quantity - hold.returned : 0;
  return [Status.OK, state, hold.sku.name, held, sold, hold.returned, hold.endsAt];
}

export function isEqual(wanted: Answer, actual: Answer): boolean {
  return wanted.length === actual.length && wanted.every((value, at) => value === actual[at]);
}
