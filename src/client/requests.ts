import { MAX_QUANTITY, MAX_TTL_MS } from '../../protocol/limits.ts';
import { HoldState, Op, opName, StockMode } from '../../protocol/ops.ts';
import {
  checkHoldId,
  checkInteger,
  checkKey,
  checkQuantity,
  checkSku,
  checkTtl,
  malformed,
} from './arguments.ts';
import type { Argument } from './codec.ts';

/** One command to be carried out: what is sent, how its answer is read, and what to do when none comes. */
export interface Request<T> {
  readonly op: number;
  readonly args: readonly Argument[];
  /** The command in words, to begin a message with. */
  readonly what: string;
  /** The answer's results as a value, or undefined when they are not what they should be. */
  readonly read: (results: readonly unknown[]) => T | undefined;
  /** True when sending it twice has the effect of sending it once. */
  readonly repeatable: boolean;
  /** What to do with a success that nobody waits for any more. */
  readonly late?: {
    /** Takes the success back. */
    undo(value: T): Request<unknown>;
    /** After this time the success has ended by itself. */
    readonly worthMs: number;
    /** False when the caller can ask again for the outcome, and so may still want it. */
    readonly afterTimeout: boolean;
  };
}

export interface HoldAnswer {
  readonly holdId: number;
  /** Server time in ms since the epoch. */
  readonly serverExpiresAt: number;
}

export function holdRequest(
  sku: string,
  quantity: number,
  ttl: number,
  key?: string | Uint8Array,
): Request<HoldAnswer> {
  const sentKey = key === undefined ? crypto.getRandomValues(new Uint8Array(16)) : checkKey(key);
  return {
    op: Op.HOLD,
    args: [checkSku(sku), checkQuantity(quantity), checkTtl(ttl), sentKey],
    what: `HOLD of ${quantity} x ${JSON.stringify(sku)}`,
    read: integers((holdId, serverExpiresAt) => ({ holdId, serverExpiresAt }), 2),
    repeatable: true,
    late: {
      undo: ({ holdId }) => reduceRequest(Op.RELEASE, holdId),
      worthMs: ttl,
      afterTimeout: key === undefined,
    },
  };
}

/** Answer: units sold. */
export function confirmRequest(holdId: number, quantity?: number): Request<number> {
  const args = trimmed([checkHoldId(holdId), quantity === undefined ? null : checkQuantity(quantity)]);
  return {
    op: Op.CONFIRM,
    args,
    what: named(Op.CONFIRM, holdId),
    read: integers((sold) => sold, 1),
    repeatable: true,
  };
}

/**
 * RELEASE or RETURN. Answer: units that stay held, or sold.
 *
 * @param of units that the hold is believed to have. With it, a part can be taken off once however often it is
 *   sent; without it, every arrival takes off a part.
 */
export function reduceRequest(op: number, holdId: number, quantity?: number, of?: number): Request<number> {
  checkHoldId(holdId);
  if (quantity !== undefined) checkQuantity(quantity);
  if (of !== undefined) checkQuantity(of, 'of');
  return {
    op,
    args: trimmed([holdId, quantity ?? null, of ?? null]),
    what: quantity === undefined ? named(op, holdId) : `${opName(op)} of ${quantity} units of hold ${holdId}`,
    read: integers((left) => left, 1),
    repeatable: quantity === undefined || of !== undefined,
  };
}

/** Answer: the new deadline in server time. */
export function extendRequest(holdId: number, ttl: number): Request<number> {
  const args = [checkHoldId(holdId), checkTtl(ttl)];
  return {
    op: Op.EXTEND,
    args,
    what: named(Op.EXTEND, holdId),
    read: integers((endsAt) => endsAt, 1),
    repeatable: true,
  };
}

export interface StockOptions {
  readonly sku: string;
  /** The new total: available, held and sold together. Either this or `delta`, or neither to change settings only. */
  readonly total?: number;
  /** What to add to the total; negative to take away. */
  readonly delta?: number;
  /** Most units in one hold; 0 for no limit. Left as it is when not given, as are the others. */
  readonly maxPerHold?: number;
  /** Most units that one holder may hold and buy; 0 for no limit. */
  readonly maxPerHolder?: number;
  /** Longest time to live of a hold in ms; 0 for no limit but the server's. */
  readonly maxTtl?: number;
}

