import type { OfflineCheck, OfflineStore } from './offline-store.ts';
import { parseRedisUrl, type RedisAddress } from './redis-address.ts';
import { RedisJournalReader } from './redis-journal-reader.ts';
import { metaKeys, segmentKeys } from './redis-keys.ts';
import { LONG_ANSWER_MS, RedisLink } from './redis-link.ts';
import { KEYS_FORMAT } from './redis-scripts.ts';
import { openRedisStore } from './redis-store.ts';
import { type JournalBatch, type JournalReader, StoreError, type StoreIdentity } from './store.ts';

/** Opens a store in Redis for reading: neither lease nor epoch are touched. Throws StoreError. */
export async function openOfflineRedis(url: string): Promise<OfflineStore> {
  const redis = parseRedisUrl(url);
  await refuseAway(redis);
  const link = new RedisLink(redis, LONG_ANSWER_MS);
  try {
    const identity = await readIdentity(link, redis.prefix);
    const store = openRedisStore({ url, epoch: 0, redisWait: 0, redisVolatile: true });
    return {
      label: redis.label,
      identity,
      async owner() {
        const owner = await link.ask(() => link.client.get(metaKeys(redis.prefix).owner));
        const [, host, pid] = (owner ?? '').split(' ');
        return owner === null
          ? undefined
          : `a server (process ${pid} on ${host}; the lease of one that was killed runs out within 5 s)`;
      },
      async check(): Promise<OfflineCheck> {
        const reader = new RedisJournalReader(new RedisLink(redis), redis.prefix);
        try {
          return { ...(await reader.check(identity.segments, undefined)), files: undefined };
        } finally {
          await reader.close();
        }
      },
      journal: () =>
        new WholeStreams(link, redis.prefix, new RedisJournalReader(new RedisLink(redis), redis.prefix)),
      snapshots: () => store.snapshots(identity),
      async close() {
        link.close();
        await store.close();
      },
    };
  } catch (error) {
    link.close();
    throw error;
  }
}

/** Reading a large store takes time; that there is nobody to read from shows at once. */
async function refuseAway(redis: RedisAddress): Promise<void> {
  const link = new RedisLink(redis);
  try {
    await link.ask(() => link.client.ping());
  } finally {
    link.close();
  }
}

async function readIdentity(link: RedisLink, prefix: string): Promise<StoreIdentity> {
  const { meta } = metaKeys(prefix);
  const fields = await link.ask(() => link.client.hmget(meta, 'format', 'id', 'segments', 'secret', 'made'));
  const [format, id, segments, secret, made] = fields;
  if (fields.every((field) => field === null)) {
    throw new StoreError('ABSENT', `There is no store in ${link.label}: it has no key ${meta}.`);
  }
  if (format !== KEYS_FORMAT) {
    throw new StoreError(
      'INCOMPATIBLE',
      `${link.label} has the format ${format} of another version of Holdfast; this one knows ${KEYS_FORMAT}.`,
    );
  }
  if (id == null || segments == null || secret == null || made == null) {
    throw new StoreError(
      'CORRUPT',
      `In ${link.label}, ${meta} has lost some of its fields. Restore Redis from its own backup.`,
    );
  }
  return { id, segments: Number(segments), secret: new Uint8Array(Buffer.from(secret, 'hex')), fresh: false };
}

/** Reads each stream up to the page in which something is wrong; whether there is, check() tells. */
class WholeStreams implements JournalReader {
  readonly #link: RedisLink;
  readonly #prefix: string;
  readonly #reader: RedisJournalReader;

  constructor(link: RedisLink, prefix: string, reader: RedisJournalReader) {
    this.#link = link;
    this.#prefix = prefix;
    this.#reader = reader;
  }

  async *batches(
    segments: ReadonlySet<number>,
    after: (segment: number) => number,
  ): AsyncGenerator<JournalBatch, void> {
    for (const segment of [...segments].sort((a, b) => a - b)) {
      const { state } = segmentKeys(this.#prefix, segment);
      const trimmed = await this.#link.ask(() => this.#link.client.hget(state, 'trimmed'));
      const from = Math.max(after(segment), Number(trimmed ?? 0));
      try {
        yield* this.#reader.batches(new Set([segment]), () => from);
      } catch (error) {
        if (!(error instanceof StoreError && error.code === 'CORRUPT')) throw error;
      }
    }
  }

  close(): Promise<void> {
    return this.#reader.close();
  }
}
