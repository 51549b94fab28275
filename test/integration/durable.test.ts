import { existsSync, readdirSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { HoldState, Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { LogEvent } from '../../src/log/events.ts';
import type { RunningServer, ServerHooks } from '../../src/runtime/server.ts';
import type { Settings } from '../../src/runtime/settings.ts';
import { Fault, plantFault } from '../../src/shard/faults.ts';
import { controlOf } from '../../src/shard/memory.ts';
import { keepHolding } from '../fixtures/holding.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { recoverInto } from '../fixtures/recover.ts';
import { startHere } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';
import { skuIn } from '../front/fixtures.ts';

const SEGMENTS = 8;
const WORKERS = 2;
const MINUTE = 60_000;

const path = tempDir();
let stores = 0;
let server: RunningServer;
let client: RawClient;
const events: LogEvent[] = [];

const newStore = () => `file:${path(`store-${stores++}`)}`;

async function start(
  store: string,
  settings: Partial<Settings> = {},
  hooks: ServerHooks = {},
): Promise<void> {
  events.length = 0;
  const log: ServerHooks['log'] = (event) => events.push(event);
  server = await startHere(
    { segments: SEGMENTS, workers: WORKERS, store, ack: 'sync', ...settings },
    { log, ...hooks },
  );
  client = await RawClient.connect(server.url);
}

async function stop(): Promise<void> {
  await client.close();
  await server.stop();
}

afterEach(stop);

/** The SKU that lives in a segment. */
const sku = (segment: number) => skuIn(segment, SEGMENTS);
const skus = Array.from({ length: SEGMENTS }, (_, segment) => sku(segment));

async function stockAll(units: number): Promise<void> {
  for (let segment = 0; segment < SEGMENTS; segment++) {
    expect((await client.call(Op.STOCK, sku(segment), StockMode.TOTAL, units))[0]).toBe(Status.OK);
  }
}

async function violations(): Promise<unknown> {
  const books = (await (await fetch(`${server.httpUrl}/v1/inspect`)).json()) as Record<string, unknown>;
  return [books.violations, books.fenced];
}

describe('a server that is started anew', () => {
  it('has every hold, sale, deadline and idempotent answer again, and the same holders', async () => {
    const store = newStore();
    await start(store);
    await stockAll(100);
    const item = sku(3);
    const [, kept, deadline] = await client.call(Op.HOLD, item, 5, MINUTE, 'key-1');
    const [, sold] = await client.call(Op.HOLD, item, 4, MINUTE);
    expect(await client.call(Op.CONFIRM, sold, 3)).toEqual([Status.OK, 3]);
    const [, freed] = await client.call(Op.HOLD, item, 2, MINUTE);
    expect(await client.call(Op.RELEASE, freed)).toEqual([Status.OK, 0]);
    const [, extended] = await client.call(Op.HOLD, item, 1, MINUTE);
    const [, later] = await client.call(Op.EXTEND, extended, 2 * MINUTE);
    const [, time] = await client.call(Op.TIME);
    await stop();

    await start(store);
    expect(server.recovery?.events).toBe(SEGMENTS + 7);
    expect((await client.call(Op.READ, item)).slice(1, 5)).toEqual([100 - 5 - 3 - 1, 6, 3, 100]);
    expect(await client.call(Op.HOLD, item, 5, MINUTE, 'key-1')).toEqual([Status.OK, kept, deadline]);
    expect((await client.call(Op.HOLD, item, 6, MINUTE, 'key-1')).slice(0, 2)).toEqual([
      Status.KEY_CONFLICT,
      kept,
    ]);
    expect(await client.call(Op.CONFIRM, sold, 3)).toEqual([Status.OK, 3]);
    expect((await client.call(Op.READ_HOLD, freed))[1]).toBe(HoldState.RELEASED);
    expect((await client.call(Op.READ_HOLD, extended))[6]).toBe(later);
    expect(await client.call(Op.RETURN, sold)).toEqual([Status.OK, 0]);
    const stranger = await RawClient.connect(server.url, 'somebody else');
    expect(await stranger.call(Op.CONFIRM, kept)).toEqual([Status.UNKNOWN_HOLD]);
    await stranger.close();
    expect((await client.call(Op.TIME))[1]).toBeGreaterThanOrEqual(time as number);
    expect(await violations()).toEqual([0, 0]);
  });

  it('ends what fell due meanwhile, and gives the stock back', async () => {
    const store = newStore();
    await start(store);
    await stockAll(10);
    const [, hold] = await client.call(Op.HOLD, sku(0), 10, 50);
    await stop();
    await new Promise((resolve) => setTimeout(resolve, 60));
    await start(store);
    await expect.poll(() => client.call(Op.READ, sku(0)).then((books) => books.slice(1, 3))).toEqual([10, 0]);
    expect((await client.call(Op.READ_HOLD, hold))[1]).toBe(HoldState.EXPIRED);
  });

  it('starts from snapshots, two of each segment, and what came behind them', async () => {
    const store = newStore();
    await start(store, { snapshotPeriodMs: 1000 });
    await stockAll(1000);
    const snapshots = () => readdirSync(`${store.slice('file:'.length)}/snapshots`);
    // Behind the stock, each segment's second and third event; a round may have begun before.
    for (const lsn of [2, 3]) {
      const holds = Array.from({ length: SEGMENTS }, (_, segment) => [Op.HOLD, sku(segment), 2, MINUTE]);
      await client.callAll(holds);
      // Of one that has nothing new, there may be two.
      const ofThese = new RegExp(`^(\\d+)-0*${lsn}-`);
      const covered = () => new Set(snapshots().flatMap((name) => ofThese.exec(name)?.[1] ?? [])).size;
      await expect.poll(covered).toBe(SEGMENTS);
    }
    const [, last] = await client.call(Op.HOLD, sku(5), 7, MINUTE);
    await stop();
    expect(snapshots()).toHaveLength(2 * SEGMENTS);

    await start(store);
    expect(server.recovery).toMatchObject({ fromSnapshots: SEGMENTS, remarks: [] });
    expect(server.recovery?.events).toBeLessThan(SEGMENTS);
    expect((await client.call(Op.READ, sku(5))).slice(1, 3)).toEqual([1000 - 11, 11]);
    expect(await client.call(Op.CONFIRM, last)).toEqual([Status.OK, 7]);
    expect(await violations()).toEqual([0, 0]);
  });

  it.each(['memory', 'journal'] as const)(
    'has what it acknowledged by %s and stopped in order',
    async (ack) => {
      const store = newStore();
      await start(store, { ack });
      await stockAll(10);
      expect(client.pushes[0]?.[4]).toBe(ack);
      const [, hold] = await client.call(Op.HOLD, sku(1), 3, MINUTE);
      await stop();
      await start(store, { ack });
      expect(await client.call(Op.CONFIRM, hold)).toEqual([Status.OK, 3]);
    },
  );
});

describe('a store', () => {
  it('that another server has is refused, and so is one made for other segments', async () => {
    const store = newStore();
    await start(store);
    const second = { segments: SEGMENTS, store, ack: 'sync' } as const;
    await expect(startHere(second)).rejects.toMatchObject({ code: 'LOCKED' });
    await stop();
    await expect(startHere({ ...second, segments: 4 })).rejects.toThrow(
      /made with 8 segments.*--segments 8/s,
    );
    await start(store);
  });

  it('may keep its snapshots apart, from which a machine without the journal starts', async () => {
    const store = newStore();
    const snapshots = newStore();
    await start(store, { snapshots, snapshotPeriodMs: 1000 });
    await stockAll(50);
    const [, hold] = await client.call(Op.HOLD, sku(2), 5, MINUTE);
    await expect.poll(() => events.map(({ event }) => event)).toContain('snapshots');
    await stop();

    // Neither is a journal made up for them, nor do they go on with another one.
    const elsewhere = newStore();
    const other = { segments: SEGMENTS, store: elsewhere, snapshots, ack: 'sync' } as const;
    await expect(startHere(other)).rejects.toMatchObject({ code: 'ABSENT' });
    expect(existsSync(elsewhere.slice('file:'.length))).toBe(false);
    recoverInto(snapshots, elsewhere);
    await expect(startHere(other)).rejects.toMatchObject({ code: 'INCOMPATIBLE' });
    await start(elsewhere, { snapshots: newStore() });
    expect(await client.call(Op.CONFIRM, hold)).toEqual([Status.OK, 5]);
    await stop();
    await start(store, { snapshots });
    expect((await client.call(Op.READ_HOLD, hold))[1]).toBe(HoldState.HELD);
  });
});

describe('a failed fdatasync', () => {
  it('ends the server, acknowledges nothing of its group, and loses nothing that was acknowledged', async () => {
    const store = newStore();
    const hopeless: [string, number][] = [];
    // The storage thread gets the variables that there are when it starts; each thread counts for itself.
    process.env.HOLDFAST_FAILPOINT = 'sync.error:40';
    await start(
      store,
      { stopTimeoutMs: 300 },
      { onHopeless: (reason, exitCode) => hopeless.push([reason, exitCode]) },
    );
    delete process.env.HOLDFAST_FAILPOINT;
    await client.call(Op.STOCK, 'sku', StockMode.TOTAL, 1000);
    let accepted = 0;
    const holding = (async () => {
      for (;;) {
        if ((await client.call(Op.HOLD, 'sku', 1, MINUTE))[0] === Status.OK) accepted++;
      }
    })();
    await expect.poll(() => hopeless).toHaveLength(1);
    expect(hopeless[0]).toEqual([expect.stringMatching(/the store failed: .*EIO/), 74]);
    void holding;
    await stop();

    await start(store);
    const [, , held] = await client.call(Op.READ, 'sku');
    expect(accepted).toBeGreaterThan(5);
    // One command was under way, which was written and not acknowledged.
    expect([accepted, accepted + 1]).toContain(held);
  });
});

describe.each(['off', 'auto'] as const)('a worker that dies within a command (borrow %s)', (borrow) => {
  // A front that stands in for the worker would itself end, and the process with it.
  const faults = [['throws', Fault.THROW] as const, ['exits', Fault.EXIT] as const];
  it.each(borrow === 'auto' ? faults.slice(0, 1) : faults)(
    'and %s: its segment is rebuilt from snapshot and journal, while the others go on',
    async (_, fault) => {
      const store = newStore();
      await start(store, { borrow, snapshotPeriodMs: 1000 });
      await stockAll(1_000_000);
      const stopHolding = { now: false };
      const counts = new Map<string, number>();
      const buyers = [
        keepHolding(server.url, skus, stopHolding, counts),
        keepHolding(server.url, skus, stopHolding, counts),
      ];
      await expect.poll(() => events.map(({ event }) => event)).toContain('snapshots');
      const own = server.memory.workers[3 % WORKERS] as (typeof server.memory.workers)[0];
      plantFault(controlOf(own), fault, 3);
      await expect.poll(() => events.map(({ event }) => event)).toContain('rebuilt');
      const before = counts.get(`3:${Status.OK}`) ?? 0;
      await expect.poll(() => counts.get(`3:${Status.OK}`) ?? 0).toBeGreaterThan(before + 20);
      stopHolding.now = true;
      await Promise.all(buyers);
      expect(counts.get(`3:${Status.UNKNOWN_OUTCOME}`)).toBe(1);
      for (let segment = 0; segment < SEGMENTS; segment++) {
        const held = counts.get(`${segment}:${Status.OK}`) as number;
        expect((await client.call(Op.READ, sku(segment))).slice(1, 3)).toEqual([1_000_000 - held, held]);
      }
      expect(await violations()).toEqual([0, 0]);
      await stop();
      await start(store);
      expect((await client.call(Op.READ, sku(3)))[2]).toBe(counts.get(`3:${Status.OK}`));
    },
  );
});
