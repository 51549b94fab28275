import { allSegments, JournalWalk, newestLsns } from './dump-walk.ts';
import type { OfflinePair } from './offline-store.ts';

/** What a journal has of a segment. LSNs and times are 0 where it has nothing. */
export interface SegmentSurvey {
  /** Changes of state, each with an LSN of its own. */
  readonly events: number;
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** Where LSNs do not follow each other, the first few. */
  readonly gaps: readonly Gap[];
}

export interface Gap {
  /** The last LSN before the gap, and the first behind it. */
  readonly after: number;
  readonly next: number;
  readonly where: string;
}

export interface Survey {
  readonly segments: readonly SegmentSurvey[];
  readonly events: number;
  /** Time of the first and the last event, ms; 0 without any. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** Time of the event that was asked for, ms, where it is in the journal. */
  readonly foundMs: number | undefined;
  /** An event that is none, at which the survey ended. */
  readonly problem: string | undefined;
}

const MOST_GAPS = 10;

/** Reads a journal, up to the first damage, and notes what there is of each segment. */
export async function surveyJournal(
  pair: OfflinePair,
  find?: { segment: number; lsn: number },
): Promise<Survey> {
  const segments = allSegments(pair);
  const walk = new JournalWalk(await newestLsns(pair));
  const found = Array.from(segments, () => ({
    events: 0,
    firstLsn: 0,
    lastLsn: 0,
    firstMs: 0,
    lastMs: 0,
    gaps: [] as Gap[],
  }));
  let foundMs: number | undefined;
  let problem: string | undefined;
  const reader = pair.journal.journal();
  try {
    for await (const batch of reader.batches(segments, () => 0)) {
      problem = walk.walk(batch, (_i32, _at, { segment, lsn, lsns, timeMs }, where) => {
        const own = found[segment];
        if (own.events === 0) {
          own.firstLsn = lsn;
          own.firstMs = timeMs;
        } else if (lsn !== own.lastLsn + 1 && own.gaps.length < MOST_GAPS) {
          own.gaps.push({ after: own.lastLsn, next: lsn, where });
        }
        own.events += lsns;
        own.lastLsn = lsn + lsns - 1;
        own.lastMs = timeMs;
        if (find !== undefined && find.segment === segment && find.lsn >= lsn && find.lsn < lsn + lsns)
          foundMs = timeMs;
      });
      if (problem !== undefined) break;
    }
  } finally {
    await reader.close();
  }
  const some = found.filter(({ events }) => events > 0);
  return {
    segments: found,
    events: some.reduce((sum, { events }) => sum + events, 0),
    firstMs: some.length === 0 ? 0 : Math.min(...some.map(({ firstMs }) => firstMs)),
    lastMs: Math.max(0, ...some.map(({ lastMs }) => lastMs)),
    foundMs,
    problem,
  };
}
