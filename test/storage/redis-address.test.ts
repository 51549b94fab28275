import { describe, expect, it } from 'vitest';
import type { AckLevel } from '../../protocol/ack.ts';
import { parseRedisUrl, type RedisAddress } from '../../src/storage/redis-address.ts';
import { segmentKeys, snapshotKey } from '../../src/storage/redis-keys.ts';
import { describePromise, type RedisPersistence } from '../../src/storage/redis-promise.ts';

describe('the address of a Redis store', () => {
  const plain = {
    kind: 'single',
    master: '',
    tls: false,
    username: undefined,
    password: undefined,
    db: 0,
    prefix: 'holdfast',
  };
  const cases: [string, Partial<RedisAddress>][] = [
    ['redis://localhost', { nodes: [{ host: 'localhost', port: 6379 }], label: 'redis://localhost' }],
    ['redis://host:7000/', { nodes: [{ host: 'host', port: 7000 }], label: 'redis://host:7000' }],
    ['redis://[::1]:7000/2', { nodes: [{ host: '::1', port: 7000 }], db: 2, label: 'redis://[::1]:7000/2' }],
    ['redis://h?db=3', { nodes: [{ host: 'h', port: 6379 }], db: 3, label: 'redis://h?db=3' }],
    [
      'rediss://ann:s%40cr%3Aet@h:1/0?prefix=shop:eu',
      {
        nodes: [{ host: 'h', port: 1 }],
        tls: true,
        username: 'ann',
        password: 's@cr:et',
        prefix: 'shop:eu',
        label: 'rediss://h:1/0?prefix=shop:eu',
      },
    ],
    ['redis://:pa@ss@h', { nodes: [{ host: 'h', port: 6379 }], password: 'pa@ss', label: 'redis://h' }],
    [
      'redis+sentinel://:pw@a,b:2/mymaster?db=1',
      {
        kind: 'sentinel',
        nodes: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 2 },
        ],
        master: 'mymaster',
        password: 'pw',
        db: 1,
        label: 'redis+sentinel://a,b:2/mymaster?db=1',
      },
    ],
    [
      'rediss+cluster://a:1,b:2',
      {
        kind: 'cluster',
        nodes: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
        tls: true,
        label: 'rediss+cluster://a:1,b:2',
      },
    ],
  ];
  it.each(cases)('reads %s', (url, expected) => {
    expect(parseRedisUrl(url)).toEqual({ ...plain, ...expected });
  });

  it.each([
    'http://h',
    'redis://',
    'redis://h:0',
    'redis://h:70000',
    'redis://a,b',
    'redis://h/one',
    'redis://h?prefix=',
    'redis://h?prefix={a}',
    'redis://h?db=x',
    'redis://h?tls=1',
    'redis+sentinel://h',
    'redis+cluster://h/1',
    'redis://u:%zz@h',
    'redis://h/0/1',
  ])('refuses %s', (url) => {
    expect(() => parseRedisUrl(url)).toThrow(expect.objectContaining({ code: 'INCOMPATIBLE' }));
  });

  it('tells no password when it refuses', () => {
    for (const url of [
      'redis://u:hunter2@h:0',
      'redis://u:hunter2@',
      'redis://u:hunter2@h/x',
      'redis:u:hunter2@h',
    ]) {
      expect(() => parseRedisUrl(url)).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining('hunter2') }),
      );
    }
  });
});

describe('the keys', () => {
  it('of one segment have one hash tag, which no other segment or store has', () => {
    const tags = new Set<string>();
    for (const prefix of ['holdfast', 'holdfast:1']) {
      for (let segment = 0; segment < 64; segment++) {
        const { state, journal, snapshots } = segmentKeys(prefix, segment);
        const own = [state, journal, snapshots, snapshotKey(prefix, segment, 7, 0)].map(
          (key) => /\{(.+?)\}/.exec(key)?.[1],
        );
        expect(new Set(own).size).toBe(1);
        tags.add(String(own[0]));
      }
    }
    expect(tags.size).toBe(128);
  });
});

describe('what an acknowledgement by Redis promises', () => {
  it('is nothing where Redis throws keys away, unless that is accepted', () => {
    const evicting = { ...server(true, 'always', ''), evicts: 'allkeys-lru' };
    expect(() => describeOne('sync', evicting)).toThrow(/maxmemory-policy allkeys-lru/);
    expect(describeOne('sync', evicting, true)).toMatch(/On Redis/);
    expect(describeOne('memory', evicting)).toMatch(/lose the last moments/);
  });

  const single = parseRedisUrl('redis://h');
  const sentinel = parseRedisUrl('redis+sentinel://h/m');
  const server = (appendonly: boolean, appendfsync?: string, save?: string): RedisPersistence => ({
    appendonly,
    appendfsync,
    save,
    evicts: undefined,
  });
  const describeOne = (ack: AckLevel, server: RedisPersistence, redisVolatile = false) =>
    describePromise(ack, single, [server], { redisWait: 0, redisVolatile });

  it.each<[AckLevel, RedisPersistence, RegExp]>([
    ['sync', server(true, 'always', ''), /^On Redis’ disk before the answer/],
    ['journal', server(true, 'always', ''), /^On Redis’ disk before the answer/],
    ['sync', server(true, 'everysec', ''), /power loss of Redis’ machine.* may take the last two seconds/],
    ['sync', server(true, 'no', ''), /power loss.*appendfsync no/],
    ['sync', server(true), /does not tell its appendfsync/],
    ['memory', server(false, 'no', ''), /this server’s memory/],
  ])('ack %s, %o', (ack, server, expected) => {
    expect(describeOne(ack, server)).toMatch(expected);
  });

  it.each<AckLevel>(['journal', 'sync'])('is too much at ack %s when Redis keeps nothing on disk', (ack) => {
    for (const weak of [server(false, 'always', ''), server(false, 'always', '3600 1'), server(false)]) {
      expect(() => describeOne(ack, weak)).toThrow(expect.objectContaining({ code: 'WEAK' }));
      expect(describeOne(ack, weak, true)).toMatch(/keeps nothing on disk.*accepted/);
    }
  });

  it('is only what the weakest master of a cluster gives', () => {
    const cluster = parseRedisUrl('redis+cluster://h');
    const settings = { redisWait: 0, redisVolatile: false };
    const [always, everysec] = [server(true, 'always'), server(true, 'everysec')];
    expect(describePromise('sync', cluster, [always, everysec], settings)).toMatch(/everysec/);
    expect(() => describePromise('sync', cluster, [always, server(false, 'always', '')], settings)).toThrow(
      /keeps nothing/,
    );
  });

  it('says what replicas have, and what a failover may take', () => {
    const always = [server(true, 'always')];
    const promise = (address: RedisAddress, redisWait: number) =>
      describePromise('sync', address, always, { redisWait, redisVolatile: false });
    expect(promise(single, 2)).toMatch(/2 replicas have it/);
    expect(promise(sentinel, 0)).toMatch(/failover may lose/);
    expect(promise(single, 0)).not.toMatch(/failover|replica/);
  });
});
