import type { OfflinePair } from './offline-store.ts';
import { type SegmentSurvey, type Survey, surveyJournal } from './offline-survey.ts';
import { decodeSnapshot } from './snapshot.ts';
import { StoreError } from './store.ts';

/** A point in a store's life: behind an event of a segment, with the others at the time of that event; or a time, ms; or the end. */
export type Point =
  | { readonly kind: 'event'; readonly segment: number; readonly lsn: number }
  | { readonly kind: 'time'; readonly timeMs: number }
  | { readonly kind: 'end' };

/** A point with the time that it stands for. */
export interface Cut {
  readonly timeMs: number;
  readonly segment?: number;
  readonly lsn?: number;
}

/** The store does not know the point that was asked for. The message says what it knows. */
export class PointError extends Error {
  override readonly name = 'PointError';
}

/** Finds out what time a point stands for; undefined for the end. Throws PointError when the store has no such event. */
export async function locate(
  pair: OfflinePair,
  point: Point,
): Promise<{ cut: Cut | undefined; survey: Survey }> {
  const survey = await surveyJournal(pair, point.kind === 'event' ? point : undefined);
  if (point.kind === 'end') return { cut: undefined, survey };
  if (point.kind === 'time') return { cut: { timeMs: point.timeMs }, survey };
  const { segment, lsn } = point;
  const { segments } = pair.journal.identity;
  if (segment >= segments)
    throw new PointError(`There is no segment ${segment}: the store has 0 to ${segments - 1}.`);
  const timeMs = survey.foundMs ?? (await timeOfSnapshot(pair, segment, lsn));
  if (timeMs === undefined) {
    throw new PointError(
      `There is no event ${segment}:${lsn}: ${knownOf(survey.segments[segment], segment)}.`,
    );
  }
  return { cut: { timeMs, segment, lsn }, survey };
}

function knownOf({ events, firstLsn, lastLsn }: SegmentSurvey, segment: number): string {
  if (events === 0) return `the journal has none of segment ${segment}`;
  return `the journal has ${segment}:${firstLsn} to ${segment}:${lastLsn}`;
}

/** The time at which a segment was at an LSN of which it has a snapshot. */
async function timeOfSnapshot(pair: OfflinePair, segment: number, lsn: number): Promise<number | undefined> {
  const snapshots = pair.snapshots.snapshots();
  try {
    const id = (await snapshots.list(segment)).find((one) => one.lsn === lsn);
    return id && decodeSnapshot(await snapshots.read(id), pair.journal.identity.id).timeMs;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'CORRUPT') return undefined;
    throw error;
  } finally {
    await snapshots.close();
  }
}
