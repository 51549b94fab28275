import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import type { Possession } from '../../src/storage/store.ts';
import { noRedis, type RedisServer, startRedis } from '../fixtures/redis.ts';
import { startProxy, type TcpProxy } from '../fixtures/tcp-proxy.ts';
import { EventMaker } from './events.ts';
import { addLot, bySegment, commitAtLast, openWriter, possess, readAll, SEGMENTS } from './redis-places.ts';

describe.skipIf(noRedis !== undefined)(
  `possession of Redis${noRedis === undefined ? '' : `: ${noRedis}`}`,
  () => {
    let redis: RedisServer;
    let proxy: TcpProxy;
    let prefix: string;
    let runs = 0;

    beforeAll(async () => {
      redis = await startRedis();
      proxy = await startProxy(redis.port);
    });
    afterAll(async () => {
      await proxy?.close();
      await redis?.stop();
    });
    beforeEach(() => {
      prefix = `owned-${runs++}`;
      proxy.faults.blackHole = false;
    });

    function url(port = redis.port): string {
      return `redis://127.0.0.1:${port}?prefix=${prefix}`;
    }
    /** What five seconds of silence do to a lease. */
    function lapse(): Promise<unknown> {
      return redis.client.del(`{${prefix}}:owner`);
    }
    /** Its owner may take the lease up again in between: on a busy machine, a renewal falls due before the next server has asked. */
    async function takeOver(): Promise<Possession> {
      for (;;) {
        await lapse();
        const taken = await possess(url()).catch((error) => {
          if (error.code !== 'LOCKED') throw error;
        });
        if (taken !== undefined) return taken;
      }
    }

    it('is one server’s at a time, and says whose', async () => {
      const first = await possess(url());
      const second = possess(url());
      await expect(second).rejects.toMatchObject({ code: 'LOCKED' });
      await expect(second).rejects.toThrow(`process ${process.pid} on ${hostname()}`);
      await first.release();
      const third = await possess(url());
      await third.release();
    });

    it('goes to the next when its server is gone without a word', async () => {
      const first = await possess(url(proxy.port));
      proxy.faults.blackHole = true;
      const before = await redis.client.pttl(`{${prefix}}:owner`);
      expect(before).toBeGreaterThan(0);
      await redis.client.pexpire(`{${prefix}}:owner`, 300);
      const second = await possess(url());
      expect(second.store.address.epoch).toBeGreaterThan(first.store.address.epoch);
      await second.release();
      proxy.faults.blackHole = false;
      await first.release();
    });

    it('tells a server that was taken over, which cannot end the lease of the new one', async () => {
      const first = await possess(url());
      const second = await takeOver();
      await expect(first.lost).resolves.toMatch(/another server/i);
      await first.release();
      await expect(possess(url())).rejects.toMatchObject({ code: 'LOCKED' });
      await second.release();
    });

    it('keeps the store over a lapse in which nobody else took it', async () => {
      const first = await possess(url());
      await lapse();
      let lost = false;
      void first.lost?.then(() => {
        lost = true;
      });
      await expect.poll(() => redis.client.get(`{${prefix}}:owner`)).toContain(` ${process.pid}`);
      expect(lost).toBe(false);
      await first.release();
    });

    it('fences the predecessor from appending, trimming and changing snapshots', async () => {
      const first = await possess(url());
      const old = await openWriter(first);
      const maker = new EventMaker(SEGMENTS);
      const written = addLot(old.writer, maker, 3);
      await commitAtLast(old.writer);
      const oldSnapshots = old.store.snapshots(first.identity);
      const kept = await oldSnapshots.write(0, 1, new Uint8Array([1]));
      const second = await takeOver();

      const fenced = { code: 'FENCED', retryable: false };
      addLot(old.writer, new EventMaker(SEGMENTS, maker.lsns), 3);
      await expect(old.writer.commit()).rejects.toMatchObject(fenced);
      await expect(old.writer.trim(0, 1)).rejects.toMatchObject(fenced);
      await expect(oldSnapshots.write(0, 2, new Uint8Array([2]))).rejects.toMatchObject(fenced);
      await expect(oldSnapshots.remove(kept)).rejects.toMatchObject(fenced);
      expect((await oldSnapshots.list(0)).map(({ lsn }) => lsn)).toEqual([1]);

      const fresh = await openWriter(second, maker.lsns);
      written.push(...addLot(fresh.writer, maker, 6));
      await commitAtLast(fresh.writer);
      expect(await readAll(second)).toEqual(bySegment(written));
      await Promise.all([old.store.close(), fresh.store.close(), first.release(), second.release()]);
    });

    it.each([1, 2, 3, 4])(
      'lets nothing of a stopped writer in between, whenever it resumes (seed %i)',
      async (seed) => {
        const prng = new Prng(seed);
        const first = await possess(url());
        const old = await openWriter(first, undefined, url(proxy.port));
        const maker = new EventMaker(SEGMENTS);
        const written: string[] = [];
        for (let turn = 0; turn < 4; turn++) {
          written.push(...addLot(old.writer, maker, turn));
          await commitAtLast(old.writer);
        }
        // Its last group is on its way, a byte at a time, while another takes over.
        Object.assign(proxy.faults, { sliceBytes: 10 + prng.below(40), delayMs: 1 });
        const late = addLot(old.writer, new EventMaker(SEGMENTS, maker.lsns), 3 + 4 * prng.below(5));
        const outcome = commitAtLast(old.writer).then(
          () => 'done',
          (error) => error.code as string,
        );
        await sleep(prng.below(40));
        const second = await takeOver();
        const { end } = await second.check();
        const heads = Float64Array.from((end as { heads: Float64Array }).heads);
        const found = await readAll(second);
        const own = new EventMaker(SEGMENTS, heads);
        const fresh = await openWriter(second, heads);
        const added = addLot(fresh.writer, own, 11);
        await commitAtLast(fresh.writer);
        Object.assign(proxy.faults, { sliceBytes: 0, delayMs: 0 });
        const ended = await outcome;

        const all = await readAll(second);
        expect(all).toEqual(found.map((events, segment) => [...events, ...bySegment(added)[segment]]));
        // What was found is what was acknowledged, and of the last group whole segments at most: all of it if it was acknowledged.
        for (const [segment, events] of found.entries()) {
          const acknowledged = bySegment(written)[segment];
          const withLate = [...acknowledged, ...bySegment(late)[segment]];
          if (ended === 'done') expect(events).toEqual(withLate);
          else expect([acknowledged, withLate]).toContainEqual(events);
        }
        expect(['done', 'FENCED']).toContain(ended);
        await Promise.all([old.store.close(), fresh.store.close(), first.release(), second.release()]);
      },
    );

    it('gives an epoch that was never given, also when Redis forgot the last ones', async () => {
      const first = await possess(url());
      await first.release();
      await redis.client.hset(`{${prefix}}:meta`, 'epoch', '0');
      const second = await possess(url());
      expect(second.store.address.epoch).toBeGreaterThan(first.store.address.epoch);
      await second.release();
      // Nor does a clock that went back give one twice.
      await redis.client.hset(`{${prefix}}:meta`, 'epoch', String(2 ** 50));
      const third = await possess(url());
      expect(third.store.address.epoch).toBe(2 ** 50 + 1);
      await third.release();
    });

    it('refuses a store whose own key is gone, and says that nothing is empty', async () => {
      const first = await possess(url());
      await first.release();
      await redis.client.del(`{${prefix}}:meta`);
      await expect(possess(url())).rejects.toMatchObject({ code: 'CORRUPT' });
      expect(await redis.client.exists(`{${prefix}}:meta`)).toBe(0);
    });

    it('refuses a store of which a segment is gone', async () => {
      const first = await possess(url());
      await first.release();
      await redis.client.del(`{${prefix}:1}:state`);
      await expect(possess(url())).rejects.toMatchObject({ code: 'CORRUPT' });
      expect(await redis.client.get(`{${prefix}}:owner`)).toBe(null);
    });

    it('refuses a writer whose segments were restored to another end than the journal’s', async () => {
      const first = await possess(url());
      const { writer, store } = await openWriter(first);
      const maker = new EventMaker(SEGMENTS);
      addLot(writer, maker, 3);
      await commitAtLast(writer);
      await store.close();
      await expect(openWriter(first)).rejects.toMatchObject({ code: 'CORRUPT' });
      await first.release();
    });

    it('says that Redis is away when nothing listens, and whose word it refuses', async () => {
      await expect(possess('redis://127.0.0.1:1')).rejects.toMatchObject({ code: 'AWAY' });
      const guarded = await startRedis({ settings: ['requirepass', 'open sesame'], password: 'open sesame' });
      const address = `127.0.0.1:${guarded.port}`;
      try {
        const wrong = await possess(`redis://:opensesame@${address}`).catch((error) => error);
        expect(wrong).toMatchObject({ code: 'FAILED' });
        expect(`${wrong.message} ${wrong.stack} ${JSON.stringify(wrong)}`).not.toContain('opensesame');
        await expect(possess(`redis://${address}`)).rejects.toMatchObject({ code: 'FAILED' });
        const right = await possess(`redis://default:open%20sesame@${address}`);
        expect(right.store.label).toBe(`redis://${address}`);
        await right.release();
      } finally {
        await guarded.stop();
      }
    });
  },
);
