import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Reason, Status } from '../../protocol/status.ts';
import type { RunningServer } from '../../src/runtime/server.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { startHere } from '../fixtures/server.ts';

let server: RunningServer;
let client: RawClient;

beforeAll(async () => {
  server = await startHere();
  client = await RawClient.connect(server.url, 'alice');
});
afterAll(async () => {
  await client.close();
  await server.stop();
});

function stock(sku: string, total: number, ...settings: unknown[]): Promise<number[]> {
  return client.call(Op.STOCK, sku, StockMode.TOTAL, total, ...settings);
}

async function books(): Promise<Record<string, number>> {
  return (await fetch(`${server.httpUrl}/v1/inspect`)).json() as Promise<Record<string, number>>;
}

describe('commands over a real socket', () => {
  it('begins with a hello that names version, time, level and limits', async () => {
    await client.until(() => client.pushes.length > 0);
    const [push] = client.pushes;
    expect(push?.slice(0, 3)).toEqual([0, 1, 1]);
    expect(Math.abs((push?.[3] as number) - Date.now())).toBeLessThan(60_000);
    expect(push?.[4]).toBe('memory');
    expect(push?.[5]).toMatchObject({ maxFrameBytes: 65_536, segments: 8 });
  });

  it('carries a hold through confirm and return', async () => {
    expect(await stock('life', 10)).toEqual([Status.OK, 10, 0, 0, 10]);
    const [status, hold, endsAt] = await client.call(Op.HOLD, 'life', 4, 60_000);
    expect(status).toBe(Status.OK);
    expect(hold).toBeGreaterThan(2 ** 32);
    expect(await client.call(Op.READ_HOLD, hold)).toEqual([Status.OK, 1, 'life', 4, 0, 0, endsAt]);
    expect(await client.call(Op.CONFIRM, hold, 3)).toEqual([Status.OK, 3]);
    expect(await client.call(Op.CONFIRM, hold)).toEqual([Status.OK, 3]);
    expect(await client.call(Op.RELEASE, hold)).toEqual([Status.CONFIRMED, 3]);
    expect(await client.call(Op.RETURN, hold, 1)).toEqual([Status.OK, 2]);
    expect((await client.call(Op.READ, 'life')).slice(0, 5)).toEqual([Status.OK, 8, 0, 2, 10]);
  });

  it("does not show or touch another holder's hold", async () => {
    await stock('mine', 1);
    const [, hold] = await client.call(Op.HOLD, 'mine', 1, 60_000);
    const mallory = await RawClient.connect(server.url, 'mallory');
    for (const op of [Op.CONFIRM, Op.RELEASE, Op.RETURN, Op.READ_HOLD]) {
      expect(await mallory.call(op, hold)).toEqual([Status.UNKNOWN_HOLD]);
    }
    expect(await mallory.call(Op.EXTEND, hold, 1000)).toEqual([Status.UNKNOWN_HOLD]);
    await mallory.close();
    expect(await client.call(Op.RELEASE, hold)).toEqual([Status.OK, 0]);
  });

  it('lets a hold expire by itself, and sells its unit again', async () => {
    await stock('short', 1);
    const [, first, endsAt] = await client.call(Op.HOLD, 'short', 1, 60);
    expect(await client.call(Op.HOLD, 'short', 1, 60)).toEqual([Status.HELD_OUT, 0, endsAt]);
    await expect.poll(async () => (await books()).openHolds).toBe(0);
    expect(await client.call(Op.CONFIRM, first)).toEqual([Status.EXPIRED, endsAt]);
    expect((await client.call(Op.HOLD, 'short', 1, 60))[0]).toBe(Status.OK);
  });

  it('answers a key as the first time, on another connection too', async () => {
    await stock('keyed', 5);
    const first = await client.call(Op.HOLD, 'keyed', 2, 60_000, 'k1');
    const again = await RawClient.connect(server.url, 'alice');
    expect(await again.call(Op.HOLD, 'keyed', 2, 60_000, 'k1')).toEqual(first);
    expect(await again.call(Op.HOLD, 'keyed', 1, 60_000, 'k1')).toEqual([Status.KEY_CONFLICT, first[1]]);
    await again.close();
    expect((await client.call(Op.READ, 'keyed')).slice(1, 3)).toEqual([3, 2]);
  });

  it('answers every command of a frame, also those it cannot read', async () => {
    await stock('frame', 1000);
    const commands = Array.from({ length: 400 }, (_, i) => [
      Op.HOLD,
      i % 2 === 0 ? 'frame' : 'nothing',
      1,
      1000,
    ]);
    const replies = await client.callAll(commands);
    expect(replies.filter(([status]) => status === Status.OK)).toHaveLength(200);
    expect(replies.filter(([status]) => status === Status.UNKNOWN_SKU)).toHaveLength(200);
  });

  it('takes the array as JSON and answers in JSON, with names where the op was a name', async () => {
    const text = await RawClient.connect(server.url, 'text');
    await stock('json', 3);
    const cases: [string, unknown[]][] = [
      ['["READ",1,"json"]', [1, 'OK', 3, 0, 0, 3, 0, 0, 0, 0]],
      ['[7,2,"json"]', [2, 0, 3, 0, 0, 3, 0, 0, 0, 0]],
      ['["hold",3,"none",1,1000]', [3, 'UNKNOWN_SKU']],
      ['["HOLD",4,"json",0,1000]', [4, 'MALFORMED', 'OUT_OF_BOUNDS', 3]],
      ['["HODL",5,"json"]', [5, 'MALFORMED', 'UNKNOWN_OP', 0]],
      ['{"op":"HOLD"}', [0, 'ERROR', 'MALFORMED', 'NOT_JSON', 0]],
      ['nonsense', [0, 'ERROR', 'MALFORMED', 'NOT_JSON', 0]],
      [`${'['.repeat(5000)}${']'.repeat(5000)}`, [0, 'ERROR', 'MALFORMED', 'NOT_JSON', 0]],
      [`["HOLD",1,${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}]`, [0, 'ERROR', 'MALFORMED', 'NOT_JSON', 0]],
      ['[9007199254740993]', [0, 2, Status.MALFORMED, Reason.WRONG_COUNT, 10]],
    ];
    for (const [send, answer] of cases) {
      const before = text.texts.length;
      text.sendText(send);
      await text.until(() => text.texts.length > before);
      expect(text.texts.at(-1)).toEqual(answer);
    }
    await text.close();
  });

  it('tells the time', async () => {
    const [status, time] = await client.call(Op.TIME);
    expect(status).toBe(Status.OK);
    expect(Math.abs((time as number) - Date.now())).toBeLessThan(60_000);
  });

  it('keeps its books', async () => {
    expect(await books()).toMatchObject({ violations: 0, fenced: 0 });
  });
});

