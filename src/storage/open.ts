import { openFileStore, possessFileStore } from './file-store.ts';
import {
  isStoreUrl,
  type Possession,
  type PossessOptions,
  type Store,
  type StoreAddress,
  StoreError,
  withoutPassword,
} from './store.ts';

/** Opens a store for one thread, without taking it into possession. */
export async function openStore(address: StoreAddress): Promise<Store> {
  return isFile(address.url) ? openFileStore(address) : (await redis()).openRedisStore(address);
}

/** Takes a store into possession for this process. Throws StoreError LOCKED when another server has it. */
export async function possessStore(url: string, options: PossessOptions): Promise<Possession> {
  return isFile(url) ? possessFileStore(url, options) : (await redis()).possessRedisStore(url, options);
}

/** Its client is loaded only where it is used: each thread would pay some 50 ms for it. */
function redis(): Promise<typeof import('./redis-store.ts')> {
  return import('./redis-store.ts');
}

function isFile(url: string): boolean {
  if (!isStoreUrl(url)) {
    throw new StoreError(
      'INCOMPATIBLE',
      `"${withoutPassword(url)}" names no store: it must begin with file:, redis:// or rediss://.`,
    );
  }
  return url.startsWith('file:');
}
