import { imageInfo } from '../core/image.ts';
import { failpoint } from './failpoints.ts';
import { openStore } from './open.ts';
import { decodeSnapshot, encodeSnapshot } from './snapshot.ts';
import { type SnapshotStore, type StoreAddress, StoreError, type StoreIdentity } from './store.ts';

/** Generations of snapshots that a segment keeps: a second one for the day when the first proves damaged. */
const GENERATIONS = 2;

/** One segment's copy, to be made a snapshot. Structured-cloneable: it goes to a thread of the pool. */
export interface SnapshotTask {
  readonly snapshots: StoreAddress;
  readonly identity: StoreIdentity;
  readonly segment: number;
  /** The image of the segment in its first words. */
  readonly copy: SharedArrayBuffer;
  readonly words: number;
}

export interface SnapshotResult {
  readonly lsn: number;
  /** Encoded. */
  readonly bytes: number;
  /** Events up to this LSN are in a verified snapshot and in the one before it: the journal may forget them. 0 for none. */
  readonly trimLsn: number;
}

/** Encodes and stores a copy, reads it back and compares, and only then removes the generation before the last. */
export async function takeSnapshot(task: SnapshotTask): Promise<SnapshotResult> {
  const store = openStore(task.snapshots);
  const snapshots = store.snapshots(task.identity);
  try {
    return await takeInto(snapshots, task);
  } finally {
    await snapshots.close();
    await store.close();
  }
}

/** The same into snapshots that the caller has open, and closes. */
export async function takeInto(
  snapshots: SnapshotStore,
  { identity, segment, copy, words }: Omit<SnapshotTask, 'snapshots'>,
): Promise<SnapshotResult> {
  const image = new Int32Array(copy, 0, words);
  const { lsn, timeMs } = imageInfo(image);
  const bytes = encodeSnapshot({ store: identity.id, segment, lsn, timeMs, image });
  // A segment that does not change any more gets a second snapshot at the same LSN, so that the journal before it can go.
  const [newest] = await snapshots.list(segment);
  const written = await snapshots.write(segment, lsn, bytes, newest?.lsn === lsn ? newest.copy + 1 : 0);
  failpoint('snapshot.verify');
  const { image: readBack } = decodeSnapshot(await snapshots.read(written), identity.id);
  if (!equal(image, readBack)) {
    await snapshots.remove(written);
    throw new StoreError('CORRUPT', `${written.name} does not read back as it was written; it is removed.`);
  }
  const all = await snapshots.list(segment);
  for (const old of all.slice(GENERATIONS)) await snapshots.remove(old);
  return { lsn, bytes: bytes.length, trimLsn: all[GENERATIONS - 1]?.lsn ?? 0 };
}

function equal(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
