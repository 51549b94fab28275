import { openFileStore, possessFileStore } from './file-store.ts';
import { openRedisStore, possessRedisStore } from './redis-store.ts';
import {
  isStoreUrl,
  type Possession,
  type PossessOptions,
  type Store,
  type StoreAddress,
  StoreError,
} from './store.ts';

/** Opens a store for one thread, without taking it into possession. */
export function openStore(address: StoreAddress): Store {
  return isFile(address.url) ? openFileStore(address) : openRedisStore(address);
}

/** Takes a store into possession for this process. Throws StoreError LOCKED when another server has it. */
export function possessStore(url: string, options: PossessOptions): Promise<Possession> {
  return isFile(url) ? possessFileStore(url, options) : possessRedisStore(url, options);
}

function isFile(url: string): boolean {
  if (!isStoreUrl(url)) {
    throw new StoreError(
      'INCOMPATIBLE',
      `"${url}" names no store: it must begin with file:, redis:// or rediss://.`,
    );
  }
  return url.startsWith('file:');
}
