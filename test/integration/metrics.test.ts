import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status, statusName } from '../../protocol/status.ts';
import { FAMILIES, type Family } from '../../src/metrics/families.ts';
import { type ReadFamily, readExposition, sumOf } from '../fixtures/exposition.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { type ServerProcess, startServer } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const FRONTS = 2;
const CLIENTS = 4;
const MOST_SKUS = 6;

const path = tempDir();
let server: ServerProcess;

beforeAll(async () => {
  server = await startServer({
    fronts: FRONTS,
    store: `file:${path('store')}`,
    ack: 'sync',
    metricsSkus: MOST_SKUS,
  });
});
afterAll(() => server.stop());

async function scrape(accept = 'text/plain'): Promise<{ type: string; families: ReadFamily[] }> {
  const response = await fetch(`${server.httpUrl}/metrics`, { headers: { accept } });
  const type = response.headers.get('content-type') ?? '';
  const format = type.startsWith('application/openmetrics-text') ? 'openmetrics' : 'prometheus';
  return { type, families: readExposition(await response.text(), format) };
}

describe('GET /metrics', () => {
  it('counts every command once, by what it was and how it ended, whichever front is asked', async () => {
    const before = (await scrape()).families;
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, (_, i) => RawClient.connect(server.url, `holder-${i}`)),
    );
    const [first] = clients;
    const tally = new Map<string, number>();
    const ask = async (client: RawClient, commands: unknown[][]) => {
      const replies = await client.callAll(commands);
      replies.forEach(([status], i) => {
        const key = `${NAMES[commands[i][0] as number]} ${statusName(status)}`;
        tally.set(key, (tally.get(key) ?? 0) + 1);
      });
      return replies;
    };
    await ask(
      first,
      Array.from({ length: 8 }, (_, i) => [Op.STOCK, `m-${i}`, StockMode.TOTAL, 50]),
    );
    for (const client of clients) {
      const holds = await ask(
        client,
        Array.from({ length: 200 }, (_, i) => [Op.HOLD, `m-${i % 8}`, 1, 60_000]),
      );
      const held = holds.filter(([status]) => status === Status.OK).map(([, id]) => id);
      await ask(
        client,
        held.map((id, i) => [[Op.CONFIRM, Op.RELEASE, Op.READ_HOLD][i % 3], id]),
      );
      await ask(client, [
        [Op.TIME],
        [Op.READ, 'nothing'],
        [Op.INSPECT, 0],
        [Op.EXTEND, 12_345, 1000],
        [Op.HOLD, 'm-0', 'x', 1],
      ]);
    }
    const counted = async () => {
      const after = (await scrape()).families;
      const grown = (key: string) => {
        const [op, status] = key.split(' ');
        const of = (families: ReadFamily[]) =>
          sumOf(families, 'holdfast_commands_total', { source: 'websocket', op, status }) || 0;
        return of(after) - of(before);
      };
      return Object.fromEntries([...tally.keys()].map((key) => [key, grown(key)]));
    };
    // A thread counts what it has done a moment later, in which another may be asked.
    await expect.poll(counted).toEqual(Object.fromEntries(tally));
    expect([...tally.keys()]).toEqual(expect.arrayContaining(['HOLD OK', 'HOLD HELD_OUT', 'HOLD MALFORMED']));
    const sent = [...tally.values()].reduce((sum, count) => sum + count, 0);
    const total = (families: ReadFamily[]) =>
      sumOf(families, 'holdfast_commands_total', { source: 'websocket' });
    expect(total((await scrape()).families) - total(before)).toBe(sent);
    await Promise.all(clients.map((client) => client.close()));
  });

  it('answers in the format that is asked for', async () => {
    expect((await scrape()).type).toBe('text/plain; version=0.0.4; charset=utf-8');
    const open = await scrape('application/openmetrics-text; version=1.0.0');
    expect(open.type).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect(open.families.find(({ name }) => name === 'holdfast_build')?.type).toBe('info');
  });

  it('has all families that there are, with their labels and no others', async () => {
    const told = async () =>
      (await scrape('application/openmetrics-text; version=1.0.0')).families
        .map(({ name, type, samples: [{ labels }] }) => [
          name,
          type,
          Object.keys(labels).filter((label) => label !== 'le'),
        ])
        .sort();
    // Without a certificate there is none whose end could be told.
    const { certificateUntil, ...families } = FAMILIES;
    expect(certificateUntil.labels).toEqual([]);
    const known = (Object.values(families) as Family[]).map(({ name, type, labels }) => [
      name,
      type,
      [...labels],
    ]);
    // Stock is read once a second.
    await expect.poll(told).toEqual(known.sort());
  });

  it('says when the process started, the same each time', async () => {
    const started = async () => sumOf((await scrape()).families, 'process_start_time_seconds');
    const times = await Promise.all(Array.from({ length: 2 * FRONTS }, started));
    expect(new Set(times).size).toBe(1);
    expect(Math.abs(Date.now() / 1000 - times[0])).toBeLessThan(3600);
  });

  it('sees the connections of all fronts, their messages, and what was refused before it was a command', async () => {
    const sums = async () => {
      const { families } = await scrape();
      return {
        unreadable: sumOf(families, 'holdfast_unreadable_total', { reason: 'NOT_JSON' }),
        received: sumOf(families, 'holdfast_messages_received_total'),
        receivedBytes: sumOf(families, 'holdfast_received_bytes_total'),
        sent: sumOf(families, 'holdfast_messages_sent_total'),
        connections: sumOf(families, 'holdfast_connections'),
        accepted: sumOf(families, 'holdfast_connections_accepted_total'),
      };
    };
    const client = await RawClient.connect(server.url);
    await client.until(() => client.pushes.length > 0);
    // Those of the test before are gone.
    await expect.poll(sums).toMatchObject({ connections: 1, accepted: CLIENTS + 1 });
    const before = await sums();
    client.sendText('no json');
    await client.until(() => client.texts.length === 1);
    await expect.poll(sums).toEqual({
      ...before,
      unreadable: before.unreadable + 1,
      received: before.received + 1,
      receivedBytes: before.receivedBytes + 'no json'.length,
      sent: before.sent + 1,
    });
    await client.close();
  });

  it('tells of what is durable, of the tables, and of every thread', async () => {
    const client = await RawClient.connect(server.url);
    const held = (await scrape()).families;
    await client.callAll([
      [Op.STOCK, 'lag', StockMode.TOTAL, 5],
      [Op.HOLD, 'lag', 1, 60_000],
    ]);
    const told = async () => {
      const { families } = await scrape();
      const grown = (name: string) => sumOf(families, name) - sumOf(held, name);
      return {
        changes: [grown('holdfast_changes_total'), grown('holdfast_durable_changes_total')],
        tables: [grown('holdfast_holds_open'), grown('holdfast_skus')],
        lag: [sumOf(families, 'holdfast_durable_lag_changes'), sumOf(families, 'holdfast_durable_lag_bytes')],
        ready: sumOf(families, 'holdfast_server_events_total', { event: 'ready' }),
      };
    };
    await expect.poll(told).toEqual({ changes: [2, 2], tables: [1, 1], lag: [0, 0], ready: 1 });
    for (const thread of ['front-0', 'front-1', 'shard-0', 'shard-1', 'storage']) {
      await expect
        .poll(async () => sumOf((await scrape()).families, 'holdfast_heap_used_bytes', { thread }))
        .toBeGreaterThan(0);
    }
    const delays = { thread: 'front-1' };
    await expect
      .poll(async () => sumOf((await scrape()).families, 'holdfast_loop_delay_seconds_count', delays))
      .toBeGreaterThan(0);
    await client.close();
  });
});

