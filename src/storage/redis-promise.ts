import type { AckLevel } from '../../protocol/ack.ts';
import type { RedisAddress } from './redis-address.ts';
import type { RedisLink } from './redis-link.ts';
import { StoreError } from './store.ts';

/** What a Redis server is set to keep on disk. */
export interface RedisPersistence {
  readonly appendonly: boolean;
  /** `always`, `everysec` or `no`; undefined where Redis does not tell. */
  readonly appendfsync: string | undefined;
  /** When it writes its RDB file: seconds and changes; empty for never; undefined where Redis does not tell. */
  readonly save: string | undefined;
  /** What it may throw away when its memory is full; undefined when that is nothing, or Redis does not tell. */
  readonly evicts: string | undefined;
}

/** Asks each master. Where CONFIG is forbidden, INFO tells at least whether there is an append-only file. */
export async function readPersistence(link: RedisLink): Promise<RedisPersistence[]> {
  await link.ready();
  return Promise.all(
    link.masters().map(async (master) => {
      const settings = new Map<string, string>();
      try {
        for (const name of ['appendonly', 'appendfsync', 'save', 'maxmemory', 'maxmemory-policy']) {
          const [, value] = (await link.ask(() => master.config('GET', name))) as string[];
          if (value !== undefined) settings.set(name, value);
        }
      } catch (error) {
        if (!(error instanceof StoreError) || error.retryable) throw error;
      }
      if (!settings.has('appendonly')) {
        const info = await link.ask(() => master.info('persistence'));
        settings.set('appendonly', /^aof_enabled:1/m.test(info) ? 'yes' : 'no');
      }
      return {
        appendonly: settings.get('appendonly') === 'yes',
        appendfsync: settings.get('appendfsync'),
        save: settings.get('save'),
        evicts: evicting(settings.get('maxmemory'), settings.get('maxmemory-policy')),
      };
    }),
  );
}

/**
 * What an acknowledgement promises with servers set like this, in sentences. Throws StoreError WEAK when nobody could call it durable
 * and `redisVolatile` does not accept that.
 */
export function describePromise(
  ack: AckLevel,
  address: RedisAddress,
  servers: readonly RedisPersistence[],
  { redisWait, redisVolatile }: { redisWait: number; redisVolatile: boolean },
): string {
  const memoryOnly = servers.find((server) => !server.appendonly);
  if (ack === 'memory') {
    return 'Acknowledged from this server’s memory, before Redis has it: a killed server may lose the last moments.';
  }
  if (memoryOnly !== undefined && !redisVolatile) {
    throw new StoreError(
      'WEAK',
      `${address.label} keeps nothing on disk ${betweenRdb(memoryOnly)}, so --ack ${ack} would promise too much. Set appendonly yes ` +
        'in Redis, or pass --redis-volatile accept.',
    );
  }
  const evicting = servers.find((server) => server.evicts !== undefined);
  if (evicting !== undefined && !redisVolatile) {
    throw new StoreError(
      'WEAK',
      `${address.label} throws keys away when its memory is full (maxmemory-policy ${evicting.evicts}), so --ack ${ack} would promise too ` +
        'much. Set maxmemory-policy noeviction in Redis, or pass --redis-volatile accept.',
    );
  }
  const sentences = [
    memoryOnly === undefined
      ? onDisk(servers)
      : `Redis keeps nothing on disk ${betweenRdb(memoryOnly)} (accepted): its end loses it.`,
  ];
  if (redisWait > 0) {
    sentences.push(
      `Acknowledged only when ${redisWait === 1 ? 'a replica has' : `${redisWait} replicas have`} it in memory.`,
    );
  } else if (address.kind !== 'single') {
    sentences.push('A failover may lose what the replica had not received yet.');
  }
  return sentences.join(' ');
}

function onDisk(servers: readonly RedisPersistence[]): string {
  const kinds = servers.map((server) => server.appendfsync);
  if (kinds.every((kind) => kind === 'always'))
    return 'On Redis’ disk before the answer (appendfsync always).';
  const survives = 'A killed Holdfast loses nothing.';
  if (kinds.includes(undefined))
    return `${survives} Redis does not tell its appendfsync: a loss of Redis may take the last seconds.`;
  if (kinds.includes('no')) {
    return `${survives} A power loss of Redis’ machine may take what its kernel had not written, about 30 s (appendfsync no).`;
  }
  return `${survives} A power loss of Redis’ machine, or a killed Redis on a slow disk, may take the last two seconds (appendfsync everysec).`;
}

function evicting(maxmemory: string | undefined, policy: string | undefined): string | undefined {
  return policy === undefined || policy === 'noeviction' || maxmemory === '0' ? undefined : policy;
}

function betweenRdb({ save }: RedisPersistence): string {
  if (save === undefined) return 'but perhaps its RDB snapshots';
  return save === ''
    ? 'at all (appendonly no, no RDB snapshots)'
    : `between its RDB snapshots (appendonly no, save ${save})`;
}
