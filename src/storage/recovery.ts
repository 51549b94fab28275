import {
  Event,
  EventType,
  eventBytes,
  eventLsns,
  eventSegment,
  eventTime,
  eventType,
  lsnDistance,
} from '../core/events.ts';
import { eraseSegment, ImageError, restoreImage } from '../core/image.ts';
import { inspectSegment } from '../core/invariant.ts';
import { Header, type SegmentOptions } from '../core/layout.ts';
import { ReplayError, Replayer } from '../core/replay.ts';
import { Segment } from '../core/segment.ts';
import { BothSnapshots } from './both-snapshots.ts';
import { flawed } from './failpoints.ts';
import { openStore } from './open.ts';
import { decodeSnapshot } from './snapshot.ts';
import {
  type JournalBases,
  type JournalBatch,
  type JournalReader,
  type ReaderOptions,
  type SnapshotStore,
  type StoreAddress,
  StoreError,
  type StoreIdentity,
} from './store.ts';

/** What to recover, and into which memory. Structured-cloneable: it goes to a thread of the pool. */
export interface RecoveryTask {
  readonly journal: StoreAddress;
  readonly snapshots: StoreAddress;
  readonly identity: StoreIdentity;
  readonly segments: readonly number[];
  /** Memory of each of them. */
  readonly memory: readonly SharedArrayBuffer[];
  /** Whether there may be something in it, which is erased. */
  readonly erase?: boolean;
  readonly options: SegmentOptions;
  readonly reader: ReaderOptions;
  /** The server's time: what ended by then is found at once, however long ago that was. The time of the last event unless given. */
  readonly nowMs?: number;
  /** Int32: segments whose snapshot is loaded, events replayed, segments checked; goes up as the work goes on. */
  readonly progress?: SharedArrayBuffer;
  /** Stops here instead of at the end: at a time in ms, or at an LSN, which only means something for one segment. */
  readonly until?: { readonly timeMs?: number; readonly lsn?: number };
  /** Starts from the snapshot so many generations before the newest, for a check of all of them. */
  readonly generation?: number;
  /** The journal is known to lack its end, or may: a snapshot that knows more is not refused. */
  readonly mayLackEnd?: boolean;
}

/** Without the places, which are open already. */
export type RestoreTask = Omit<RecoveryTask, 'journal' | 'snapshots' | 'reader'>;

export interface SegmentRecovery {
  readonly segment: number;
  /** LSN of the last event, and the segment's time then, ms. */
  readonly lsn: number;
  readonly timeMs: number;
  /** LSN of the snapshot that it started from, 0 for none. */
  readonly snapshotLsn: number;
  /** LSN at which the journal that is left begins; 0 where it does not say. */
  readonly baseLsn: number;
  readonly events: number;
  /** Newer snapshots that could not be used, in words. */
  readonly damaged: readonly string[];
  /** From the check of the invariant; empty when all is well. */
  readonly violations: readonly string[];
}

export interface Recovery {
  readonly segments: readonly SegmentRecovery[];
  /** LSN of the last event of each segment in each journal file: [file][segment]; 0 where it has none. */
  readonly lastLsns: Float64Array[];
}

/**
 * Restores segments: the newest good snapshot of each, then the events behind it, then the check of the invariant. Throws StoreError
 * CORRUPT when anything is missing or contradicts itself, INCOMPATIBLE when it does not fit the settings.
 */
export async function recoverSegments(task: RecoveryTask): Promise<Recovery> {
  const journal = await openStore(task.journal);
  const snapshotStore = task.snapshots.url === task.journal.url ? journal : await openStore(task.snapshots);
  const own = journal.snapshots(task.identity);
  const snapshots =
    snapshotStore === journal ? own : new BothSnapshots(snapshotStore.snapshots(task.identity), own);
  const reader = journal.reader(task.reader);
  try {
    return await restoreFrom(reader, snapshots, task);
  } finally {
    await reader.close();
    await snapshots.close();
    await journal.close();
    if (snapshotStore !== journal) await snapshotStore.close();
  }
}

