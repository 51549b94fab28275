import { imageInfo } from '../core/image.ts';
import { failpoint } from './failpoints.ts';
import { openStore } from './open.ts';
import { decodeSnapshot, encodeSnapshot } from './snapshot.ts';
import {
  type SnapshotId,
  type SnapshotStore,
  type StoreAddress,
  StoreError,
  type StoreIdentity,
} from './store.ts';

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
  /** Older snapshots that proved damaged and were removed, in words. */
  readonly damaged: readonly string[];
}

/** Encodes and stores a copy, reads it back and compares, and only then removes the generation before the last. */
export async function takeSnapshot(task: SnapshotTask): Promise<SnapshotResult> {
  const store = await openStore(task.snapshots);
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
  const { second, damaged } = await keepTwo(snapshots, written, identity.id);
  return { lsn, bytes: bytes.length, trimLsn: second?.lsn ?? 0, damaged };
}

/**
 * Removes all snapshots of a segment but the one just written and the newest good one before it: a second generation for the day when the
 * first proves damaged. One that is damaged itself is none, and the journal behind it must stay.
 */
async function keepTwo(
  snapshots: SnapshotStore,
  written: SnapshotId,
  store: string,
): Promise<{ second: SnapshotId | undefined; damaged: string[] }> {
  let second: SnapshotId | undefined;
  const damaged: string[] = [];
  for (const id of await snapshots.list(written.segment)) {
    if (id.name === written.name) continue;
    const problem = second === undefined ? await damageOf(snapshots, id, store) : undefined;
    if (second === undefined && problem === undefined) {
      second = id;
      continue;
    }
    if (problem !== undefined) damaged.push(problem);
    await snapshots.remove(id);
  }
  return { second, damaged };
}

async function damageOf(
  snapshots: SnapshotStore,
  id: SnapshotId,
  store: string,
): Promise<string | undefined> {
  try {
    decodeSnapshot(await snapshots.read(id), store);
    return undefined;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'CORRUPT') return error.message;
    throw error;
  }
}

function equal(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
