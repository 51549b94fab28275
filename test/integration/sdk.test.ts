import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { MAX_TTL_MS } from '../../protocol/limits.ts';
import { type Client, type ConnectOptions, connect, type Hold } from '../../src/client/index.ts';
import { errorOf } from '../client/fixtures/client.ts';
import { type FaultyNetwork, startFaultyNetwork } from '../client/fixtures/faulty-network.ts';
import { startServer } from '../fixtures/server.ts';

let server: Awaited<ReturnType<typeof startServer>>;
let skus = 0;

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.stop());

async function client(options: ConnectOptions = {}, url = server.url): Promise<Client> {
  const connected = await connect(url, { timeoutMs: 60_000, ...options });
  onTestFinished(() => connected.close());
  return connected;
}

interface Connected {
  client: Client;
  network: FaultyNetwork;
}

async function overFaultyNetwork(): Promise<Connected> {
  const network = await startFaultyNetwork(server.port);
  onTestFinished(() => network.close());
  return { client: await client({ reconnect: { initialMs: 1 } }, network.url), network };
}

/** A SKU that no other test has. */
async function freshSku(total: number, settings: object = {}): Promise<string> {
  const stocking = await client({ holder: 'the shop' });
  const sku = `sdk-${skus++}`;
  await stocking.stock({ sku, total, ...settings });
  return sku;
}

describe('the SDK and the server', () => {
  it('agree on the life of a hold', async () => {
    const buyer = await client({ holder: 'anna' });
    const sku = await freshSku(10, { maxPerHold: 5, maxPerHolder: 8, maxTtl: 60_000 });
    const hold = await buyer.hold({ sku, quantity: 5, ttl: 30_000 });
    const extended = await hold.extend(50_000);
    expect(extended.serverExpiresAt).toBe(hold.serverExpiresAt);
    expect(Math.abs(hold.expiresAt - Date.now() - 50_000)).toBeLessThan(40_000);
    expect(await hold.release(1)).toBe(4);
    expect(await buyer.readHold(hold.id)).toMatchObject({
      state: 'held',
      sku,
      quantity: 4,
      sold: 0,
      serverEndsAt: hold.serverExpiresAt,
    });
    expect(await buyer.read(sku)).toMatchObject({
      ...{ available: 6, held: 4, sold: 0, total: 10 },
      ...{ maxPerHold: 5, maxPerHolder: 8, maxTtl: 60_000, serverEarliestEnd: hold.serverExpiresAt },
    });
    expect(await hold.confirm(3)).toBe(3);
    expect(await hold.confirm()).toBe(3);
    expect(await hold.returnStock(2)).toBe(1);
    expect(await buyer.readHold(hold.id)).toMatchObject({ state: 'confirmed', sold: 1, returned: 2 });
    expect(await hold.returnStock()).toBe(0);
    expect(await buyer.stock({ sku, delta: -4 })).toEqual({ available: 6, held: 0, sold: 0, total: 6 });
  });

  it('agree on the time', async () => {
    const buyer = await client();
    const said = await buyer.time();
    expect(Math.abs(buyer.serverNow() - said)).toBeLessThan(30_000);
  });

  it('sell what there is to thousands of calls of one turn, and not one unit more', async () => {
    const buyer = await client();
    const sku = await freshSku(500);
    const calls = Array.from({ length: 3_000 }, () => buyer.hold({ sku, ttl: 60_000 }));
    const outcomes = await Promise.allSettled(calls);
    const holds = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const codes = new Set(
      outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.code] : [])),
    );
    expect([holds.length, new Set(holds.map(({ id }) => id)).size, ...codes]).toEqual([500, 500, 'HELD_OUT']);
    await Promise.all(holds.map((hold, index) => (index < 200 ? hold.confirm() : hold.release())));
    expect(await buyer.read(sku)).toMatchObject({ available: 300, held: 0, sold: 200, total: 500 });
  });

  it('agree on what a key stands for', async () => {
    const sku = await freshSku(10);
    const request = { sku, quantity: 2, ttl: 30_000, key: 'order-1' };
    const first = await (await client({ holder: 'anna' })).hold(request);
    const anna = await client({ holder: 'anna' });
    const second = await anna.hold({ ...request, key: new TextEncoder().encode('order-1') });
    expect([second.id, second.serverExpiresAt]).toEqual([first.id, first.serverExpiresAt]);
    const conflict = await errorOf(anna.hold({ ...request, quantity: 3 }));
    expect(conflict).toMatchObject({ code: 'KEY_CONFLICT', details: { holdId: first.id } });
    expect((await (await client({ holder: 'berta' })).hold(request)).id).not.toBe(first.id);
    expect((await anna.read(sku)).held).toBe(4);
  });
});

