import { MAX_QUANTITY } from '../../protocol/limits.ts';
import { HoldState, Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { SegmentOptions } from '../../src/core/layout.ts';
import { ANY_HOLDER, type Command, type Reply } from './fixtures.ts';

export interface ModelHold {
  readonly id: number;
  readonly sku: string;
  readonly holder: string;
  readonly createdAt: number;
  /** Units held; of a confirmed hold, units sold. */
  quantity: number;
  returned: number;
  state: number;
  /** Deadline, then time of the end. */
  endsAt: number;
  readonly key: ModelKey | undefined;
}

export interface ModelKey {
  readonly sku: string;
  readonly holder: string;
  readonly text: string;
  readonly quantity: number;
  readonly ttlMs: number;
  readonly holdId: number;
  readonly expiresAt: number;
  /** Not known while the hold is open. */
  forgetAt: number | undefined;
}

interface ModelSku {
  total: number;
  sold: number;
  perHold: number;
  perHolder: number;
  maxTtlMs: number;
  /** Units bought by each holder, from when the SKU first had a limit per holder. */
  bought: Map<string, number> | undefined;
}

/** What a result may be where the segment only promises an estimate. */
export class Between {
  readonly least: number;
  readonly most: number;
  constructor(least: number, most: number) {
    this.least = least;
    this.most = most;
  }
}

/**
 * A segment as maps and loops, far too slow to be wrong in the same way. It says what a command must be answered; what
 * the segment is free to choose (the id of a new hold, which of several overdue holds it ends first) it is told.
 */
export class Model {
  readonly skus = new Map<string, ModelSku>();
  /** Holds that are not forgotten, by id. */
  readonly holds = new Map<number, ModelHold>();
  readonly keys: ModelKey[] = [];
  /** Holds that were ever placed. */
  readonly seen = new Set<number>();
  private readonly options: SegmentOptions;
  private readonly exact: boolean;
  private slotsUsed = 0;

  /** @param exact whether the times to live are so few that the segment knows when the earliest hold ends. */
  constructor(options: SegmentOptions, exact: boolean) {
    this.options = options;
    this.exact = exact;
  }

  open(sku?: string): ModelHold[] {
    return [...this.holds.values()].filter(
      (hold) => hold.state === HoldState.HELD && (sku === undefined || hold.sku === sku),
    );
  }

  held(name: string): number {
    return sum(this.open(name).map((hold) => hold.quantity));
  }

  available(name: string): number {
    const sku = this.sku(name);
    return sku.total - sku.sold - this.held(name);
  }

  sku(name: string): ModelSku {
    return this.skus.get(name) as ModelSku;
  }

  expire(hold: ModelHold, now: number): void {
    this.end(hold, HoldState.EXPIRED, hold.endsAt, now);
  }

  /** Units that a holder has of a SKU with a limit. */
  units(name: string, holder: string): number {
    const open = this.open(name).filter((hold) => hold.holder === holder);
    return sum(open.map((hold) => hold.quantity)) + (this.sku(name).bought?.get(holder) ?? 0);
  }

  /** The reply to a command, having done it. `came` is what the segment replied, for the id of a new hold. */
  apply(command: Command, now: number, holder: string, came: Reply): Reply {
    const [op, target, ...args] = command;
    const given = args.map((arg) => (arg === null ? undefined : arg)) as (number | undefined)[];
    if (op === Op.STOCK) return this.stock(target as string, args as (number | null)[]);
    if (op === Op.HOLD) return this.hold(target as string, args, now, holder, came);
    if (op === Op.READ) return this.read(target as string, now);
    const hold = this.holds.get(target as number);
    if (hold === undefined || (holder !== ANY_HOLDER && hold.holder !== holder)) return [Status.UNKNOWN_HOLD];
    if (op === Op.EXTEND) {
      const longest = this.longestTtl(hold.sku);
      if ((given[0] as number) > longest) return [Status.TTL_LIMIT, longest];
    }
    const due = hold.state === HoldState.HELD && hold.endsAt <= now;
    if (op === Op.READ_HOLD) return this.readHold(hold, due);
    if (due) this.expire(hold, now);
    if (op === Op.CONFIRM) return this.confirm(hold, given[0], now);
    if (op === Op.RELEASE) return this.release(hold, given[0], given[1], now);
    if (op === Op.EXTEND) return this.extend(hold, given[0] as number, now);
    return this.returnSold(hold, given[0], given[1]);
  }

  /** What is due is told as expired; to read it does not end it. */
  private readHold(hold: ModelHold, due: boolean): Reply {
    const state = due ? HoldState.EXPIRED : hold.state;
    const confirmed = hold.state === HoldState.CONFIRMED;
    const quantity = state === HoldState.HELD ? hold.quantity : 0;
    const sold = confirmed ? hold.quantity - hold.returned : 0;
    return [Status.OK, state, hold.sku, quantity, sold, hold.returned, hold.endsAt];
  }

  private stock(name: string, [mode, amount, ...settings]: (number | null)[]): Reply {
    const old = this.skus.get(name);
    const total = mode === StockMode.TOTAL ? (amount as number) : (old?.total ?? 0) + (amount as number);
    const books = (): number[] => {
      const sku = this.skus.get(name);
      return sku ? [this.available(name), this.held(name), sku.sold, sku.total] : [0, 0, 0, 0];
    };
    const taken = old === undefined ? 0 : old.sold + this.held(name);
    if (total > MAX_QUANTITY || total < taken) return [Status.STOCK_LIMIT, ...books()];
    const [perHold, perHolder, maxTtlMs] = settings;
    const count = (perHolder ?? 0) > 0 && old?.bought === undefined;
    if (count && old !== undefined) {
      const known = [...this.holds.values()].filter((hold) => hold.sku === name && unitsOf(hold) > 0);
      const newHolders = new Set(known.map((hold) => hold.holder)).size;
      if (this.countedHolders() + newHolders > this.options.holders) return [Status.HOLDER_CAPACITY];
    }
    if (old === undefined && this.skus.size >= this.options.skus) return [Status.SKU_CAPACITY];
    const sku = old ?? { total, sold: 0, perHold: 0, perHolder: 0, maxTtlMs: 0, bought: undefined };
    this.skus.set(name, sku);
    sku.total = total;
    sku.perHold = perHold ?? sku.perHold;
    sku.perHolder = perHolder ?? sku.perHolder;
    sku.maxTtlMs = maxTtlMs ?? sku.maxTtlMs;
    if (count) {
      sku.bought = new Map();
      for (const hold of this.holds.values()) {
        if (hold.sku === name && hold.state === HoldState.CONFIRMED) this.buy(hold, unitsOf(hold));
      }
    }
    return [Status.OK, ...books()];
  }

  private hold(name: string, args: unknown[], now: number, holder: string, came: Reply): Reply {
    const [quantity, ttlMs, text] = args as [number, number, string | null | undefined];
    const sku = this.skus.get(name);
    if (sku === undefined) return [Status.UNKNOWN_SKU];
    const known = this.keys.find((key) => key.sku === name && key.holder === holder && key.text === text);
    if (known !== undefined) {
      const same = known.quantity === quantity && known.ttlMs === ttlMs;
      return same ? [Status.OK, known.holdId, known.expiresAt] : [Status.KEY_CONFLICT, known.holdId];
    }
    if (sku.perHold !== 0 && quantity > sku.perHold) return [Status.HOLD_LIMIT, sku.perHold];
    const longest = this.longestTtl(name);
    if (ttlMs > longest) return [Status.TTL_LIMIT, longest];
    const units = this.units(name, holder);
    if (sku.perHolder !== 0 && units + quantity > sku.perHolder) {
      return [Status.HOLDER_LIMIT, sku.perHolder, units];
    }
    const available = this.available(name);
    if (quantity > available + this.held(name)) return [Status.SOLD_OUT, available];
    if (quantity > available) return [Status.HELD_OUT, available, this.earliestEnd(name, now)];
    if (!this.hasRoom(now)) return [Status.HOLD_CAPACITY];
    const keyed = text !== undefined && text !== null;
    if (keyed && this.keys.length >= this.options.keys) return [Status.KEY_CAPACITY];
    const newHolder = sku.bought !== undefined && units === 0;
    if (newHolder && this.countedHolders() >= this.options.holders) return [Status.HOLDER_CAPACITY];
    const id = came[1] as number;
    const endsAt = now + ttlMs;
    const base = { sku: name, holder, quantity };
    const key = keyed
      ? { ...base, text, ttlMs, holdId: id, expiresAt: endsAt, forgetAt: undefined }
      : undefined;
    if (key !== undefined) this.keys.push(key);
    this.takeSlot(id, now);
    this.holds.set(id, { ...base, id, createdAt: now, returned: 0, state: HoldState.HELD, endsAt, key });
    return [Status.OK, id, endsAt];
  }

  private confirm(hold: ModelHold, quantity: number | undefined, now: number): Reply {
    if (hold.state === HoldState.CONFIRMED) {
      const same = quantity === undefined || quantity === hold.quantity;
      return [same ? Status.OK : Status.CONFIRMED, hold.quantity];
    }
    if (hold.state !== HoldState.HELD) return ended(hold);
    if (quantity !== undefined && quantity > hold.quantity) return [Status.EXCEEDS_HOLD, hold.quantity];
    const sold = quantity ?? hold.quantity;
    hold.quantity = sold;
    this.sku(hold.sku).sold += sold;
    this.end(hold, HoldState.CONFIRMED, now, now);
    this.buy(hold, sold);
    return [Status.OK, sold];
  }

  private release(hold: ModelHold, quantity: number | undefined, of: number | undefined, now: number): Reply {
    const has = hold.quantity;
    if (hold.state === HoldState.RELEASED && (quantity === undefined || quantity === has))
      return [Status.OK, 0];
    if (hold.state !== HoldState.HELD) return ended(hold);
    if (of !== undefined && quantity !== undefined && has === of - quantity) return [Status.OK, has];
    if (quantity !== undefined && quantity > has) return [Status.EXCEEDS_HOLD, has];
    if (of !== undefined && of !== has) return [Status.CHANGED, has];
    if (quantity === undefined || quantity === has) {
      this.end(hold, HoldState.RELEASED, now, now);
      return [Status.OK, 0];
    }
    hold.quantity -= quantity;
    return [Status.OK, hold.quantity];
  }

  private extend(hold: ModelHold, ttlMs: number, now: number): Reply {
    if (hold.state !== HoldState.HELD) return ended(hold);
    const latest = hold.createdAt + this.options.maxHoldLifeMs;
    if (now + ttlMs > latest) return [Status.LIFE_LIMIT, latest];
    hold.endsAt = Math.max(hold.endsAt, now + ttlMs);
    return [Status.OK, hold.endsAt];
  }

  private returnSold(hold: ModelHold, quantity: number | undefined, of: number | undefined): Reply {
    if (hold.state === HoldState.HELD) return [Status.NOT_CONFIRMED];
    if (hold.state !== HoldState.CONFIRMED) return ended(hold);
    const left = hold.quantity - hold.returned;
    if (of !== undefined && left === (quantity === undefined ? 0 : of - quantity)) return [Status.OK, left];
    if (quantity !== undefined && quantity > left) return [Status.EXCEEDS_HOLD, left];
    if (of !== undefined && of !== left) return [Status.CHANGED, left];
    const back = quantity ?? left;
    hold.returned += back;
    this.sku(hold.sku).sold -= back;
    this.buy(hold, -back);
    return [Status.OK, left - back];
  }

  private read(name: string, now: number): Reply {
    const sku = this.skus.get(name);
    if (sku === undefined) return [Status.UNKNOWN_SKU];
    const books = [this.available(name), this.held(name), sku.sold, sku.total];
    return [Status.OK, ...books, sku.perHold, sku.perHolder, sku.maxTtlMs, this.earliestEnd(name, now)];
  }

  private earliestEnd(name: string, now: number): number | Between {
    const ends = this.open(name).map((hold) => hold.endsAt);
    if (ends.length === 0) return 0;
    const earliest = Math.min(...ends);
    return this.exact ? earliest : new Between(Math.min(earliest, now), now + this.options.maxHoldLifeMs);
  }

  private longestTtl(name: string): number {
    const own = this.sku(name).maxTtlMs;
    return own === 0 ? this.options.maxHoldLifeMs : Math.min(own, this.options.maxHoldLifeMs);
  }

  private hasRoom(now: number): boolean {
    if (this.slotsUsed < this.options.holds) return true;
    return [...this.holds.values()].some((hold) => this.mayForget(hold, now));
  }

  /** Whether a hold's place may be given to another. */
  private mayForget(hold: ModelHold, now: number): boolean {
    if (hold.state === HoldState.HELD) return false;
    if (hold.state === HoldState.CONFIRMED) return hold.endsAt + this.options.soldRetentionMs <= now;
    const over = [...this.holds.values()].filter(isOver).length;
    if (over > this.options.holds >> 3 || this.slotsUsed === this.options.holds) return true;
    return hold.endsAt + this.options.endedRetentionMs <= now;
  }

  /** The segment has chosen a place for a new hold; it must have been free to. */
  private takeSlot(id: number, now: number): void {
    if (this.seen.has(id)) throw new Error(`The id ${id} was given before.`);
    this.seen.add(id);
    const before = [...this.holds.values()].find((hold) => slotOf(hold.id) === slotOf(id));
    if (before === undefined) {
      this.slotsUsed++;
    } else {
      if (!this.mayForget(before, now)) throw new Error(`Hold ${before.id} was forgotten too early.`);
      this.holds.delete(before.id);
    }
    if (this.slotsUsed > this.options.holds) throw new Error('There are more holds than places.');
  }

  private countedHolders(): number {
    let count = 0;
    for (const [name, { bought }] of this.skus) {
      if (bought === undefined) continue;
      const holders = new Set([...bought.keys(), ...this.open(name).map((hold) => hold.holder)]);
      for (const holder of holders) if (this.units(name, holder) > 0) count++;
    }
    return count;
  }

  private buy(hold: ModelHold, units: number): void {
    const { bought } = this.sku(hold.sku);
    bought?.set(hold.holder, (bought.get(hold.holder) ?? 0) + units);
  }

  private end(hold: ModelHold, state: number, endsAt: number, now: number): void {
    hold.state = state;
    hold.endsAt = endsAt;
    if (hold.key !== undefined) hold.key.forgetAt = now + this.options.keyRetentionMs;
  }
}

function ended(hold: ModelHold): Reply {
  if (hold.state === HoldState.CONFIRMED) return [Status.CONFIRMED, hold.quantity];
  return [hold.state === HoldState.RELEASED ? Status.RELEASED : Status.EXPIRED, hold.endsAt];
}

function isOver(hold: ModelHold): boolean {
  return hold.state === HoldState.RELEASED || hold.state === HoldState.EXPIRED;
}

function unitsOf(hold: ModelHold): number {
  return isOver(hold) ? 0 : hold.quantity - hold.returned;
}

function slotOf(id: number): number {
  return id % 2 ** 22;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0);
}