describe('the same over HTTP', () => {
  const json = async (path: string, init?: RequestInit): Promise<[number, Record<string, unknown>]> => {
    const response = await fetch(server.httpUrl + path, init);
    return [response.status, (await response.json()) as Record<string, unknown>];
  };
  const put = (path: string, body: string): ReturnType<typeof json> => json(path, { method: 'PUT', body });
  const post = (path: string, body: string): ReturnType<typeof json> => json(path, { method: 'POST', body });

  it('creates, restocks and shows a SKU with an awkward name', async () => {
    const path = `/v1/skus/${encodeURIComponent('größe 5/6')}`;
    expect(await put(path, '{"total": 7, "maxPerHold": 2}')).toEqual([
      200,
      { sku: 'größe 5/6', available: 7, held: 0, sold: 0, total: 7 },
    ]);
    expect(await post(`${path}/restock`, '{"delta": -3}')).toMatchObject([200, { total: 4 }]);
    expect(await json(path)).toMatchObject([200, { available: 4, maxPerHold: 2, earliestEnd: 0 }]);
    expect((await client.call(Op.READ, 'größe 5/6'))[1]).toBe(4);
  });

  it('shows a hold to its holder only', async () => {
    await stock('shown', 1);
    const [, hold] = await client.call(Op.HOLD, 'shown', 1, 60_000);
    const headers = { 'x-holdfast-holder': 'alice' };
    expect(await json(`/v1/holds/${hold}`, { headers })).toMatchObject([
      200,
      { id: hold, state: 'held', sku: 'shown' },
    ]);
    expect(await json(`/v1/holds/${hold}`)).toMatchObject([404, { code: 'UNKNOWN_HOLD' }]);
  });

  it.each([
    ['unknown SKU', () => json('/v1/skus/none'), 404, 'UNKNOWN_SKU'],
    ['no JSON', () => put('/v1/skus/a', '{'), 400, 'MALFORMED'],
    ['another key', () => put('/v1/skus/a', '{"total":1,"colour":2}'), 400, 'MALFORMED'],
    ['a negative total', () => put('/v1/skus/a', '{"total":-1}'), 400, 'MALFORMED'],
    ['a fraction', () => put('/v1/skus/a', '{"total":1.5}'), 400, 'MALFORMED'],
    ['a long name', () => put(`/v1/skus/${'x'.repeat(65)}`, '{"total":1}'), 400, 'MALFORMED'],
    ['broken escapes', () => json('/v1/skus/%E0%A4%A'), 400, 'MALFORMED'],
    ['broken escapes before a body', () => put('/v1/skus/%zz', '{"total":1}'), 400, 'MALFORMED'],
    ['the same in a restock', () => post('/v1/skus/%ff/restock', '{"delta":1}'), 400, 'MALFORMED'],
    [
      "another site's page",
      () =>
        json('/v1/skus/a', {
          method: 'PUT',
          body: '{"total":1}',
          headers: { origin: 'https://example.com' },
        }),
      403,
      'FORBIDDEN',
    ],
    ['a large body', () => put('/v1/skus/a', `{"total":1${' '.repeat(5000)}}`), 413, 'MALFORMED'],
    ['below what is there', () => post('/v1/skus/fresh/restock', '{"delta":-1}'), 409, 'STOCK_LIMIT'],
    ['no hold id', () => json('/v1/holds/abc'), 400, 'MALFORMED'],
    ['a hold id over the bounds', () => json('/v1/holds/99999999999999999'), 400, 'MALFORMED'],
    ['no such route', () => json('/v2'), 404, 'NOT_FOUND'],
  ])('refuses %s with a problem document', async (_, request, status, code) => {
    const [got, body] = await request();
    expect(body).toMatchObject({ status, code });
    expect(body.detail).toMatch(/\w/);
    expect(got).toBe(status);
  });

  it('tells where time goes', async () => {
    const [status, report] = await json('/v1/stages');
    const threads = report.threads as { name: string }[];
    expect(status).toBe(200);
    expect(report).toMatchObject({ atMs: expect.any(Number), fronts: 1, sampledOneIn: expect.any(Number) });
    expect(threads.map(({ name }) => name)).toEqual(['front-0', 'shard-0', 'shard-1']);
    for (const thread of threads) expect(thread).toMatchObject({ cpuUs: expect.any(Number) });
  });

  it('is alive and ready', async () => {
    expect(await json('/healthz')).toEqual([200, { status: 'ok' }]);
    expect(await json('/readyz')).toEqual([200, { status: 'ready', fencedSegments: [] }]);
  });
});
