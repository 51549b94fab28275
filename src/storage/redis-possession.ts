import { randomBytes, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { parseRedisUrl, type RedisAddress } from './redis-address.ts';
import { metaKeys, segmentKeys } from './redis-keys.ts';
import { RedisLink } from './redis-link.ts';
import {
  FINISH_MAKING,
  GIVE_LEASE_BACK,
  IDENTIFY,
  KEYS_FORMAT,
  RAISE_EPOCH,
  RENEW_LEASE,
  TAKE_LEASE,
} from './redis-scripts.ts';
import { type PossessOptions, type StoreAddress, StoreError, type StoreIdentity } from './store.ts';

/** How long a lease lasts that nobody renews: a server killed without a word keeps the next one waiting for that long, ms. */
const LEASE_MS = 5000;
const RENEWALS_PER_LEASE = 3;
/** Between looks at another's lease, ms; and how much later than it says it may be gone. */
const LOOK_MS = 50;
const LATE_MS = 250;
/** Segments whose epoch is raised in one go. */
const SEGMENTS_AT_ONCE = 256;
const MIN_VERSION = [6, 2] as const;

/** The lease on a store, which this process renews for as long as it lives. */
export interface RedisLease {
  readonly address: StoreAddress;
  readonly identity: StoreIdentity;
  /** Resolves, with what happened in words, when somebody else has the store. */
  readonly lost: Promise<string>;
  release(): Promise<void>;
}

/**
 * Takes a store into possession: makes it if there is none, waits for a dead predecessor's lease to run out, and raises the epoch of
 * every segment, after which the predecessor can write nothing any more, should it only have been stopped. Throws StoreError LOCKED
 * when another server renews its lease, ABSENT, INCOMPATIBLE, CORRUPT or AWAY.
 */
export async function takeRedisLease(url: string, options: PossessOptions): Promise<RedisLease> {
  const redis = parseRedisUrl(url);
  if (redis.kind === 'cluster' && options.redisWait > 0) {
    throw new StoreError(
      'INCOMPATIBLE',
      '--redis-wait works with one master and its replicas, not with redis+cluster:. Use min-replicas-to-write in the cluster.',
    );
  }
  const link = new RedisLink(redis);
  try {
    await checkVersion(link);
    const identity = await identify(link, redis, options);
    const owner = `${randomUUID()} ${hostname()} ${process.pid}`;
    const epoch = await takeLease(link, redis, owner);
    const renewal = renewLease(link, redis, owner, epoch);
    try {
      await raiseEpochs(link, redis, identity, epoch);
    } catch (error) {
      await renewal.release();
      throw error;
    }
    const { redisWait, redisVolatile } = options;
    const release = async (): Promise<void> => {
      await renewal.release();
      link.close();
    };
    return {
      address: { url, epoch, redisWait, redisVolatile },
      identity: identity.store,
      lost: renewal.lost,
      release,
    };
  } catch (error) {
    link.close();
    throw error;
  }
}

async function checkVersion(link: RedisLink): Promise<void> {
  const info = await link.ask(async () => link.masters()[0]?.info('server') ?? '');
  const [, version = '', major, minor] = /^redis_version:((\d+)\.(\d+)\S*)/m.exec(info) ?? [];
  const [leastMajor, leastMinor] = MIN_VERSION;
  if (Number(major) > leastMajor || (Number(major) === leastMajor && Number(minor) >= leastMinor)) return;
  throw new StoreError(
    'INCOMPATIBLE',
    `${link.label} is Redis ${version}; it takes ${MIN_VERSION.join('.')} or later.`,
  );
}

interface Identified {
  readonly store: StoreIdentity;
  /** Whether all segments were made; else the one who began may have been killed in the middle. */
  readonly made: boolean;
}

async function identify(link: RedisLink, redis: RedisAddress, options: PossessOptions): Promise<Identified> {
  const { meta } = metaKeys(redis.prefix);
  const like = options.identity;
  // Segments without the store's own key are what a loss has left, and no empty store.
  const begin = options.create && !(await anySegment(link, redis, options.segments));
  const answer = (await link.call(
    IDENTIFY,
    [meta],
    [
      begin ? '1' : '0',
      KEYS_FORMAT,
      like?.id ?? randomBytes(16).toString('hex'),
      String(like?.segments ?? options.segments),
      Buffer.from(like?.secret ?? randomBytes(32)).toString('hex'),
    ],
  )) as [string | null, string | null, string | null, string | null, string | null, number];
  const [format, id, segments, secret, made, fresh] = answer;
  if (format === null && options.create) {
    throw new StoreError(
      'CORRUPT',
      `In ${redis.label}, ${meta} is gone while segments of that store are still there. Restore Redis from its own backup.`,
    );
  }
  if (format === null) {
    throw new StoreError('ABSENT', `There is no store in ${redis.label}: it has no key ${meta}.`);
  }
  if (format !== KEYS_FORMAT) {
    throw new StoreError(
      'INCOMPATIBLE',
      `${redis.label} has the format ${format} of another version of Holdfast; this one knows ${KEYS_FORMAT}.`,
    );
  }
  if (id === null || segments === null || secret === null || made === null) {
    throw new StoreError(
      'CORRUPT',
      `In ${redis.label}, ${meta} has lost some of its fields. Restore Redis from its own backup.`,
    );
  }
  return {
    store: {
      id,
      segments: Number(segments),
      secret: new Uint8Array(Buffer.from(secret, 'hex')),
      fresh: fresh === 1,
    },
    made: made === '1',
  };
}

/** Whether there is any segment although the store's own key is missing. */
async function anySegment(link: RedisLink, { prefix }: RedisAddress, segments: number): Promise<boolean> {
  const { meta } = metaKeys(prefix);
  if ((await link.ask(() => link.client.exists(meta))) === 1) return false;
  const looks = Array.from({ length: segments }, (_, segment) => {
    const { state, journal, snapshots } = segmentKeys(prefix, segment);
    return link.client.exists(state, journal, snapshots);
  });
  const found = await link.ask(() => Promise.all(looks));
  return found.some((count) => count > 0);
}

async function takeLease(link: RedisLink, redis: RedisAddress, owner: string): Promise<number> {
  const keys = metaKeys(redis.prefix);
  let first: { owner: string; goneAt: number } | undefined;
  for (;;) {
    const answer = await link.call(TAKE_LEASE, [keys.meta, keys.owner], [owner, String(LEASE_MS)]);
    const [epoch, other, leftMs] = answer as [string, string | null, number];
    if (epoch !== '') return Number(epoch);
    // An owner that let go between two looks is gone at the next.
    if (other !== null) {
      const goneAt = performance.now() + (leftMs < 0 ? LEASE_MS : leftMs);
      first ??= { owner: other, goneAt };
      if (other !== first.owner || goneAt > first.goneAt + LATE_MS) throw locked(redis, other);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function locked(redis: RedisAddress, owner: string): StoreError {
  const [, host, pid] = owner.split(' ');
  return new StoreError(
    'LOCKED',
    `Another server has ${redis.label}: process ${pid} on ${host}. Stop it first, or use another ?prefix=.`,
  );
}

async function raiseEpochs(
  link: RedisLink,
  { prefix }: RedisAddress,
  identity: Identified,
  epoch: number,
): Promise<void> {
  const { segments } = identity.store;
  for (let from = 0; from < segments; from += SEGMENTS_AT_ONCE) {
    await link.ready();
    const some = Array.from({ length: Math.min(SEGMENTS_AT_ONCE, segments - from) }, (_, i) => {
      const { state, journal, snapshots } = segmentKeys(prefix, from + i);
      return link.run(RAISE_EPOCH, [state, journal, snapshots], [String(epoch), identity.made ? '0' : '1']);
    });
    await link.all(some);
  }
  if (!identity.made) await link.call(FINISH_MAKING, [metaKeys(prefix).meta], []);
}

function renewLease(
  link: RedisLink,
  redis: RedisAddress,
  owner: string,
  epoch: number,
): Pick<RedisLease, 'lost' | 'release'> {
  const keys = metaKeys(redis.prefix);
  const { promise: lost, resolve: lose } = Promise.withResolvers<string>();
  let renewing: Promise<void> = Promise.resolve();
  const renew = async (): Promise<void> => {
    try {
      const held = await link.call(
        RENEW_LEASE,
        [keys.meta, keys.owner],
        [owner, String(LEASE_MS), String(epoch)],
      );
      if (held === owner) return;
      lose(locked(redis, String(held)).message);
    } catch (error) {
      // A Redis that is away is no loss: the lease is taken up again, unless somebody else has the store by then.
      if (!(error instanceof StoreError) || error.retryable) return;
      lose(error.message);
    }
    clearInterval(timer);
  };
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    renewing = renew().finally(() => {
      busy = false;
    });
  }, LEASE_MS / RENEWALS_PER_LEASE);
  const release = async (): Promise<void> => {
    clearInterval(timer);
    await renewing;
    // With Redis away, the lease runs out by itself.
    await link.call(GIVE_LEASE_BACK, [keys.owner], [owner]).catch(() => {});
  };
  return { lost, release };
}
