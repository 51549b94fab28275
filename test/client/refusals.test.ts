import { describe, expect, it } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { AuthReason, Layer, Scope, STATUS_COUNT, Status, statusName } from '../../protocol/status.ts';
import { clientAndServer, errorOf } from './fixtures/client.ts';
import { agree, u64 } from './fixtures/wire.ts';

const endedAt = 1_700_000_000_123;

/** Results on the wire, and what they become. Times are checked apart, as they are moved to the local clock. */
const table: [status: number, results: unknown[], details: object, words: string][] = [
  [
    Status.MALFORMED,
    [6, 3],
    { reason: 'OUT_OF_BOUNDS', argument: 'quantity' },
    'could not read quantity (OUT_OF_BOUNDS)',
  ],
  [Status.BUSY, [25, Layer.WORKER_QUEUE], { retryAfterMs: 25, layer: 'WORKER_QUEUE' }, 'Try again in 25 ms'],
  [
    Status.UNAUTHENTICATED,
    [AuthReason.EXPIRED],
    { reason: 'EXPIRED' },
    'no valid token of this client (EXPIRED)',
  ],
  [Status.FORBIDDEN, [Scope.STOCK], { scope: 'stock' }, 'takes the scope stock'],
  [
    Status.RATE_LIMITED,
    [40, Layer.HOLDER_RATE],
    { retryAfterMs: 40, layer: 'HOLDER_RATE' },
    'over a limit (HOLDER_RATE)',
  ],
  [Status.UNAVAILABLE, [40], { retryAfterMs: 40 }, 'Try again in 40 ms'],
  [Status.UNAVAILABLE, [0], { retryAfterMs: 0 }, 'waiting does not help'],
  [Status.UNKNOWN_SKU, [], {}, 'never stocked'],
  [Status.UNKNOWN_HOLD, [], {}, 'no such hold'],
  [Status.KEY_CONFLICT, [u64(2 ** 40)], { holdId: 2 ** 40 }, `hold ${2 ** 40}`],
  [Status.HOLD_LIMIT, [4], { limit: 4 }, 'at most 4 units'],
  [Status.TTL_LIMIT, [60_000], { limitMs: 60_000 }, '60000 ms'],
  [Status.HOLDER_LIMIT, [6, 4], { limit: 6, counted: 4 }, 'has 4 already. Ask for at most 2'],
  [Status.SOLD_OUT, [1], { available: 1 }, '1 available'],
  [Status.HELD_OUT, [1, u64(endedAt)], { available: 1, retryAt: expect.any(Number) }, 'try again then'],
  [Status.CONFIRMED, [3], { sold: 3 }, '3 units are sold'],
  [Status.RELEASED, [u64(endedAt)], { endedAt: expect.any(Number) }, 'was released at 20'],
  [Status.EXPIRED, [u64(endedAt)], { endedAt: expect.any(Number) }, 'expired at 20'],
  [Status.NOT_CONFIRMED, [], {}, 'Release it instead'],
  [Status.EXCEEDS_HOLD, [2], { quantity: 2 }, 'has 2 units'],
  [Status.CHANGED, [2], { quantity: 2 }, 'has 2 units'],
  [Status.LIFE_LIMIT, [u64(endedAt)], { limitAt: expect.any(Number) }, 'can last until 20'],
  [
    Status.STOCK_LIMIT,
    [1, 2, 3, 6],
    { available: 1, held: 2, sold: 3, total: 6 },
    'of 6 units 2 are held and 3 sold',
  ],
  [Status.SKU_CAPACITY, [], {}, 'no room for more SKUs'],
  [Status.HOLD_CAPACITY, [], {}, 'no room for more open holds'],
  [Status.KEY_CAPACITY, [], {}, 'no room for more idempotency keys'],
  [Status.HOLDER_CAPACITY, [], {}, 'no room for more holders'],
  [Status.UNKNOWN_OUTCOME, [], {}, 'it happened or it did not'],
];

describe('a refusal', () => {
  it.each(table)('of status %i becomes a typed error', async (status, results, details, words) => {
    const { client } = await clientAndServer(
      { answer: (command) => (command[0] === Op.HOLD ? [command[1], status, ...results] : agree(command)) },
      { retryBusy: false },
    );
    const error = await errorOf(client.hold({ sku: 'sku-1', quantity: 3, ttl: 1_000 }));
    expect(error).toMatchObject({ name: 'HoldfastError', code: statusName(status) });
    expect(error.details).toEqual(details);
    expect(error.message).toContain(`HOLD of 3 x "sku-1" was refused, ${statusName(status)}: `);
    expect(error.message).toContain(words);
    expect(error.message).not.toContain('undefined');
  });

  it('is known for every status', () => {
    const covered = new Set(table.map(([status]) => status));
    expect(covered.size).toBe(STATUS_COUNT - 1);
  });

  it('carries times by the local clock', async () => {
    const { client } = await clientAndServer({
      greeting: [[0, 1, 1, u64(Date.now() + 3_600_000), 'memory', {}]],
      answer: ([op, id]) =>
        op === Op.CONFIRM ? [id, Status.EXPIRED, u64(Date.now() + 3_500_000)] : undefined,
    });
    const { details } = await errorOf(client.confirm(7));
    const ago = Date.now() - (details as { endedAt: number }).endedAt;
    expect(Math.abs(ago - 100_000)).toBeLessThan(90_000);
  });

  it('of a status that the SDK does not know is a PROTOCOL error of this call alone', async () => {
    const { client } = await clientAndServer({
      answer: (command) => (command[0] === Op.CONFIRM ? [command[1], 99, 1] : agree(command)),
    });
    expect(await errorOf(client.confirm(7))).toMatchObject({ code: 'PROTOCOL', details: { status: 99 } });
    expect((await client.read('s')).total).toBe(10);
  });
});
