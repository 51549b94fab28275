import { createConnection } from 'node:net';
import { Packr } from 'msgpackr';
import { afterEach, describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { type ServerProcess, startServer } from '../fixtures/server.ts';

let server: ServerProcess | undefined;

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function books(): Promise<Record<string, number>> {
  return (await fetch(`${server?.httpUrl}/v1/inspect`)).json() as Promise<Record<string, number>>;
}

async function stocked(
  settings: Parameters<typeof startServer>[0],
  sku: string,
  total: number,
  ...limits: number[]
): Promise<string> {
  server = await startServer(settings);
  const client = await RawClient.connect(server.url);
  expect((await client.call(Op.STOCK, sku, StockMode.TOTAL, total, ...limits))[0]).toBe(Status.OK);
  await client.close();
  return server.url;
}

function connectAll(url: string, count: number): Promise<RawClient[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => RawClient.connect(url, `buyer-${i}`)));
}

describe('a flash sale over real sockets', () => {
  it('sells 500 units to ten thousand buyers, each once, and refuses the rest', async () => {
    const url = await stocked({}, 'console', 500);
    const buyers = await connectAll(url, 500);
    const perConnection = 20;
    const results = await Promise.all(
      buyers.map((buyer) =>
        buyer.callAll(Array.from({ length: perConnection }, () => [Op.HOLD, 'console', 1, 60_000])),
      ),
    );
    const statuses = results.flat().map(([status]) => status as number);
    expect(statuses).toHaveLength(10_000);
    expect(statuses.filter((status) => status === Status.OK)).toHaveLength(500);
    expect(statuses.filter((status) => status === Status.HELD_OUT)).toHaveLength(9500);
    const ids = results.flat().flatMap(([status, id]) => (status === Status.OK ? [id] : []));
    expect(new Set(ids).size).toBe(500);
    const confirmed = await Promise.all(
      buyers.map((buyer, i) =>
        buyer.callAll(
          (results[i] ?? []).filter(([status]) => status === Status.OK).map(([, id]) => [Op.CONFIRM, id]),
        ),
      ),
    );
    expect(confirmed.flat().every(([status, sold]) => status === Status.OK && sold === 1)).toBe(true);
    expect((await buyers[0]?.callAll([[Op.HOLD, 'console', 1, 1000]]))?.[0]).toEqual([Status.SOLD_OUT, 0]);
    expect(await books()).toMatchObject({ available: 0, held: 0, sold: 500, total: 500, violations: 0 });
    await Promise.all(buyers.map((buyer) => buyer.close()));
  });

  it('serves first come, first served: holds of one frame go to its first commands', async () => {
    const url = await stocked({}, 'queue', 7);
    const client = await RawClient.connect(url);
    const replies = await client.callAll(Array.from({ length: 20 }, () => [Op.HOLD, 'queue', 1, 60_000]));
    expect(replies.map(([status]) => status === Status.OK)).toEqual(
      Array.from({ length: 20 }, (_, i) => i < 7),
    );
    await client.close();
  });

  it('keeps a hoarder within the limits per hold and per holder, over many connections', async () => {
    const url = await stocked({}, 'limited', 1000, 2, 4);
    const hoarders = await Promise.all(Array.from({ length: 20 }, () => RawClient.connect(url, 'hoarder')));
    const replies = (
      await Promise.all(
        hoarders.map((hoarder) =>
          hoarder.callAll([
            [Op.HOLD, 'limited', 2, 60_000],
            [Op.HOLD, 'limited', 3, 60_000],
          ]),
        ),
      )
    ).flat();
    expect(replies.filter(([status]) => status === Status.OK)).toHaveLength(2);
    expect(replies.filter(([status]) => status === Status.HOLDER_LIMIT)).toHaveLength(18);
    expect(replies.filter(([status]) => status === Status.HOLD_LIMIT)).toHaveLength(20);
    await Promise.all(hoarders.map((hoarder) => hoarder.close()));
  });

  it('refuses by status when a table is full, and goes on', async () => {
    const url = await stocked(
      { segments: 1, workers: 1, holdsPerSegment: 64, keysPerSegment: 16, skusPerSegment: 16 },
      'full',
      1000,
    );
    const client = await RawClient.connect(url);
    const skus = await client.callAll(
      Array.from({ length: 20 }, (_, i) => [Op.STOCK, `sku-${i}`, StockMode.TOTAL, 1]),
    );
    expect(skus.filter(([status]) => status === Status.SKU_CAPACITY)).toHaveLength(5);
    const keyed = await client.callAll(
      Array.from({ length: 20 }, (_, i) => [Op.HOLD, 'full', 1, 60_000, `key-${i}`]),
    );
    expect(keyed.filter(([status]) => status === Status.KEY_CAPACITY)).toHaveLength(4);
    const holds = await client.callAll(Array.from({ length: 60 }, () => [Op.HOLD, 'full', 1, 60_000]));
    expect(holds.filter(([status]) => status === Status.OK)).toHaveLength(48);
    expect(holds.at(-1)).toEqual([Status.HOLD_CAPACITY]);
    expect(await client.call(Op.RELEASE, holds[0]?.[1])).toEqual([Status.OK, 0]);
    expect((await client.call(Op.HOLD, 'full', 1, 60_000))[0]).toBe(Status.OK);
    expect(await books()).toMatchObject({ violations: 0, openHolds: 64 });
    await client.close();
  });

  it('answers BUSY with a time to wait when a ring is full, and nothing happened', async () => {
    const url = await stocked(
      { workers: 1, segments: 1, commandRingBytes: 65_536, replyRingBytes: 65_536, borrow: 'off' },
      'ring',
      1_000_000,
    );
    const clients = await connectAll(url, 20);
    const replies = (
      await Promise.all(
        clients.map((client) =>
          client.callAll(Array.from({ length: 3000 }, () => [Op.HOLD, 'ring', 1, 60_000])),
        ),
      )
    ).flat();
    const busy = replies.filter(([status]) => status === Status.BUSY);
    expect(busy.length).toBeGreaterThan(0);
    expect(busy[0]?.[1]).toBeGreaterThan(0);
    const held = replies.filter(([status]) => status === Status.OK).length;
    expect(held + busy.length).toBe(60_000);
    expect(await books()).toMatchObject({ held, violations: 0 });
    await Promise.all(clients.map((client) => client.close()));
  });
});

