import { describe, expect, it } from 'vitest';
import { MAX_QUANTITY, MAX_TTL_MS } from '../../protocol/limits.ts';
import { Op } from '../../protocol/ops.ts';
import type { Client } from '../../src/client/index.ts';
import { clientAndServer, errorOf } from './fixtures/client.ts';
import { HOLD_ID } from './fixtures/wire.ts';

const key = 'key-1';
const id = HOLD_ID;

describe('what a call sends', () => {
  const calls: [string, (client: Client) => Promise<unknown>, unknown[]][] = [
    ['hold', (c) => c.hold({ sku: 'sku-1', ttl: 30_000, key }), [Op.HOLD, 'sku-1', 1, 30_000, key]],
    [
      'hold of several',
      (c) => c.hold({ sku: 'é', quantity: MAX_QUANTITY, ttl: 1, key }),
      [Op.HOLD, 'é', MAX_QUANTITY, 1, key],
    ],
    ['confirm', (c) => c.confirm(id), [Op.CONFIRM, id]],
    ['confirm of a part', (c) => c.confirm(id, 2), [Op.CONFIRM, id, 2]],
    ['release', (c) => c.release(id), [Op.RELEASE, id]],
    ['release of a part', (c) => c.release(id, 2), [Op.RELEASE, id, 2]],
    ['release of a part of what is known', (c) => c.release(id, 2, 5), [Op.RELEASE, id, 2, 5]],
    ['extend', (c) => c.extend(id, MAX_TTL_MS), [Op.EXTEND, id, MAX_TTL_MS]],
    ['returnStock', (c) => c.returnStock(id), [Op.RETURN, id]],
    ['returnStock of a part', (c) => c.returnStock(id, 1, 3), [Op.RETURN, id, 1, 3]],
    ['stock to a total', (c) => c.stock({ sku: 's', total: 10 }), [Op.STOCK, 's', 1, 10]],
    ['stock by a delta', (c) => c.stock({ sku: 's', delta: -3 }), [Op.STOCK, 's', 0, -3]],
    [
      'stock with settings only',
      (c) => c.stock({ sku: 's', maxPerHolder: 4 }),
      [Op.STOCK, 's', 0, 0, null, 4],
    ],
    [
      'stock with all settings',
      (c) => c.stock({ sku: 's', total: 0, maxPerHold: 1, maxPerHolder: 0, maxTtl: 60_000 }),
      [Op.STOCK, 's', 1, 0, 1, 0, 60_000],
    ],
    ['read', (c) => c.read('s'), [Op.READ, 's']],
    ['readHold', (c) => c.readHold(id), [Op.READ_HOLD, id]],
  ];

  it.each(calls)('%s', async (_name, call, [op, ...args]) => {
    const { client, server } = await clientAndServer();
    await call(client);
    const [command] = server.connections[0].commands;
    expect(command).toEqual([op, expect.any(Number), ...args]);
  });

  it('hold without a key: 16 bytes that are different for each call', async () => {
    const { client, server } = await clientAndServer();
    await Promise.all([client.hold({ sku: 's', ttl: 1 }), client.hold({ sku: 's', ttl: 1 })]);
    const [first, second] = server.connections[0].commands.map((command) => command[5] as Uint8Array);
    expect([first.length, second.length]).toEqual([16, 16]);
    expect(first).not.toEqual(second);
  });

  it('hold with a binary key: these bytes as they were at the call', async () => {
    const { client, server } = await clientAndServer();
    const bytes = Uint8Array.of(1, 2, 255);
    const held = client.hold({ sku: 's', ttl: 1, key: bytes });
    bytes.fill(0);
    await held;
    expect([...(server.connections[0].commands[0][5] as Uint8Array)]).toEqual([1, 2, 255]);
  });
});

