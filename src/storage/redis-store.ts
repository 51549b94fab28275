import { parseRedisUrl } from './redis-address.ts';
import { RedisJournalReader } from './redis-journal-reader.ts';
import { RedisJournalWriter } from './redis-journal-writer.ts';
import { metaKeys } from './redis-keys.ts';
import { LONG_ANSWER_MS, RedisLink } from './redis-link.ts';
import { takeRedisLease } from './redis-possession.ts';
import { describePromise, readPersistence } from './redis-promise.ts';
import { RedisSnapshots } from './redis-snapshots.ts';
import type { Possession, PossessOptions, RunClock, Store, StoreAddress } from './store.ts';

/** Opens a Redis store for one thread. Each part of it has a connection of its own, made when the part is asked for. */
export function openRedisStore(address: StoreAddress): Store {
  const redis = parseRedisUrl(address.url);
  const links = new Set<RedisLink>();
  const open = (answerMs?: number): RedisLink => {
    const link = new RedisLink(redis, answerMs);
    links.add(link);
    return link;
  };
  return {
    address,
    label: redis.label,
    async promise(ack) {
      const link = open();
      try {
        return describePromise(ack, redis, await readPersistence(link), {
          redisWait: address.redisWait,
          redisVolatile: address.redisVolatile ?? false,
        });
      } finally {
        link.close();
      }
    },
    reader: () => new RedisJournalReader(open(), redis.prefix),
    writer: (options) => new RedisJournalWriter(open(), redis.prefix, address, options),
    snapshots: () => new RedisSnapshots(open(LONG_ANSWER_MS), redis.prefix, address),
    async close() {
      for (const link of links) link.close();
    },
  };
}

/** Takes a Redis store into possession; see takeRedisLease(). */
export async function possessRedisStore(url: string, options: PossessOptions): Promise<Possession> {
  const { address, identity, lost, release } = await takeRedisLease(url, options);
  const redis = parseRedisUrl(url);
  const store = openRedisStore(address);
  return {
    store,
    identity,
    lost,
    async check() {
      const link = new RedisLink(redis);
      const reader = new RedisJournalReader(link, redis.prefix);
      try {
        return await reader.check(identity.segments, await readLastRun(link, redis.prefix));
      } finally {
        await reader.close();
      }
    },
    async release() {
      await store.close();
      await release();
    },
  };
}

async function readLastRun(link: RedisLink, prefix: string): Promise<RunClock | undefined> {
  const { meta } = metaKeys(prefix);
  const [bootId, offsetMs] = await link.ask(() => link.client.hmget(meta, 'runBootId', 'runOffsetMs'));
  return bootId == null || offsetMs == null ? undefined : { bootId, offsetMs: Number(offsetMs) };
}
