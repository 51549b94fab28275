import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRedisStore } from '../../src/storage/redis-store.ts';
import { noRedis, type RedisServer, startRedis } from '../fixtures/redis.ts';
import { startProxy, type TcpProxy } from '../fixtures/tcp-proxy.ts';
import { EventMaker } from './events.ts';
import { addLot, bySegment, commitAtLast, openWriter, possess, readAll } from './redis-places.ts';
import { describeStore } from './store-suite.ts';

describe.skipIf(noRedis !== undefined)(`Redis${noRedis === undefined ? '' : `: ${noRedis}`}`, () => {
  let redis: RedisServer;
  let proxy: TcpProxy;
  let places = 0;

  beforeAll(async () => {
    redis = await startRedis();
    proxy = await startProxy(redis.port);
    proxy.faults.sliceBytes = 1000;
  });
  afterAll(async () => {
    await proxy?.close();
    await redis?.stop();
  });

  for (const way of ['directly', 'in slices'] as const) {
    describeStore(`Redis (${way})`, async () => {
      const port = way === 'directly' ? redis.port : proxy.port;
      const url = `redis://127.0.0.1:${port}?prefix=place-${places++}`;
      return {
        possess: (create = true) => possess(url, { create }),
        open: ({ store }) => openRedisStore(structuredClone(store.address)),
        destroy: async () => {},
      };
    });
  }

  it('keeps stores with different prefixes apart', async () => {
    const urls = ['one', 'one:1', 'two'].map((prefix) => `${redis.url}?prefix=${prefix}`);
    const possessions = await Promise.all(urls.map((url) => possess(url)));
    const ids = new Set(possessions.map(({ identity }) => identity.id));
    expect(ids.size).toBe(urls.length);
    const written = await Promise.all(
      possessions.map(async (possession, i) => {
        const { writer, store } = await openWriter(possession);
        const events = addLot(writer, new EventMaker(4), i * 7 + 2);
        await commitAtLast(writer);
        const snapshots = store.snapshots(possession.identity);
        await snapshots.write(0, i + 1, new Uint8Array([i]));
        await store.close();
        return events;
      }),
    );
    for (const [i, possession] of possessions.entries()) {
      expect(await readAll(possession)).toEqual(bySegment(written[i]));
      const snapshots = possession.store.snapshots(possession.identity);
      expect((await snapshots.list(0)).map(({ lsn }) => lsn)).toEqual([i + 1]);
      await possession.release();
    }
    const keys = await redis.client.keys('*');
    expect(keys.filter((key) => !/^\{(place-\d+|one|one:1|two)(:\d)?\}:\w+/.test(key))).toEqual([]);
  });

  it('uses the database that the address names', async () => {
    const possession = await possess(`${redis.url}/3`);
    const keys = await redis.client.keys('{holdfast}:*');
    expect(keys).toEqual([]);
    await possession.release();
    // Redis has 16; ioredis would go on in the first of them.
    await expect(possess(`${redis.url}/99`)).rejects.toMatchObject({ code: 'FAILED' });
    expect(await redis.client.keys('{holdfast}:*')).toEqual([]);
  });

  it('gives the main thread’s identity to a store of snapshots', async () => {
    const first = await possess(`${redis.url}?prefix=journal`);
    const { possessRedisStore } = await import('../../src/storage/redis-store.ts');
    const options = {
      segments: 4,
      create: true,
      redisWait: 0,
      redisVolatile: false,
      identity: first.identity,
    };
    const second = await possessRedisStore(`${redis.url}?prefix=copies`, options);
    expect({ ...second.identity }).toEqual({ ...first.identity });
    await first.release();
    await second.release();
  });

  it('refuses a snapshot that Redis could not take', async () => {
    const possession = await possess(`${redis.url}?prefix=large`);
    const snapshots = possession.store.snapshots(possession.identity);
    // Its length is all that is looked at.
    const large = { length: 512 * 1024 * 1024 } as Uint8Array;
    await expect(snapshots.write(0, 1, large)).rejects.toMatchObject({ code: 'FAILED' });
    expect(await snapshots.list(0)).toEqual([]);
    await possession.release();
  });

  it('does not begin where an older or another program’s keys are', async () => {
    await redis.client.hset('{other}:meta', 'format', '99');
    await expect(possess(`${redis.url}?prefix=other`)).rejects.toMatchObject({ code: 'INCOMPATIBLE' });
    await redis.client.set('{stranger}:meta', 'a string');
    await expect(possess(`${redis.url}?prefix=stranger`)).rejects.toMatchObject({ code: 'FAILED' });
  });

  it('finishes what a killed server began to make', async () => {
    const url = `${redis.url}?prefix=half`;
    const begun = await possess(url);
    await begun.release();
    await redis.client.hset('{half}:meta', 'made', '0');
    await redis.client.del('{half:2}:state', '{half:2}:journal');
    const finished = await possess(url);
    expect(finished.identity.fresh).toBe(false);
    expect(await readAll(finished)).toEqual([[], [], [], []]);
    await finished.release();
  });

  it('promises no more than Redis keeps', async () => {
    const possession = await possess(`${redis.url}?prefix=weak`);
    const lenient = await possess(`${redis.url}?prefix=lenient`, { redisVolatile: true });
    const { client } = redis;
    expect(await possession.store.promise('sync')).toMatch(/^On Redis’ disk before the answer/);
    await client.config('SET', 'appendfsync', 'everysec');
    expect(await possession.store.promise('sync')).toMatch(/two seconds/);
    // A server that forbids CONFIG still tells by INFO whether there is an append-only file.
    await client.acl('SETUSER', 'guest', 'on', '>word', '~*', '+@all', '-config');
    const guest = await possess(`redis://guest:word@127.0.0.1:${redis.port}?prefix=guest`);
    expect(await guest.store.promise('sync')).toMatch(/does not tell its appendfsync/);
    await client.config('SET', 'appendonly', 'no');
    for (const { store } of [possession, guest]) {
      await expect(store.promise('journal')).rejects.toMatchObject({ code: 'WEAK' });
      await expect(store.promise('sync')).rejects.toMatchObject({ code: 'WEAK' });
      expect(await store.promise('memory')).toMatch(/memory/);
    }
    expect(await lenient.store.promise('sync')).toMatch(/accepted/);
    await client.config('SET', 'appendonly', 'yes', 'appendfsync', 'always');
    // Until then, a child of Redis writes the file.
    while (/^aof_rewrite_(in_progress|scheduled):1/m.test(await client.info('persistence'))) await sleep(5);
    await Promise.all([possession.release(), lenient.release(), guest.release()]);
  });
});