describe('a refusal by the server', () => {
  /** Each in a SKU of 10 units: at most 5 a hold, 8 a holder, 60 s. */
  const refusals: [string, (buyer: Client, sku: string) => Promise<unknown>, object][] = [
    ['UNKNOWN_SKU', (c) => c.read('never stocked'), {}],
    ['UNKNOWN_HOLD', (c) => c.confirm(2 ** 40), {}],
    ['HOLD_LIMIT', (c, sku) => c.hold({ sku, quantity: 6, ttl: 1 }), { limit: 5 }],
    ['TTL_LIMIT', (c, sku) => c.hold({ sku, ttl: MAX_TTL_MS }), { limitMs: 60_000 }],
    [
      'HOLDER_LIMIT',
      async (c, sku) => {
        await c.hold({ sku, quantity: 5, ttl: 60_000 });
        await c.hold({ sku, quantity: 4, ttl: 60_000 });
      },
      { limit: 8, counted: 5 },
    ],
    [
      'SOLD_OUT',
      async (c, sku) => {
        await c.stock({ sku, total: 2 });
        await c.hold({ sku, quantity: 3, ttl: 60_000 });
      },
      { available: 2 },
    ],
    [
      'HELD_OUT',
      async (c, sku) => {
        await c.stock({ sku, total: 2 });
        await c.hold({ sku, quantity: 1, ttl: 60_000 });
        await c.hold({ sku, quantity: 2, ttl: 60_000 });
      },
      { available: 1, retryAt: expect.any(Number) },
    ],
    ['CONFIRMED', withHold(3, async (hold) => [await hold.confirm(), await hold.release()]), { sold: 3 }],
    [
      'RELEASED',
      withHold(3, async (hold) => [await hold.release(), await hold.confirm()]),
      { endedAt: expect.any(Number) },
    ],
    [
      'EXPIRED',
      async (c, sku) => {
        const hold = await c.hold({ sku, ttl: 1 });
        await expect.poll(async () => (await c.readHold(hold.id)).state).toBe('expired');
        await hold.confirm();
      },
      { endedAt: expect.any(Number) },
    ],
    ['NOT_CONFIRMED', withHold(1, (hold) => hold.returnStock()), {}],
    ['EXCEEDS_HOLD', withHold(2, (hold) => hold.confirm(3)), { quantity: 2 }],
    [
      'CHANGED',
      withHold(5, async (hold, c) => [await c.release(hold.id, 2), await hold.release(1)]),
      { quantity: 3 },
    ],
    ['STOCK_LIMIT', (c, sku) => c.stock({ sku, delta: -11 }), { available: 10, held: 0, sold: 0, total: 10 }],
  ];

  it.each(refusals)('%s has its details', async (code, provoke, details) => {
    const sku = await freshSku(10, { maxPerHold: 5, maxPerHolder: 8, maxTtl: 60_000 });
    const error = await errorOf(provoke(await client(), sku));
    expect(error).toMatchObject({ code });
    expect(error.details).toEqual(details);
  });

  function withHold(quantity: number, work: (hold: Hold, buyer: Client) => Promise<unknown>) {
    return async (buyer: Client, sku: string) =>
      work(await buyer.hold({ sku, quantity, ttl: 60_000 }), buyer);
  }
});