describe('what a call resolves to', () => {
  it('read: the books, the limits, and the earliest end on both clocks', async () => {
    const { client } = await clientAndServer();
    const reading = await client.read('s');
    expect(reading).toEqual({
      available: 5,
      held: 3,
      sold: 2,
      total: 10,
      maxPerHold: 4,
      maxPerHolder: 6,
      maxTtl: 60_000,
      earliestEnd: expect.any(Number),
      serverEarliestEnd: expect.any(Number),
    });
  });

  it('read of a SKU without open holds: no earliest end', async () => {
    const { client } = await clientAndServer({
      answer: ([op, request]) => (op === Op.READ ? [request, 0, 1, 0, 0, 1, 0, 0, 0, 0] : undefined),
    });
    expect(await client.read('s')).not.toHaveProperty('earliestEnd');
  });

  it.each([
    [1, 'held'],
    [2, 'confirmed'],
    [3, 'released'],
    [4, 'expired'],
  ])('readHold of state %i: %s', async (state, text) => {
    const { client } = await clientAndServer({
      answer: ([op, request]) =>
        op === Op.READ_HOLD ? [request, 0, state, 's', 3, 2, 1, 5_000n] : undefined,
    });
    const expected = { id, state: text, sku: 's', quantity: 3, sold: 2, returned: 1, serverEndsAt: 5_000 };
    expect(await client.readHold(id)).toEqual({ ...expected, endsAt: expect.any(Number) });
  });

  it('stock, confirm, extend, time', async () => {
    const { client } = await clientAndServer();
    expect(await client.stock({ sku: 's', total: 9 })).toEqual({ available: 9, held: 0, sold: 0, total: 9 });
    expect(await client.confirm(id, 2)).toBe(2);
    expect(await client.extend(id, 500)).toEqual({
      expiresAt: expect.any(Number),
      serverExpiresAt: expect.any(Number),
    });
    expect(Math.abs((await client.time()) - Date.now())).toBeLessThan(60_000);
  });

  it('ignores results behind those that it knows', async () => {
    const { client } = await clientAndServer({
      answer: ([op, request]) => (op === Op.CONFIRM ? [request, 0, 3, 'of a later version'] : undefined),
    });
    expect(await client.confirm(id)).toBe(3);
  });
});

describe('a value that no server can take', () => {
  const wrong: [string, (client: Client) => Promise<unknown>, string][] = [
    ['an empty SKU', (c) => c.hold({ sku: '', ttl: 1 }), 'sku'],
    ['a SKU of 65 bytes', (c) => c.read(`${'x'.repeat(63)}é`), 'sku'],
    ['a SKU of a megabyte', (c) => c.read('x'.repeat(2 ** 20)), 'sku'],
    ['a SKU that is no text', (c) => c.read(7 as never), 'sku'],
    ['no units', (c) => c.hold({ sku: 's', quantity: 0, ttl: 1 }), 'quantity'],
    ['half a unit', (c) => c.hold({ sku: 's', quantity: 0.5, ttl: 1 }), 'quantity'],
    ['2^31 units', (c) => c.confirm(id, 2 ** 31), 'quantity'],
    ['no time to live', (c) => c.hold({ sku: 's', ttl: 0 }), 'ttl'],
    ['a missing time to live', (c) => c.hold({ sku: 's' } as never), 'ttl'],
    ['more than a day', (c) => c.extend(id, MAX_TTL_MS + 1), 'ttl'],
    ['an empty key', (c) => c.hold({ sku: 's', ttl: 1, key: '' }), 'key'],
    ['a key of 65 bytes', (c) => c.hold({ sku: 's', ttl: 1, key: new Uint8Array(65) }), 'key'],
    ['a key that is a number', (c) => c.hold({ sku: 's', ttl: 1, key: 5 as never }), 'key'],
    ['a hold id that is text', (c) => c.confirm('7' as never), 'hold id'],
    ['a hold id beyond safe integers', (c) => c.release(2 ** 53), 'hold id'],
    ['a total and a delta', (c) => c.stock({ sku: 's', total: 1, delta: 1 }), 'total'],
    ['a negative total', (c) => c.stock({ sku: 's', total: -1 }), 'total'],
    ['a negative limit', (c) => c.stock({ sku: 's', maxPerHold: -1 }), 'maxPerHold'],
    ['a part of no hold', (c) => c.release(id, 1, 0), 'of'],
  ];

  it.each(wrong)('%s is MALFORMED and not sent', async (_name, call, argument) => {
    const { client, server } = await clientAndServer();
    const error = await errorOf(call(client));
    expect(error).toMatchObject({
      name: 'HoldfastError',
      code: 'MALFORMED',
      details: { argument, sent: false },
    });
    expect(error.message).toContain(`${argument} is `);
    await client.read('the next one works');
    expect(server.connections[0].commands).toHaveLength(1);
  });
});
