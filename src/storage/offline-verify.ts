import { imageInfo } from '../core/image.ts';
import { type Inspection, inspectSegment } from '../core/invariant.ts';
import type { SegmentOptions } from '../core/layout.ts';
import { refuseInUse, segmentGroups } from './offline.ts';
import { booksOf, differenceOf, type SegmentBooks } from './offline-books.ts';
import { OfflineRestorer } from './offline-restore.ts';
import type { OfflineCheck, OfflinePair } from './offline-store.ts';
import { type SegmentSurvey, type Survey, surveyJournal } from './offline-survey.ts';
import { decodeSnapshot } from './snapshot.ts';
import { type SnapshotId, type SnapshotStore, StoreError } from './store.ts';

/** Something that is not as it was written. The message names file or key, says where, and what can be done. */
export interface Finding {
  readonly segment?: number;
  readonly lsn?: number;
  readonly message: string;
}

export interface VerifiedSnapshot {
  readonly name: string;
  readonly lsn: number;
  readonly bytes: number;
  readonly good: boolean;
}

export interface VerifiedSegment {
  readonly segment: number;
  /** Newest first. */
  readonly snapshots: readonly VerifiedSnapshot[];
  readonly journal: SegmentSurvey;
  /** LSN and time (ms) at which a start would go on; undefined when it cannot be restored. */
  lsn: number | undefined;
  timeMs: number | undefined;
}

export interface Verification {
  readonly check: OfflineCheck | undefined;
  readonly survey: Survey;
  readonly segments: readonly VerifiedSegment[];
  /** Sums over all segments that could be restored. */
  readonly books: Omit<Inspection, 'violations'>;
  /** What an operator may want to know, and is no damage. */
  readonly remarks: readonly string[];
  readonly findings: readonly Finding[];
}

export interface VerifyOptions {
  readonly tables: SegmentOptions;
  /** Of segments restored and events replayed, as they come; each segment counts once for each snapshot that it is restored from. */
  readonly progress?: SharedArrayBuffer;
}

/**
 * Checks a store at rest as a start would, and what a start does not look at: all of the journal, every snapshot, and that each
 * generation of them leads to the same state. Throws StoreError when the store cannot be read; LOCKED when a server has it.
 */
export async function verifyStore(pair: OfflinePair, options: VerifyOptions): Promise<Verification> {
  const verification = await new Verifier(pair, options).run();
  await refuseInUse(pair);
  return verification;
}

class Verifier {
  readonly #pair: OfflinePair;
  readonly #options: VerifyOptions;
  readonly #remarks: string[] = [];
  readonly #findings: Finding[] = [];
  readonly #books = { skus: 0, openHolds: 0, available: 0, held: 0, sold: 0, total: 0, keys: 0 };

  constructor(pair: OfflinePair, options: VerifyOptions) {
    this.#pair = pair;
    this.#options = options;
  }

