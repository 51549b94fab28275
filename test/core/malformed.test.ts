import { describe, expect, it } from 'vitest';
import {
  MAX_HOLD_LIFE_MS,
  MAX_KEY_BYTES,
  MAX_QUANTITY,
  MAX_REPLY_BYTES,
  MAX_SKU_BYTES,
  MAX_TTL_MS,
} from '../../protocol/limits.ts';
import { Op, opName, StockMode } from '../../protocol/ops.ts';
import { Reason, Status } from '../../protocol/status.ts';
import { inspectSegment } from '../../src/core/invariant.ts';
import { type Command, EncodedCaller, makeSegment, T0 } from './fixtures.ts';

const ID = 2 ** 32 + 3 * 2 ** 22;
const { WRONG_TYPE: TYPE, OUT_OF_BOUNDS: BOUNDS } = Reason;

/** What is wrong, with which element of the array: 0 is the op, 1 the request id. */
const MALFORMED: [command: Command, reason: number, element: number][] = [
  [[Op.HOLD, 'pen', 0, 1000], BOUNDS, 3],
  [[Op.HOLD, 'pen', -1, 1000], BOUNDS, 3],
  [[Op.HOLD, 'pen', MAX_QUANTITY + 1, 1000], BOUNDS, 3],
  [[Op.HOLD, 'pen', 2 ** 53, 1000], BOUNDS, 3],
  [[Op.HOLD, 'pen', '1', 1000], TYPE, 3],
  [[Op.HOLD, 'pen', 1.5, 1000], TYPE, 3],
  [[Op.HOLD, 'pen', null, 1000], TYPE, 3],
  [[Op.HOLD, 'pen', [1], 1000], TYPE, 3],
  [[Op.HOLD, 'pen', 1, 0], BOUNDS, 4],
  [[Op.HOLD, 'pen', 1, MAX_TTL_MS + 1], BOUNDS, 4],
  [[Op.HOLD, 'pen', 1, true], TYPE, 4],
  [[Op.HOLD, 'pen', 1, 1000, ''], BOUNDS, 5],
  [[Op.HOLD, 'pen', 1, 1000, 'k'.repeat(MAX_KEY_BYTES + 1)], BOUNDS, 5],
  [[Op.HOLD, 'pen', 1, 1000, Buffer.alloc(MAX_KEY_BYTES + 1)], BOUNDS, 5],
  [[Op.HOLD, 'pen', 1, 1000, Buffer.alloc(0)], BOUNDS, 5],
  [[Op.HOLD, 'pen', 1, 1000, 7], TYPE, 5],
  [[Op.HOLD, 'pen', 1, 1000, {}], TYPE, 5],
  // The first that is wrong is the one that is named.
  [[Op.HOLD, 'pen', 0, 0, ''], BOUNDS, 3],
  [[Op.HOLD, 'pen', 1, 'x', 7], TYPE, 4],
  [[Op.CONFIRM, ID, 0], BOUNDS, 3],
  [[Op.CONFIRM, ID, -1], BOUNDS, 3],
  [[Op.CONFIRM, ID, 'all'], TYPE, 3],
  [[Op.RELEASE, ID, 0], BOUNDS, 3],
  [[Op.RELEASE, ID, 1, 0], BOUNDS, 4],
  [[Op.RELEASE, ID, null, MAX_QUANTITY + 1], BOUNDS, 4],
  [[Op.RELEASE, ID, null, 'x'], TYPE, 4],
  [[Op.RELEASE, ID, 0, 'x'], BOUNDS, 3],
  [[Op.RETURN, ID, 0], BOUNDS, 3],
  [[Op.RETURN, ID, 1, -5], BOUNDS, 4],
  [[Op.EXTEND, ID, 0], BOUNDS, 3],
  [[Op.EXTEND, ID, MAX_TTL_MS + 1], BOUNDS, 3],
  [[Op.EXTEND, ID, null], TYPE, 3],
  [[Op.STOCK, 'pen', 2, 10], BOUNDS, 3],
  [[Op.STOCK, 'pen', -1, 10], BOUNDS, 3],
  [[Op.STOCK, 'pen', null, 10], TYPE, 3],
  [[Op.STOCK, 'pen', StockMode.TOTAL, -1], BOUNDS, 4],
  [[Op.STOCK, 'pen', StockMode.TOTAL, MAX_QUANTITY + 1], BOUNDS, 4],
  [[Op.STOCK, 'pen', StockMode.DELTA, -MAX_QUANTITY - 1], BOUNDS, 4],
  [[Op.STOCK, 'pen', StockMode.DELTA, null], TYPE, 4],
  [[Op.STOCK, 'pen', StockMode.DELTA, 0, -1], BOUNDS, 5],
  [[Op.STOCK, 'pen', StockMode.DELTA, 0, null, -1], BOUNDS, 6],
  [[Op.STOCK, 'pen', StockMode.DELTA, 0, null, 'x'], TYPE, 6],
  [[Op.STOCK, 'pen', StockMode.DELTA, 0, null, null, MAX_TTL_MS + 1], BOUNDS, 7],
  [[Op.STOCK, 'pen', StockMode.DELTA, 0, 1, 1, false], TYPE, 7],
  [[Op.STOCK, 'pen', 'total', 'x'], TYPE, 3],
];

