import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import type { Possession } from '../../src/storage/store.ts';
import { noRedis, type RedisServer, startRedis } from '../fixtures/redis.ts';
import { startProxy, type TcpProxy } from '../fixtures/tcp-proxy.ts';
import { EventMaker } from './events.ts';
import {
  addLot,
  bySegment,
  commitAtLast,
  type OpenWriter,
  openWriter,
  possess,
  readAll,
  SEGMENTS,
} from './redis-places.ts';

describe.skipIf(noRedis !== undefined)(
  `Redis with faults${noRedis === undefined ? '' : `: ${noRedis}`}`,
  () => {
    let redis: RedisServer;
    let proxy: TcpProxy;
    let possession: Possession;
    let open: OpenWriter;
    let maker: EventMaker;
    let written: string[];
    let runs = 0;

    beforeAll(async () => {
      redis = await startRedis();
      proxy = await startProxy(redis.port);
    });
    afterAll(async () => {
      await proxy?.close();
      await redis?.stop();
    });

    // The possession goes around the proxy, the writer through it.
    beforeEach(async () => {
      const prefix = `faults-${runs++}`;
      Object.assign(proxy.faults, {
        sliceBytes: 0,
        delayMs: 0,
        blackHole: false,
        dropAnswers: false,
        cutAfterBytes: 0,
      });
      possession = await possess(`${redis.url}?prefix=${prefix}`);
      open = await openWriter(possession, undefined, `redis://127.0.0.1:${proxy.port}?prefix=${prefix}`);
      maker = new EventMaker(SEGMENTS);
      written = [];
    });
    afterEach(async () => {
      await open.store.close();
      await possession.release();
    });

    function add(turn: number): void {
      written.push(...addLot(open.writer, maker, turn));
    }
    async function expectAll(): Promise<void> {
      expect(await readAll(possession)).toEqual(bySegment(written));
    }

    it.each([1, 2, 3])(
      'has every group once after cuts at any byte, slices and delays (seed %i)',
      async (seed) => {
        const prng = new Prng(seed);
        const refusals: string[] = [];
        const before = proxy.cuts;
        for (let turn = 0; turn < 60; turn++) {
          const fault = prng.below(6);
          proxy.faults.sliceBytes = fault === 1 ? 1 + prng.below(200) : 0;
          proxy.faults.delayMs = fault === 2 ? 1 : 0;
          proxy.faults.cutAfterBytes = fault === 3 || fault === 4 ? 1 + prng.below(6000) : 0;
          if (fault === 5) setTimeout(() => proxy.cut(), prng.below(3));
          add(turn);
          refusals.push(...(await commitAtLast(open.writer)));
        }
        await expectAll();
        expect(proxy.cuts - before).toBeGreaterThan(5);
        expect(new Set(refusals)).toEqual(new Set(['AWAY']));
      },
    );

    it('doubles nothing when only the answers are lost', async () => {
      for (let turn = 0; turn < 8; turn++) {
        add(turn);
        await commitAtLast(open.writer);
        const { answersDropped } = proxy;
        proxy.faults.dropAnswers = true;
        add(turn + 5);
        const refused = commitAtLast(open.writer);
        while (proxy.answersDropped === answersDropped) await sleep(1);
        proxy.faults.dropAnswers = false;
        proxy.cut();
        expect(new Set(await refused)).toEqual(new Set(['AWAY']));
      }
      await expectAll();
    });

    it('carries on after a kill -9 of Redis, with everything that was acknowledged', async () => {
      for (let turn = 0; turn < 12; turn++) {
        add(turn);
        if (turn % 4 === 3) {
          const killed = redis.kill();
          const refused = commitAtLast(open.writer);
          await killed;
          await redis.restart();
          await refused;
        } else {
          await commitAtLast(open.writer);
        }
      }
      await expectAll();
    });

    it('is away while Redis is stopped, and heals, with the late commands carried out as well', async () => {
      add(1);
      await commitAtLast(open.writer);
      redis.pause();
      add(2);
      const refusals = await commitAtLast(open.writer, () => redis.resume());
      expect(refusals[0]).toBe('AWAY');
      add(3);
      await commitAtLast(open.writer);
      await expectAll();
    });

    it('is away while the network swallows everything, and heals', async () => {
      proxy.faults.blackHole = true;
      add(1);
      await expect(open.writer.commit()).rejects.toMatchObject({ code: 'AWAY', retryable: true });
      proxy.faults.blackHole = false;
      await commitAtLast(open.writer);
      await expectAll();
    });

    it('teaches Redis its scripts again', async () => {
      for (let turn = 0; turn < 6; turn++) {
        add(turn);
        await commitAtLast(open.writer);
        await redis.client.script('FLUSH');
      }
      await expectAll();
    });

    it('is full when Redis is, and carries on when there is room', async () => {
      add(1);
      await commitAtLast(open.writer);
      await redis.client.config('SET', 'maxmemory', '1mb', 'maxmemory-policy', 'noeviction');
      add(2);
      await expect(open.writer.commit()).rejects.toMatchObject({ code: 'FULL', retryable: true });
      await expect(open.writer.commit()).rejects.toMatchObject({ code: 'FULL' });
      await redis.client.config('SET', 'maxmemory', '0');
      await commitAtLast(open.writer);
      await expectAll();
    });

    it('is away while Redis is a replica that takes no writes', async () => {
      add(1);
      await redis.client.replicaof('127.0.0.1', '1');
      await expect(open.writer.commit()).rejects.toMatchObject({ code: 'AWAY' });
      await redis.client.replicaof('NO', 'ONE');
      await commitAtLast(open.writer);
      await expectAll();
    });

    const losses: [string, (prefix: string) => Promise<unknown>][] = [
      ['everything', () => redis.client.flushall()],
      ['the state of a segment', (prefix) => redis.client.del(`{${prefix}:0}:state`)],
      ['the journal of a segment', (prefix) => redis.client.del(`{${prefix}:0}:journal`)],
      [
        'the end of a journal, as a restart may',
        (prefix) => redis.client.hset(`{${prefix}:0}:state`, 'head', '1'),
      ],
    ];
    it.each(losses)('never begins anew in silence when Redis lost %s', async (_, lose) => {
      for (const turn of [3, 7]) {
        add(turn);
        await commitAtLast(open.writer);
      }
      await lose(`faults-${runs - 1}`);
      add(3);
      await expect(open.writer.commit()).rejects.toMatchObject({ code: 'CORRUPT', retryable: false });
      await expect(possession.check()).rejects.toMatchObject({ code: 'CORRUPT' });
    });
  },
);