  async run(): Promise<Verification> {
    const check = await this.#checkJournal();
    const survey = await surveyJournal(this.#pair);
    if (survey.problem !== undefined)
      this.#findings.push({ message: `${survey.problem}.${this.#remedy(survey)}` });
    if (check === undefined) this.#adviseRecovery(survey);
    const segments = await this.#checkSnapshots(survey);
    await this.#restoreAll(segments, check !== undefined);
    const { books } = this;
    return { check, survey, segments, books, remarks: this.#remarks, findings: this.#findings };
  }

  get books(): Omit<Inspection, 'violations'> {
    return this.#books;
  }

  async #checkJournal(): Promise<OfflineCheck | undefined> {
    try {
      return await this.#pair.journal.check();
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'CORRUPT')) throw error;
      this.#findings.push({ message: error.message });
      return undefined;
    }
  }

  #adviseRecovery(survey: Survey): void {
    const remedy = this.#remedy(survey);
    if (remedy !== '') this.#remarks.push(remedy.trim());
  }

  #remedy({ lastMs, events }: Survey): string {
    if (events === 0) return '';
    const time = new Date(lastMs).toISOString();
    return ` The last event before the damage is of ${time}: \`holdfast recover ${this.#pair.journal.label} --to ${time} --into file:<new directory>\` restores up to there.`;
  }

  async #checkSnapshots(survey: Survey): Promise<VerifiedSegment[]> {
    const store = this.#pair.snapshots.snapshots();
    try {
      const segments: VerifiedSegment[] = [];
      for (const [segment, journal] of survey.segments.entries()) {
        const snapshots: VerifiedSnapshot[] = [];
        const ids = await store.list(segment);
        for (const [i, id] of ids.entries())
          snapshots.push(await this.#checkSnapshot(store, id, i, ids.length));
        segments.push({ segment, snapshots, journal, lsn: undefined, timeMs: undefined });
      }
      return segments;
    } finally {
      await store.close();
    }
  }

  async #checkSnapshot(
    store: SnapshotStore,
    id: SnapshotId,
    i: number,
    of: number,
  ): Promise<VerifiedSnapshot> {
    const { name, lsn, segment } = id;
    let bytes = 0;
    try {
      const encoded = await store.read(id);
      bytes = encoded.length;
      const snapshot = decodeSnapshot(encoded, this.#pair.journal.identity.id);
      const image = imageInfo(snapshot.image);
      const fits = [snapshot, image].every((part) => part.segment === segment && part.lsn === lsn);
      if (!fits) throw new Error(`It is that of segment ${snapshot.segment} at LSN ${snapshot.lsn}.`);
      return { name, lsn, bytes, good: true };
    } catch (error) {
      if (error instanceof StoreError && error.code !== 'CORRUPT' && error.code !== 'INCOMPATIBLE')
        throw error;
      const message = `${name}: ${(error as Error).message} ${adviceFor(i, of)}`;
      this.#findings.push({ segment, lsn, message });
      return { name, lsn, bytes, good: false };
    }
  }

  async #restoreAll(segments: readonly VerifiedSegment[], whole: boolean): Promise<void> {
    const restorer = new OfflineRestorer(this.#pair, this.#options.tables);
    const { progress } = this.#options;
    // Without a whole journal there is a finding already, and its end may only lie behind the damage.
    const more = { mayLackEnd: !whole, ...(progress !== undefined && { progress }) };
    for (const group of segmentGroups(segments.length)) {
      const newest = new Map<number, SegmentBooks>();
      for await (const outcome of restorer.restore(group, more)) {
        if ('error' in outcome) {
          this.#findings.push({ segment: outcome.number, message: outcome.error.message });
          continue;
        }
        const { segment, recovery } = outcome;
        const verified = segments[recovery.segment];
        verified.lsn = recovery.lsn;
        verified.timeMs = recovery.timeMs;
        for (const message of recovery.violations) {
          this.#findings.push({
            segment: recovery.segment,
            lsn: recovery.lsn,
            message: `${message}. ${VIOLATED}`,
          });
        }
        this.#sum(inspectSegment(segment));
        newest.set(recovery.segment, booksOf(segment));
      }
      await this.#compareOlder(restorer, segments, newest, whole);
    }
  }

  /** Restores from the generation before the newest, of the segments that have one, and compares. */
  async #compareOlder(
    restorer: OfflineRestorer,
    segments: readonly VerifiedSegment[],
    newest: ReadonlyMap<number, SegmentBooks>,
    whole: boolean,
  ): Promise<void> {
    const { progress } = this.#options;
    const group = [...newest.keys()].filter((segment) => this.#mayCompare(segments[segment], whole));
    if (group.length === 0) return;
    const more = { generation: 1, ...(progress !== undefined && { progress }) };
    for await (const outcome of restorer.restore(group, more)) {
      const number = 'error' in outcome ? outcome.number : outcome.recovery.segment;
      const [first, second] = segments[number].snapshots;
      if ('error' in outcome) {
        const message = `${second.name} and the journal behind it lead nowhere: ${outcome.error.message}`;
        this.#findings.push({ segment: number, lsn: second.lsn, message });
        continue;
      }
      const difference = differenceOf(
        newest.get(number) as SegmentBooks,
        booksOf(outcome.segment),
        outcome.segment,
      );
      if (difference === undefined) continue;
      const message = `${first.name} and ${second.name} lead to different states: ${difference}. Keep a copy of the store before you start a server on it, which would use the first of them.`;
      this.#findings.push({ segment: number, lsn: outcome.recovery.lsn, message });
    }
  }

  /** Whether all events behind the older snapshot should be there; says so where they are not. */
  #mayCompare({ segment, snapshots, journal }: VerifiedSegment, whole: boolean): boolean {
    const [newest, older] = snapshots;
    if (older === undefined || !newest.good || !older.good || !whole) return false;
    const begins = journal.events === 0 ? newest.lsn + 1 : journal.firstLsn;
    if (begins > older.lsn + 1) {
      const message = `The journal lacks LSN ${older.lsn + 1} to ${begins - 1} of segment ${segment}, and ${older.name} needs them: nothing stands in for ${newest.name}. A server's next two rounds of snapshots mend that.`;
      this.#findings.push({ segment, lsn: older.lsn, message });
      return false;
    }
    const gap = journal.gaps.find(({ next }) => next > older.lsn + 1);
    const after = Math.max(older.lsn, gap?.after ?? journal.lastLsn);
    if (after >= newest.lsn) return true;
    const message = `The journal lacks events of segment ${segment} behind LSN ${after} that ${newest.name} has: nothing stands in for it. What follows from that snapshot is whole.`;
    this.#findings.push({ segment, lsn: newest.lsn, message });
    return false;
  }

  #sum({ skus, openHolds, available, held, sold, total, keys }: Inspection): void {
    const sums = this.#books;
    sums.skus += skus;
    sums.openHolds += openHolds;
    sums.available += available;
    sums.held += held;
    sums.sold += sold;
    sums.total += total;
    sums.keys += keys;
  }
}

const VIOLATED =
  'A start refuses this store; `holdfast recover --to` restores an earlier point into another directory.';

function adviceFor(i: number, of: number): string {
  if (i + 1 < of) return 'A start passes it over and begins with the one before it.';
  return i === 0
    ? 'There is no other of this segment: restore it from a copy.'
    : 'It is only needed if the newer one is damaged too; the next rounds of snapshots replace it.';
}
