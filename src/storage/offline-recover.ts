import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { copyImage, imageWords } from '../core/image.ts';
import type { SegmentOptions } from '../core/layout.ts';
import type { Segment } from '../core/segment.ts';
import { beginAt } from './file-base.ts';
import { attempt } from './file-errors.ts';
import { nodeFileLayer } from './file-layer.ts';
import { journalDirectory, storeDirectory } from './file-places.ts';
import { possessFileStore } from './file-store.ts';
import { refuseInUse, segmentGroups } from './offline.ts';
import { type Cut, locate, type Point, PointError } from './offline-point.ts';
import { OfflineRestorer, type RestoreDetails } from './offline-restore.ts';
import type { OfflinePair } from './offline-store.ts';
import type { SegmentSurvey, Survey } from './offline-survey.ts';
import type { SegmentRecovery } from './recovery.ts';
import { takeSnapshot } from './snapshot-task.ts';
import { type Possession, StoreError } from './store.ts';

export interface RecoverOptions {
  readonly tables: SegmentOptions;
  readonly point: Point;
  /** `file:` and the directory of the new store, which is empty or not there. */
  readonly into: string;
  /** As that of a start: segments loaded, events replayed, segments checked. */
  readonly progress?: SharedArrayBuffer;
}

export interface RecoveredStore {
  /** In the order of their numbers. */
  readonly segments: readonly SegmentRecovery[];
  /** Undefined for the end. */
  readonly cut: Cut | undefined;
}

/**
 * Restores a store at rest to a point, into a new one: a snapshot for each segment, an empty journal, the same
 * holders, and an id of its own. The new store appears whole or not at all. The old one is only read. Throws PointError when it does not go back so far, or is damaged before
 * the point, StoreError when it cannot be read or the new one cannot be written.
 */
export async function recoverStore(pair: OfflinePair, options: RecoverOptions): Promise<RecoveredStore> {
  const directory = storeDirectory(options.into);
  refuseOccupiedTarget(directory);
  const damage = await damageOf(pair);
  const { cut, survey } = await locate(pair, options.point);
  refuseBehindDamage(options.point, cut, survey, damage);
  const unfinished = `${directory}.unfinished-${process.pid}`;
  try {
    const segments = await writeStore(
      pair,
      options,
      { cut, survey, damaged: damage !== undefined },
      unfinished,
    );
    await refuseInUse(pair);
    attempt(`putting the new store into ${directory}`, () => {
      renameSync(unfinished, directory);
      nodeFileLayer.syncDirectory(dirname(directory));
    });
    return { segments, cut };
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    throw error;
  }
}

function refuseOccupiedTarget(directory: string): void {
  const names = attempt(`reading ${directory}`, () => (existsSync(directory) ? readdirSync(directory) : []));
  if (names.length > 0)
    throw new PointError(
      `${directory} is not empty (${names[0]}). Name a directory that is, or is not there yet.`,
    );
}

async function damageOf({ journal }: OfflinePair): Promise<StoreError | undefined> {
  try {
    await journal.check();
    return undefined;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'CORRUPT') return error;
    throw error;
  }
}

/** Nothing behind the damage is known, so a point there cannot be restored. */
function refuseBehindDamage(
  point: Point,
  cut: Cut | undefined,
  { lastMs, events, problem, segments }: Survey,
  damage: StoreError | undefined,
): void {
  const why = damage?.message ?? problem;
  const behind = cut === undefined || (point.kind === 'time' && cut.timeMs > lastMs);
  if (why === undefined || !behind) return;
  if (events === 0) throw new StoreError('CORRUPT', `${why} Nothing of the journal can be read before that.`);
  const last = segments.findIndex((segment) => segment.lastMs === lastMs);
  throw new StoreError(
    'CORRUPT',
    `${why} The last event before the damage is ${last}:${segments[last].lastLsn}, of ${new Date(lastMs).toISOString()}: ` +
      `--to ${new Date(lastMs).toISOString()} restores all that is whole.`,
  );
}

interface Known {
  readonly cut: Cut | undefined;
  readonly survey: Survey;
  readonly damaged: boolean;
}