describe('the stock of SKUs', () => {
  it('is told of those that are asked for most, as READ tells it', async () => {
    const client = await RawClient.connect(server.url);
    await client.callAll([
      [Op.STOCK, 'hot "1"', StockMode.TOTAL, 10],
      ...Array.from({ length: 400 }, () => [Op.HOLD, 'hot "1"', 1, 60_000]),
      ...Array.from({ length: 10 }, (_, i) => [Op.READ, `never stocked ${i}`]),
    ]);
    const units = (families: ReadFamily[], state: string) =>
      sumOf(families, 'holdfast_sku_units', { sku: 'hot "1"', state });
    await expect.poll(async () => units((await scrape()).families, 'held')).toBe(10);
    const { families } = await scrape();
    expect([units(families, 'available'), units(families, 'sold')]).toEqual([0, 0]);
    expect(sumOf(families, 'holdfast_sku_share_ratio', { sku: 'hot "1"' })).toBeGreaterThan(0);
    expect(sumOf(families, 'holdfast_sku_units', { sku: 'never stocked 1' })).toBeNaN();
    const told = families.find(({ name }) => name === 'holdfast_sku_share_ratio');
    expect(told?.samples.length).toBeLessThanOrEqual(MOST_SKUS);
    await client.close();
  });
});

const NAMES = Object.fromEntries(Object.entries(Op).map(([name, op]) => [op, name]));