/** The same from a journal and snapshots that the caller has open, and closes. */
export async function restoreFrom(
  reader: JournalReader,
  snapshots: SnapshotStore,
  task: RestoreTask,
): Promise<Recovery> {
  const found = new Map<number, Restored>();
  for (const [i, number] of task.segments.entries()) {
    found.set(number, await restore(task, number, task.memory[i] as SharedArrayBuffer, snapshots));
    advance(task, 0, 1);
  }
  const lastLsns: Float64Array[] = [];
  const after = (segment: number): number => found.get(segment)?.segment.lsn ?? 0;
  for await (const batch of reader.batches(new Set(task.segments), after)) {
    replay(task, batch, found, lastLsns);
  }
  const { bases } = reader;
  for (const restored of found.values()) refuseIncomplete(task, restored, bases, lastLsns);
  return {
    segments: [...found.values()].map((restored) => finish(task, restored, bases)),
    lastLsns,
  };
}

interface Restored {
  readonly segment: Segment;
  readonly replayer: Replayer;
  readonly snapshotLsn: number;
  /** Of the newest snapshot that there is, damaged or not. */
  readonly newestLsn: number;
  readonly damaged: string[];
  events: number;
}

/** Loads the newest snapshot that is whole and not behind the point to stop at. */
async function restore(
  task: RestoreTask,
  number: number,
  sab: SharedArrayBuffer,
  snapshots: SnapshotStore,
): Promise<Restored> {
  const segment = new Segment(number, task.options, sab);
  const damaged: string[] = [];
  let snapshotLsn = 0;
  if (task.erase === true) eraseSegment(segment);
  const all = await snapshots.list(number);
  for (const id of all.slice(task.generation ?? 0)) {
    if (task.until?.lsn !== undefined && id.lsn > task.until.lsn) continue;
    try {
      const snapshot = decodeSnapshot(await snapshots.read(id), task.identity.id);
      if (snapshot.segment !== number || snapshot.lsn !== id.lsn) {
        throw new StoreError('CORRUPT', `It is that of segment ${snapshot.segment} at LSN ${snapshot.lsn}.`);
      }
      if (task.until?.timeMs !== undefined && snapshot.timeMs > task.until.timeMs) continue;
      restoreImage(segment, snapshot.image);
      snapshotLsn = snapshot.lsn;
      break;
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'CORRUPT')) throw incompatible(error, id.name);
      damaged.push(`${id.name}: ${error.message}`);
      eraseSegment(segment);
    }
  }
  return {
    segment,
    replayer: new Replayer(segment),
    snapshotLsn,
    newestLsn: all[0]?.lsn ?? 0,
    damaged,
    events: 0,
  };
}

/** Applies the events of a batch that belong to the segments at hand and are not in their snapshots. */
function replay(
  task: RestoreTask,
  batch: JournalBatch,
  found: ReadonlyMap<number, Restored>,
  lastLsns: Float64Array[],
): void {
  const { bytes } = batch;
  const i32 = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
  while (lastLsns.length <= batch.file) lastLsns.push(new Float64Array(task.identity.segments));
  const last = lastLsns[batch.file] as Float64Array;
  let events = 0;
  for (let at = 0; at < i32.length; at += eventBytes(i32[at + Event.BYTES] as number) >> 2) {
    const number = eventSegment(i32[at + Event.TAG] as number);
    const restored = found.get(number);
    if (restored === undefined) continue;
    const { segment } = restored;
    const distance = lsnDistance(i32, at, segment.lsn);
    const covered = eventLsns(i32, at);
    last[number] = Math.max(last[number] as number, segment.lsn + distance + covered - 1);
    if (distance + covered - 1 <= 0 || isBehind(task, i32, at, segment.lsn + distance)) continue;
    if (flawed('skip-record') && eventType(i32[at + Event.TAG] as number) === EventType.EXTENDED) {
      segment.memory.f64[Header.LSN_F64] = segment.lsn + 1;
      continue;
    }
    try {
      restored.replayer.apply(i32, at);
    } catch (error) {
      if (!(error instanceof ReplayError)) throw error;
      throw new StoreError(error.tooSmall ? 'INCOMPATIBLE' : 'CORRUPT', `${batch.where}: ${error.message}`, {
        cause: error,
      });
    }
    restored.events++;
    events++;
  }
  advance(task, 1, events);
}