async function writeStore(
  pair: OfflinePair,
  options: RecoverOptions,
  known: Known,
  directory: string,
): Promise<SegmentRecovery[]> {
  const { identity } = pair.journal;
  const possession = await possessFileStore(`file:${directory}`, {
    segments: identity.segments,
    create: true,
    // An id of its own, since its history parts from the old one here: neither journal nor snapshots of the one fit the other.
    identity: { ...identity, id: randomBytes(16).toString('hex') },
  });
  try {
    const restorer = new OfflineRestorer(pair, options.tables);
    const recovered: SegmentRecovery[] = [];
    for (const group of segmentGroups(identity.segments)) {
      for (const { part, until } of partsOf(group, known.cut)) {
        const more: RestoreDetails = {
          // What the snapshots have beyond the journal's end is all there is.
          mayLackEnd: true,
          ...(until && { until }),
          ...(options.progress && { progress: options.progress }),
        };
        for await (const outcome of restorer.restore(part, more)) {
          if ('error' in outcome) throw await explained(pair, known, outcome.number, outcome.error);
          const { recovery, segment } = outcome;
          await refuseIncomplete(pair, known, recovery);
          if (recovery.lsn > 0) await writeSnapshot(possession, segment);
          recovered.push(recovery);
        }
      }
    }
    recovered.sort((a, b) => a.segment - b.segment);
    const lsns = Float64Array.from(recovered, ({ lsn }) => lsn);
    const journal = journalDirectory(directory);
    attempt(`writing ${journal}`, () => beginAt(nodeFileLayer, journal, possession.identity, lsns));
    return recovered;
  } finally {
    await possession.release();
  }
}

/** The segment that the point names stops at its LSN, all others at the time of that event. */
function partsOf(
  group: readonly number[],
  cut: Cut | undefined,
): { part: number[]; until?: NonNullable<RestoreDetails['until']> }[] {
  if (cut === undefined) return [{ part: [...group] }];
  const others = group.filter((segment) => segment !== cut.segment);
  const parts = [{ part: others, until: { timeMs: cut.timeMs } }];
  if (cut.lsn === undefined || others.length === group.length) return parts;
  return [...parts, { part: [cut.segment as number], until: { lsn: cut.lsn } }];
}

/** Events that must follow may have been trimmed away: then the error is that the store does not go back so far. */
async function explained(
  pair: OfflinePair,
  known: Known,
  segment: number,
  error: StoreError,
): Promise<Error> {
  const { firstLsn } = known.survey.segments[segment];
  return known.cut !== undefined && firstLsn > 1 && !(await hasSnapshotBefore(pair, segment, firstLsn))
    ? tooEarly(segment)
    : error;
}

async function hasSnapshotBefore(pair: OfflinePair, segment: number, lsn: number): Promise<boolean> {
  return (await snapshotLsns(pair, segment)).some((one) => one < lsn);
}

async function snapshotLsns({ snapshots }: OfflinePair, segment: number): Promise<number[]> {
  const store = snapshots.snapshots();
  try {
    return (await store.list(segment)).map(({ lsn }) => lsn);
  } finally {
    await store.close();
  }
}

/** Throws unless nothing of the segment's life up to the point is missing, and its books are right. */
async function refuseIncomplete(pair: OfflinePair, known: Known, recovery: SegmentRecovery): Promise<void> {
  const { segment, lsn, baseLsn, violations } = recovery;
  if (violations.length > 0) {
    throw new StoreError(
      'CORRUPT',
      `What was restored contradicts itself: ${violations[0]}. Try an earlier point.`,
    );
  }
  const journal = known.survey.segments[segment];
  const newest = Math.max(0, ...(await snapshotLsns(pair, segment)));
  const last = Math.max(journal.lastLsn, newest);
  const atEnd = lsn === last || (known.damaged && lsn === Math.max(journal.lastLsn, baseLsn));
  if (!atEnd && !follows(journal, lsn + 1)) throw tooEarly(segment);
}

/** Whether the journal has this LSN, so that what is before it is all that was before it. */
function follows({ events, firstLsn, lastLsn, gaps }: SegmentSurvey, lsn: number): boolean {
  if (events === 0 || lsn < firstLsn || lsn > lastLsn) return false;
  return !gaps.some(({ after, next }) => lsn > after && lsn < next);
}

function tooEarly(segment: number): PointError {
  return new PointError(
    `The store does not go back so far: of segment ${segment}, the events up to there are trimmed away and no snapshot is old enough. ` +
      '`holdfast verify` shows what there is.',
  );
}

async function writeSnapshot({ store, identity }: Possession, segment: Segment): Promise<void> {
  const copy = new SharedArrayBuffer(imageWords(segment) * 4);
  const words = copyImage(segment, new Int32Array(copy));
  await takeSnapshot({ snapshots: store.address, identity, segment: segment.number, copy, words });
}