describe('clients that behave badly', () => {
  it('closes a reader that does not read, and the others never notice', async () => {
    const url = await stocked({ maxBackpressureBytes: 65_536 }, 'slow', 1_000_000);
    const packr = new Packr({ useRecords: false });
    const read = Uint8Array.from(packr.pack([Op.READ, 1, 'slow']));
    const frame = Buffer.concat(Array.from({ length: 400 }, () => read));
    const socket = createConnection(server?.port as number, '127.0.0.1');
    socket.write(
      'GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    await new Promise<void>((resolve) => socket.once('data', () => resolve()));
    socket.pause();
    const head = Buffer.from([0x82, 0xfe, frame.length >> 8, frame.length & 0xff, 0, 0, 0, 0]);
    const closed = new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.once('error', () => resolve());
    });
    let open = true;
    void closed.then(() => {
      open = false;
    });
    const others = await RawClient.connect(url);
    // Far more answers than socket buffers and limit hold together; never read one.
    for (let i = 0; i < 20_000 && open; i++) {
      if (!socket.write(Buffer.concat([head, frame]))) await new Promise((resolve) => setTimeout(resolve, 1));
      if (i % 500 === 0) expect((await others.call(Op.READ, 'slow'))[0]).toBe(Status.OK);
    }
    socket.resume();
    await closed;
    await others.close();
  });

  it('survives a storm of connections that come and go with commands under way', async () => {
    const url = await stocked({}, 'storm', 100_000);
    for (let wave = 0; wave < 5; wave++) {
      const clients = await connectAll(url, 300);
      for (const client of clients) {
        void client.callAll(Array.from({ length: 10 }, () => [Op.HOLD, 'storm', 1, 100]));
        if (client.replies === 0) client.socket.close();
      }
      await Promise.all(clients.map((client) => client.closed));
    }
    await expect.poll(async () => (await books()).openHolds).toBe(0);
    expect(await books()).toMatchObject({ available: 100_000, held: 0, violations: 0 });
  });
});

describe('SIGTERM under load', () => {
  it('answers what is under way, closes with 1001 and exits with 0', async () => {
    const url = await stocked({}, 'stop', 10_000_000);
    const clients = await connectAll(url, 50);
    let sent = 0;
    let answered = 0;
    const loads = clients.map(async (client) => {
      for (;;) {
        sent += 20;
        const replies = client.callAll(Array.from({ length: 20 }, () => [Op.HOLD, 'stop', 1, 60_000]));
        const done = await Promise.race([replies, client.closed]);
        if (!Array.isArray(done)) {
          // What was sent after the server had stopped reading has no answer; it was not done either.
          return;
        }
        answered += 20;
        if (done.some(([status]) => status === Status.UNAVAILABLE)) return;
      }
    });
    await expect.poll(() => answered).toBeGreaterThan(5000);
    const exit = server?.stop();
    const closes = await Promise.all(clients.map((client) => client.closed));
    await Promise.all(loads);
    expect(closes.every(({ code }) => code === 1001)).toBe(true);
    expect(await exit).toBe(0);
    expect(sent - answered).toBeLessThanOrEqual(50 * 20);
    expect(server?.errors()).toBe('');
  });

  it('exits at once on a second signal', async () => {
    const url = await stocked({ stopTimeoutMs: 60_000 }, 'stop', 10);
    const client = await RawClient.connect(url);
    const child = server?.process;
    child?.kill('SIGTERM');
    child?.kill('SIGINT');
    expect(await server?.stop()).not.toBe(-1);
    await client.closed;
  });
});