function isBehind({ until }: RestoreTask, i32: Int32Array, at: number, lsn: number): boolean {
  if (until === undefined) return false;
  if (until.lsn !== undefined && lsn > until.lsn) return true;
  const timeMs = eventTime(i32[at + Event.TAG] as number, i32[at + Event.TIME] as number);
  return until.timeMs !== undefined && timeMs > until.timeMs;
}

/** Throws when what was restored of a segment is less than what the store says itself that there was. */
function refuseIncomplete(
  task: RestoreTask,
  { segment, snapshotLsn, newestLsn, damaged }: Restored,
  bases: JournalBases | undefined,
  lastLsns: readonly Float64Array[],
): void {
  const { number, lsn } = segment;
  const corrupt = (what: string): StoreError =>
    new StoreError('CORRUPT', [`Segment ${number} ${what}`, ...damaged].join(' '));
  const lost = `Its snapshots, or the newest of them, are missing: restore them from a copy of the store.`;
  if (task.until !== undefined) {
    const first = bases?.first[number] ?? 0;
    // With a snapshot, if one too new, it is the point that lies too far back, which the caller finds.
    if (lsn < first && newestLsn < first) {
      throw corrupt(
        `was at LSN ${first} when the journal that is left began, and can only be restored to LSN ${lsn}. ${lost}`,
      );
    }
    return;
  }
  if (lsn < newestLsn) {
    throw corrupt(`was once at LSN ${newestLsn}, and what can be read of it ends at LSN ${lsn}.`);
  }
  if (bases === undefined) return;
  const base = bases.last[number] as number;
  if (lsn < base) {
    throw corrupt(
      `was at LSN ${base} when the journal's last part began, and can only be restored to LSN ${lsn}. ${lost}`,
    );
  }
  const last = lastLsns.reduce((most, file) => Math.max(most, file[number] as number), base);
  if (snapshotLsn > last && task.mayLackEnd !== true) {
    throw corrupt(
      `has a snapshot at LSN ${snapshotLsn}, and the journal ends at LSN ${last} of it: the journal has lost its end, or is not the one that ` +
        'the snapshots were taken with. Restore the whole store from a copy; `holdfast recover --to end` makes a new store from the snapshots and what is left of the journal.',
    );
  }
}

function finish(task: RestoreTask, restored: Restored, bases: JournalBases | undefined): SegmentRecovery {
  const { segment, snapshotLsn, damaged, events } = restored;
  restored.replayer.finish(Math.max(task.nowMs ?? 0, segment.memory.f64[Header.NOW_F64] as number));
  const { violations } = inspectSegment(segment);
  advance(task, 2, 1);
  const timeMs = segment.memory.f64[Header.NOW_F64] as number;
  const baseLsn = bases?.first[segment.number] ?? 0;
  return {
    segment: segment.number,
    lsn: segment.lsn,
    timeMs,
    snapshotLsn,
    baseLsn,
    events,
    damaged,
    violations,
  };
}

/** A snapshot whose bytes are whole and which does not fit is for other settings or another version. */
function incompatible(error: unknown, name: string): unknown {
  if (!(error instanceof ImageError)) return error;
  return new StoreError('INCOMPATIBLE', `${name}: ${error.message}`, { cause: error });
}

function advance({ progress }: RestoreTask, word: number, by: number): void {
  if (progress !== undefined) Atomics.add(new Int32Array(progress), word, by);
}