describe('a malformed argument', () => {
  it.each(
    MALFORMED.map(([command, reason, element]) => ({
      name: describeCommand(command),
      command,
      reason,
      element,
    })),
  )('$name is named by its place, and nothing happens', ({ command, reason, element }) => {
    const caller = new EncodedCaller(makeSegment());
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 10], T0);
    expect(caller.send([Op.HOLD, 'pen', 2, 1000], T0)).toEqual([Status.OK, ID, T0 + 1000]);
    const before = Buffer.from(new Uint8Array(caller.segment.memory.u8));
    expect(caller.send(command, T0 + 1)).toEqual([Status.MALFORMED, reason, element]);
    expect(before.equals(caller.segment.memory.u8)).toBe(true);
  });

  it.each([Op.TIME, 0, 11, 127])('op %i, which is none of a segment, is unknown to it', (op) => {
    const caller = new EncodedCaller(makeSegment());
    expect(caller.send([op], T0)).toEqual([Status.MALFORMED, Reason.UNKNOWN_OP, 2]);
  });

  it('that the bytes break off in is TRUNCATED, at every byte', () => {
    const caller = new EncodedCaller(makeSegment());
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 10], T0);
    const commands: Command[] = [
      [Op.HOLD, 'pen', 300, 70_000, 'some key'],
      [Op.RELEASE, ID, 300, 70_000],
      [Op.STOCK, 'pen', StockMode.DELTA, 300, 70_000, 70_000, 70_000],
    ];
    for (const command of commands) {
      const cut = caller.sendCut(command, T0);
      expect(cut.length).toBeGreaterThan(5);
      for (const reply of cut) expect(reply.slice(0, 2)).toEqual([Status.MALFORMED, Reason.TRUNCATED]);
    }
    expect(inspectSegment(caller.segment)).toMatchObject({ available: 10, openHolds: 0, violations: [] });
  });
});

describe('arguments at their bounds', () => {
  it('are taken', () => {
    const caller = new EncodedCaller(makeSegment({ maxHoldLifeMs: MAX_HOLD_LIFE_MS }));
    const sku = 's'.repeat(MAX_SKU_BYTES);
    const key = 'k'.repeat(MAX_KEY_BYTES);
    const limits = [MAX_QUANTITY, MAX_QUANTITY, MAX_TTL_MS];
    const stock = [Op.STOCK, sku, StockMode.DELTA, MAX_QUANTITY, ...limits] as Command;
    expect(caller.send(stock, T0)).toEqual([Status.OK, MAX_QUANTITY, 0, 0, MAX_QUANTITY]);
    const hold = [Op.HOLD, sku, MAX_QUANTITY, MAX_TTL_MS, key] as Command;
    const [status, id, end] = caller.send(hold, T0);
    expect([status, end]).toEqual([Status.OK, T0 + MAX_TTL_MS]);
    expect(caller.send([Op.EXTEND, id, MAX_TTL_MS], T0 + 1)).toEqual([Status.OK, T0 + 1 + MAX_TTL_MS]);
    expect(caller.send([Op.RELEASE, id, 1, MAX_QUANTITY], T0 + 2)).toEqual([Status.OK, MAX_QUANTITY - 1]);
    expect(caller.send([Op.CONFIRM, id, MAX_QUANTITY - 1], T0 + 2)).toEqual([Status.OK, MAX_QUANTITY - 1]);
    expect(caller.send([Op.STOCK, sku, StockMode.DELTA, -1], T0 + 2)[0]).toBe(Status.OK);
    expect(caller.send([Op.RETURN, id, 1, MAX_QUANTITY - 1], T0 + 2)).toEqual([Status.OK, MAX_QUANTITY - 2]);
  });

  it('make no reply longer than a reply may be', () => {
    const caller = new EncodedCaller(makeSegment({ number: 1023 }));
    const sku = 's'.repeat(MAX_SKU_BYTES);
    caller.requestId = Number.MAX_SAFE_INTEGER - 10;
    caller.send([Op.STOCK, sku, StockMode.TOTAL, MAX_QUANTITY], T0);
    const [, id] = caller.send([Op.HOLD, sku, MAX_QUANTITY, 1000], T0);
    caller.send([Op.CONFIRM, id], T0);
    caller.send([Op.RETURN, id, 2 ** 30], T0);
    caller.send([Op.READ_HOLD, id], T0);
    expect(caller.writer.pos).toBeGreaterThan(1 + 9 + MAX_SKU_BYTES);
    expect(caller.writer.pos).toBeLessThanOrEqual(MAX_REPLY_BYTES);
  });
});

function describeCommand([op, ...args]: Command): string {
  return [opName(op), ...args.map((arg) => JSON.stringify(arg)?.slice(0, 20))].join(' ');
}
