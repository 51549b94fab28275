import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { HoldState, Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { RunningServer, ServerHooks } from '../../src/runtime/server.ts';
import type { Settings } from '../../src/runtime/settings.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { recoverInto } from '../fixtures/recover.ts';
import { noRedis, type RedisServer, startRedis } from '../fixtures/redis.ts';
import { type ServerProcess, startHere, startServer } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const MINUTE = 60_000;
/** How long Redis stays away once that shows; the outcome is the same, so the tests need not wait. */
const AWAY_MS = Number(process.env.HOLDFAST_REDIS_AWAY_MS ?? 0);
const path = tempDir();

describe.skipIf(noRedis !== undefined)(
  `a server on Redis${noRedis === undefined ? '' : `: ${noRedis}`}`,
  () => {
    let redis: RedisServer;
    let server: RunningServer | undefined;
    let client: RawClient;
    let stores = 0;
    const events: string[] = [];

    beforeAll(async () => {
      redis = await startRedis();
    });
    afterAll(() => redis?.stop());
    afterEach(stop);

    const newStore = () => `${redis.url}?prefix=test-${stores++}`;

    async function start(
      store: string,
      settings: Partial<Settings> = {},
      hooks: ServerHooks = {},
    ): Promise<void> {
      events.length = 0;
      const log: ServerHooks['log'] = ({ event }) => events.push(event);
      server = await startHere({ store, ack: 'sync', ...settings }, { log, ...hooks });
      client = await RawClient.connect(server.url);
    }

    async function stop(): Promise<void> {
      if (server === undefined) return;
      await client.close();
      await server.stop();
      server = undefined;
    }

    it('has everything again after a restart, from snapshots and journal', async () => {
      const store = newStore();
      await start(store, { snapshotPeriodMs: 1000 });
      expect(server?.promise).toMatch(/appendfsync always/);
      await client.call(Op.STOCK, 'sku', StockMode.TOTAL, 100);
      const [, first, deadline] = await client.call(Op.HOLD, 'sku', 5, MINUTE, 'key-1');
      await expect.poll(() => events).toContain('snapshots');
      const [, second] = await client.call(Op.HOLD, 'sku', 4, MINUTE);
      expect(await client.call(Op.CONFIRM, second)).toEqual([Status.OK, 4]);
      await stop();

      await start(store);
      expect(server?.recovery).toMatchObject({ fromSnapshots: 1 });
      expect((await client.call(Op.READ, 'sku')).slice(1, 5)).toEqual([91, 5, 4, 100]);
      expect(await client.call(Op.HOLD, 'sku', 5, MINUTE, 'key-1')).toEqual([Status.OK, first, deadline]);
      expect((await client.call(Op.READ_HOLD, second))[1]).toBe(HoldState.CONFIRMED);
    });

    it.each([
      ['stopped', () => redis.pause(), async () => redis.resume()],
      ['killed', () => redis.kill(), () => redis.restart()],
    ])(
      'that is %s for a while: nothing is acknowledged, changes are refused, reads go on, and it heals',
      async (_, strike, mend) => {
        const store = newStore();
        await start(store, { storeStallMs: 300 });
        // A disk that a busy machine makes wait stands still, too.
        const done = (op: number, ...args: unknown[]) =>
          expect.poll(() => client.call(op, ...args).then(([status]) => status)).toBe(Status.OK);
        await done(Op.STOCK, 'sku', StockMode.TOTAL, 1000);
        await done(Op.HOLD, 'sku', 1, MINUTE);
        await strike();
        const waiting = client.callAll(Array.from({ length: 20 }, () => [Op.HOLD, 'sku', 1, MINUTE]));
        let answered = false;
        void waiting.then(() => {
          answered = true;
        });
        // Those sent before it shows that the store stands still have to wait as well.
        const probes: number[] = [];
        await expect
          .poll(
            () => {
              void client.call(Op.HOLD, 'sku', 1, MINUTE).then(([status]) => probes.push(status as number));
              return probes;
            },
            { interval: 50 },
          )
          .toContain(Status.UNAVAILABLE);
        expect((await client.call(Op.READ, 'sku'))[0]).toBe(Status.OK);
        expect(answered).toBe(false);
        expect(probes).not.toContain(Status.OK);
        await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
        await mend();
        const replies = await waiting;
        expect(replies.map(([status]) => status)).toEqual(replies.map(() => Status.OK));
        await done(Op.HOLD, 'sku', 1, MINUTE);
        const books = await client.call(Op.READ, 'sku');
        await stop();
        await start(store);
        expect((await client.call(Op.READ, 'sku')).slice(1, 5)).toEqual(books.slice(1, 5));
      },
      120_000 + AWAY_MS,
    );

    it('carries snapshots for a journal in files, from which another machine starts', async () => {
      const snapshots = newStore();
      await start(`file:${path('journal')}`, { snapshots, snapshotPeriodMs: 1000 });
      await client.call(Op.STOCK, 'sku', StockMode.TOTAL, 10);
      const [, hold] = await client.call(Op.HOLD, 'sku', 3, MINUTE);
      await expect.poll(() => events).toContain('snapshots');
      await stop();
      const elsewhere = `file:${path('elsewhere')}`;
      recoverInto(snapshots, elsewhere);
      await start(elsewhere, { snapshots: newStore() });
      expect(await client.call(Op.CONFIRM, hold)).toEqual([Status.OK, 3]);
    });

    it('that keeps nothing on disk is refused, unless that is accepted', async () => {
      await redis.client.config('SET', 'appendonly', 'no');
      try {
        const store = newStore();
        await expect(startHere({ store, ack: 'sync' })).rejects.toMatchObject({ code: 'WEAK' });
        await start(store, { redisVolatile: 'accept' });
        expect(server?.promise).toMatch(/keeps nothing on disk/);
      } finally {
        await redis.client.config('SET', 'appendonly', 'yes');
      }
    });
  },
);

describe.skipIf(noRedis !== undefined)('two servers on the same keys', () => {
  it('the first stopped, the second takes over, the first comes back: it can write nothing more, and ends', async () => {
    const redis = await startRedis();
    const servers: ServerProcess[] = [];
    try {
      const settings = { store: redis.url, ack: 'sync' } as const;
      const first = await startServer(settings);
      servers.push(first);
      const ended = new Promise<number | null>((resolve) => first.process.once('exit', resolve));
      const before = await RawClient.connect(first.url);
      await before.call(Op.STOCK, 'sku', StockMode.TOTAL, 100);
      const [, hold] = await before.call(Op.HOLD, 'sku', 1, MINUTE);
      first.process.kill('SIGSTOP');
      // Written to the socket of a process that does not run: it is carried out when that comes back, if at all.
      const late = before.call(Op.HOLD, 'sku', 50, MINUTE);
      // What five seconds of silence do to the lease.
      await redis.client.del('{holdfast}:owner');
      const second = await startServer(settings);
      servers.push(second);
      const client = await RawClient.connect(second.url);
      expect(await client.call(Op.CONFIRM, hold)).toEqual([Status.OK, 1]);
      first.process.kill('SIGCONT');
      expect(await ended).toBe(74);
      expect(first.errors()).toMatch(/"event":"ending","detail":"the store (failed|is lost)/);
      await before.closed;
      void late;
      expect((await client.call(Op.READ, 'sku')).slice(1, 5)).toEqual([99, 0, 1, 100]);
      await client.close();
      expect(await second.stop()).toBe(0);
    } finally {
      for (const { process } of servers) process.kill('SIGKILL');
      await redis.stop();
    }
  });
});