export interface StockLevels {
  readonly available: number;
  readonly held: number;
  readonly sold: number;
  /** available + held + sold. */
  readonly total: number;
}

export function stockRequest({ sku, total, delta, ...settings }: StockOptions): Request<StockLevels> {
  if (total !== undefined && delta !== undefined) {
    throw malformed('total', total, 'left out where delta is given: either is enough');
  }
  const mode = total === undefined ? StockMode.DELTA : StockMode.TOTAL;
  const amount =
    total === undefined
      ? checkInteger('delta', delta ?? 0, -MAX_QUANTITY, MAX_QUANTITY)
      : checkInteger('total', total, 0, MAX_QUANTITY);
  const setting = (name: 'maxPerHold' | 'maxPerHolder' | 'maxTtl', max: number) =>
    settings[name] === undefined ? null : checkInteger(name, settings[name], 0, max);
  return {
    op: Op.STOCK,
    args: trimmed([
      checkSku(sku),
      mode,
      amount,
      setting('maxPerHold', MAX_QUANTITY),
      setting('maxPerHolder', MAX_QUANTITY),
      setting('maxTtl', MAX_TTL_MS),
    ]),
    what: `STOCK of ${JSON.stringify(sku)}`,
    read: integers((available, held, sold, all) => ({ available, held, sold, total: all }), 4),
    repeatable: mode === StockMode.TOTAL || amount === 0,
  };
}

export interface SkuAnswer extends StockLevels {
  readonly maxPerHold: number;
  readonly maxPerHolder: number;
  readonly maxTtl: number;
  /** Server time at which the earliest open hold ends, or 0. */
  readonly serverEarliestEnd: number;
}

export function readRequest(sku: string): Request<SkuAnswer> {
  return {
    op: Op.READ,
    args: [checkSku(sku)],
    what: `READ of ${JSON.stringify(sku)}`,
    read: integers(
      (available, held, sold, total, maxPerHold, maxPerHolder, maxTtl, serverEarliestEnd) => ({
        available,
        held,
        sold,
        total,
        maxPerHold,
        maxPerHolder,
        maxTtl,
        serverEarliestEnd,
      }),
      8,
    ),
    repeatable: true,
  };
}

export type HoldStateText = 'held' | 'confirmed' | 'released' | 'expired';

export interface HoldReading {
  readonly id: number;
  readonly state: HoldStateText;
  readonly sku: string;
  /** Units held: 0 once the hold has ended. */
  readonly quantity: number;
  /** Units sold and not returned, and units returned. */
  readonly sold: number;
  readonly returned: number;
  /** Server time of the deadline, or of the end. */
  readonly serverEndsAt: number;
}

const stateTexts = new Map<unknown, HoldStateText>([
  [HoldState.HELD, 'held'],
  [HoldState.CONFIRMED, 'confirmed'],
  [HoldState.RELEASED, 'released'],
  [HoldState.EXPIRED, 'expired'],
]);

export function readHoldRequest(holdId: number): Request<HoldReading> {
  return {
    op: Op.READ_HOLD,
    args: [checkHoldId(holdId)],
    what: named(Op.READ_HOLD, holdId),
    read: ([stateNumber, sku, ...numbers]) => {
      const state = stateTexts.get(stateNumber);
      if (state === undefined || typeof sku !== 'string') return undefined;
      return integers(
        (quantity, sold, returned, serverEndsAt) => ({
          id: holdId,
          state,
          sku,
          quantity,
          sold,
          returned,
          serverEndsAt,
        }),
        4,
      )(numbers);
    },
    repeatable: true,
  };
}

/** Answer: server time in ms since the epoch. */
export function timeRequest(): Request<number> {
  return { op: Op.TIME, args: [], what: 'TIME', read: integers((time) => time, 1), repeatable: true };
}

/** A reader of results that are `count` safe integers. A later server may send more than this SDK knows. */
function integers<T>(
  make: (...values: number[]) => T,
  count: number,
): (results: readonly unknown[]) => T | undefined {
  return (results) => {
    const values = results.slice(0, count);
    if (values.length < count || !values.every(Number.isSafeInteger)) return undefined;
    return make(...(values as number[]));
  };
}

function named(op: number, holdId: number): string {
  return `${opName(op)} of hold ${holdId}`;
}

/** Leaves out what is nil at the end, as the shorter form means the same. */
function trimmed(args: Argument[]): Argument[] {
  while (args.at(-1) === null) args.pop();
  return args;
}
