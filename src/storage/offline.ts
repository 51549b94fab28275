import { openOfflineFile } from './offline-file.ts';
import type { OfflinePair, OfflineStore } from './offline-store.ts';
import { isStoreUrl, StoreError, withoutPassword } from './store.ts';

/** Opens a store for reading. Throws StoreError ABSENT when there is none, CORRUPT when there are parts of one. */
export async function openOffline(url: string): Promise<OfflineStore> {
  if (!isStoreUrl(url)) {
    throw new StoreError(
      'ABSENT',
      `"${withoutPassword(url)}" names no store: it must begin with file:, redis:// or rediss://.`,
    );
  }
  if (url.startsWith('file:')) return openOfflineFile(url);
  // Its client is loaded only where it is used.
  return (await import('./offline-redis.ts')).openOfflineRedis(url);
}

/** Opens both. Throws StoreError LOCKED when a server has either and `atRest` is wanted, INCOMPATIBLE when they do not belong together. */
export async function openPair(url: string, snapshotsUrl: string, atRest: boolean): Promise<OfflinePair> {
  const journal = await openOffline(url);
  let snapshots = journal;
  try {
    if (snapshotsUrl !== '' && snapshotsUrl !== url) snapshots = await openOffline(snapshotsUrl);
    if (snapshots.identity.id !== journal.identity.id) {
      throw new StoreError(
        'INCOMPATIBLE',
        `The snapshots in ${snapshots.label} belong to another journal than ${journal.label} ` +
          `(${snapshots.identity.id}, not ${journal.identity.id}). Name the two that belong together.`,
      );
    }
    if (atRest) await refuseInUse({ journal, snapshots });
    return { journal, snapshots };
  } catch (error) {
    await closePair({ journal, snapshots });
    throw error;
  }
}

/**
 * Throws StoreError LOCKED when a server has the store: what it writes and trims meanwhile would look like damage. To be called before
 * and after the work, since nothing keeps a server from starting in between.
 */
export async function refuseInUse({ journal, snapshots }: OfflinePair): Promise<void> {
  for (const store of new Set([journal, snapshots])) {
    const owner = await store.owner();
    if (owner === undefined) continue;
    throw new StoreError(
      'LOCKED',
      `${store.label} is in use by ${owner}, and what a server writes meanwhile would look like damage. Stop it first, or name a ` +
        'copy of the store; `holdfast inspect` checks the books of a running server.',
    );
  }
}

export async function closePair({ journal, snapshots }: OfflinePair): Promise<void> {
  await journal.close();
  if (snapshots !== journal) await snapshots.close();
}

/** Segments whose tables are in memory at once: memory stays bounded, and the journal is read once for each such group. */
const SEGMENTS_AT_ONCE = 16;

/** The segments of a store, some at a time. */
export function segmentGroups(segments: number): number[][] {
  const groups: number[][] = [];
  for (let from = 0; from < segments; from += SEGMENTS_AT_ONCE) {
    const count = Math.min(SEGMENTS_AT_ONCE, segments - from);
    groups.push(Array.from({ length: count }, (_, i) => from + i));
  }
  return groups;
}