describe('a connection that is lost before the answer', () => {
  /** Calls while the server cannot be heard, cuts once it has answered, and gives the outcome. */
  async function cutBeforeAnswer<T>({ client, network }: Connected, call: () => Promise<T>) {
    // So that no earlier answer is taken for the one that is waited for.
    await client.time();
    network.muteServer();
    const outcome = Promise.allSettled([call()]);
    await expect.poll(() => network.waitingBytes()).toBeGreaterThan(0);
    network.cut();
    return (await outcome)[0];
  }

  it('does not place a hold twice', async () => {
    const connected = await overFaultyNetwork();
    const buyer = connected.client;
    const sku = await freshSku(10);
    const outcome = await cutBeforeAnswer(connected, () => buyer.hold({ sku, quantity: 3, ttl: 60_000 }));
    expect(outcome.status).toBe('fulfilled');
    expect(await buyer.read(sku)).toMatchObject({ available: 7, held: 3 });
  });

  it('does not confirm, release or return twice', async () => {
    const connected = await overFaultyNetwork();
    const buyer = connected.client;
    const sku = await freshSku(10);
    const hold = await buyer.hold({ sku, quantity: 5, ttl: 60_000 });
    expect(await cutBeforeAnswer(connected, () => hold.release(1))).toMatchObject({ value: 4 });
    expect(await cutBeforeAnswer(connected, () => hold.confirm(3))).toMatchObject({ value: 3 });
    expect(await cutBeforeAnswer(connected, () => hold.returnStock(1))).toMatchObject({ value: 2 });
    expect(await cutBeforeAnswer(connected, () => hold.returnStock())).toMatchObject({ value: 0 });
    const other = await buyer.hold({ sku, quantity: 5, ttl: 60_000 });
    expect(await cutBeforeAnswer(connected, () => other.extend(90_000))).toMatchObject({
      status: 'fulfilled',
    });
    expect(await cutBeforeAnswer(connected, () => other.release())).toMatchObject({ value: 0 });
    expect(await buyer.read(sku)).toMatchObject({ available: 10, held: 0, sold: 0, total: 10 });
  });

  it('does not add stock twice, and says that it cannot know', async () => {
    const connected = await overFaultyNetwork();
    const shop = connected.client;
    const sku = await freshSku(10);
    const outcome = await cutBeforeAnswer(connected, () => shop.stock({ sku, delta: 5 }));
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'UNKNOWN_OUTCOME' } });
    expect((await shop.read(sku)).total).toBe(15);
  });
});

describe('a hold that is aborted on its way', () => {
  it('holds nothing once its late answer is there', async () => {
    const { client: buyer, network } = await overFaultyNetwork();
    const sku = await freshSku(10);
    const controller = new AbortController();
    await buyer.time();
    network.muteServer();
    const outcome = errorOf(buyer.hold({ sku, quantity: 4, ttl: 60_000, signal: controller.signal }));
    await expect.poll(() => network.waitingBytes()).toBeGreaterThan(0);
    controller.abort();
    expect(await outcome).toMatchObject({ code: 'ABORTED', details: { sent: true } });
    const watcher = await client();
    expect((await watcher.read(sku)).held).toBe(4);
    network.unmuteServer();
    await expect.poll(async () => (await watcher.read(sku)).held).toBe(0);
  });
});

describe('a server that stops', () => {
  it('is replaced by the one that comes after it at the same address', async () => {
    const first = await startServer();
    const network = await startFaultyNetwork(first.port);
    onTestFinished(() => network.close());
    const shop = await client({}, network.url);
    const states: unknown[] = [];
    shop.onStateChange((state, error) => states.push([state, error?.details.closeCode]));
    await shop.stock({ sku: 'moved', total: 5 });
    await first.stop();
    await expect.poll(() => shop.state).toBe('connecting');
    const stocked = shop.stock({ sku: 'moved', total: 7 });
    const second = await startServer();
    onTestFinished(async () => {
      await second.stop();
    });
    network.moveTo(second.port);
    expect(await stocked).toMatchObject({ total: 7 });
    expect(states).toEqual([
      ['connecting', 1001],
      ['open', undefined],
    ]);
  });
});
