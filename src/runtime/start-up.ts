import type { ClockAnchor } from '../base/clock.ts';
import type { EngineMemory } from '../shard/memory.ts';
import { possessStore } from '../storage/open.ts';
import { type RecoveryTask, recoverSegments, type SegmentRecovery } from '../storage/recovery.ts';
import {
  type JournalCheck,
  type Possession,
  type PossessOptions,
  StoreError,
  type StoreIdentity,
  type WriterOptions,
  withoutPassword,
} from '../storage/store.ts';
import type { Pool } from './pool.ts';
import { carryOnClock, readBootId, runClockOf } from './run-clock.ts';
import type { Settings } from './settings.ts';

/** How far a start has come. */
export interface RecoveryProgress {
  readonly segments: number;
  /** Segments whose snapshot is loaded, or that have none; events replayed; segments whose invariant was checked. */
  readonly loaded: number;
  readonly events: number;
  readonly checked: number;
}

/** What a start found, for the log and the start-up block. */
export interface RecoverySummary {
  readonly fresh: boolean;
  readonly fromSnapshots: number;
  readonly events: number;
  readonly journalBytes: number;
  readonly tookMs: number;
  /** Sentences that an operator should read: a torn end that was cut off, damaged snapshots that were passed over. */
  readonly remarks: readonly string[];
}

/** A store with everything that was in it in memory again. */
export interface StartedStore {
  readonly journal: Possession;
  /** The journal's own, or another. */
  readonly snapshots: Possession;
  readonly identity: StoreIdentity;
  readonly anchor: ClockAnchor;
  readonly writer: WriterOptions;
  /** What an acknowledgement promises. */
  readonly promise: string;
  readonly summary: RecoverySummary;
}

/** A journal shorter than this, of a store without snapshots, is read in the main thread. */
const LITTLE_BYTES = 1 << 20;
/** Between two looks at how far the recovery has come. */
const PROGRESS_MS = 100;

/**
 * Takes the stores of the settings into possession and restores every segment into `memory`. Throws StoreError when that cannot be done
 * without loss, having let go of what it took.
 */
export async function startStore(
  settings: Settings,
  memory: EngineMemory,
  pool: Pool,
  onProgress: (progress: RecoveryProgress) => void,
): Promise<StartedStore> {
  const startedMs = performance.now();
  const options = {
    segments: settings.segments,
    redisWait: settings.redisWait,
    redisVolatile: settings.redisVolatile === 'accept',
    journalFileBytes: settings.journalFileBytes,
    create: true,
  };
  const taken: Possession[] = [];
  const possess = async (url: string, more: Partial<PossessOptions>): Promise<Possession> => {
    const possession = await possessStore(url, { ...options, ...more });
    taken.push(possession);
    return possession;
  };
  try {
    const apart = settings.snapshots !== '' && settings.snapshots !== settings.store;
    const there = apart ? await orAbsent(possess(settings.snapshots, { create: false })) : undefined;
    // Where there are snapshots already, a journal that is not there is not new, but lost or elsewhere.
    const journal = await orAbsent(possess(settings.store, { create: there === undefined }));
    if (journal === undefined) throw journalMissing(settings.store, there as Possession);
    const { identity } = journal;
    const snapshots = there ?? (apart ? await possess(settings.snapshots, { identity }) : journal);
    checkIdentity(settings, journal, snapshots);
    const promise = await journal.store.promise(settings.ack);
    // The journal is trimmed behind the snapshots, so they must be kept as well as it is.
    if (snapshots !== journal) await snapshots.store.promise('journal');
    // While the journal is checked, threads can start.
    if (!snapshots.identity.fresh) pool.warm();
    const check = await journal.check();
    const bootId = readBootId();
    const { wallMs: nowMs } = carryOnClock(check.lastRun, 0, bootId);
    const found = await recover(settings, memory, pool, { journal, snapshots, check, nowMs }, onProgress);
    const lastEventMs = Math.max(...found.segments.map(({ timeMs }) => timeMs));
    const anchor = carryOnClock(check.lastRun, lastEventMs, bootId);
    const lsns = new Float64Array(settings.segments);
    for (const { segment, lsn } of found.segments) lsns[segment] = lsn;
    return {
      journal,
      snapshots,
      identity,
      anchor,
      promise,
      writer: {
        ack: settings.ack,
        end: check.end,
        run: runClockOf(anchor, bootId),
        identity,
        lastLsns: found.lastLsns,
        lsns,
      },
      summary: {
        fresh: identity.fresh,
        fromSnapshots: found.segments.filter(({ snapshotLsn }) => snapshotLsn > 0).length,
        events: found.segments.reduce((sum, { events }) => sum + events, 0),
        journalBytes: check.bytes,
        tookMs: performance.now() - startedMs,
        remarks: [
          ...(check.torn === undefined ? [] : [check.torn]),
          ...found.segments.flatMap(({ damaged }) => damaged),
        ],
      },
    };
  } catch (error) {
    for (const possession of taken) await possession.release();
    throw error;
  }
}

function journalMissing(store: string, { store: { label, address } }: Possession): StoreError {
  return new StoreError(
    'ABSENT',
    `${label} has snapshots, and ${withoutPassword(store)} has no journal to go with them: what came behind the snapshots would be lost. ` +
      'Name the journal that they belong to. If it is gone, start from the snapshots: ' +
      `holdfast recover ${withoutPassword(address.url)} --to end --into file:<directory>, and serve that with other --snapshots.`,
  );
}

async function orAbsent(possession: Promise<Possession>): Promise<Possession | undefined> {
  try {
    return await possession;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'ABSENT') return undefined;
    throw error;
  }
}

function checkIdentity(settings: Settings, journal: Possession, snapshots: Possession): void {
  const { identity } = journal;
  if (identity.segments !== settings.segments) {
    throw new StoreError(
      'INCOMPATIBLE',
      `${journal.store.label} was made with ${identity.segments} segments, and this server is set to ${settings.segments}: ` +
        `SKUs would be looked for in the wrong ones. Start it with --segments ${identity.segments}.`,
    );
  }
  if (snapshots.identity.id !== identity.id) {
    throw new StoreError(
      'INCOMPATIBLE',
      `The snapshots in ${snapshots.store.label} belong to another journal than ${journal.store.label} ` +
        `(${snapshots.identity.id}, not ${identity.id}). Name the two that belong together, or another --snapshots.`,
    );
  }
}

/** Restores all segments, some in each thread of the pool. */
async function recover(
  settings: Settings,
  memory: EngineMemory,
  pool: Pool,
  stores: { journal: Possession; snapshots: Possession; check: JournalCheck; nowMs: number },
  onProgress: (progress: RecoveryProgress) => void,
): Promise<{ segments: SegmentRecovery[]; lastLsns: Float64Array[] }> {
  const { journal, snapshots, check, nowMs } = stores;
  const progress = new SharedArrayBuffer(3 * 4);
  const report = (): void => {
    const [loaded = 0, events = 0, checked = 0] = new Int32Array(progress);
    onProgress({ segments: settings.segments, loaded, events, checked });
  };
  const timer = setInterval(report, PROGRESS_MS);
  try {
    // To start a thread takes longer than to read little.
    const little = check.bytes < LITTLE_BYTES && snapshots.identity.fresh;
    const threads = little ? 1 : Math.min(pool.threads, settings.segments);
    const tasks = Array.from({ length: threads }, (_, thread) => {
      const segments = Array.from(memory.segments.keys()).filter((segment) => segment % threads === thread);
      const task: RecoveryTask = {
        journal: journal.store.address,
        snapshots: snapshots.store.address,
        identity: journal.identity,
        segments,
        memory: segments.map((segment) => memory.segments[segment] as SharedArrayBuffer),
        options: memory.segmentOptions,
        reader: { end: check.end },
        nowMs,
        progress,
      };
      return little ? recoverSegments(task) : pool.recover(task);
    });
    const parts = await Promise.all(tasks);
    report();
    const segments = parts.flatMap((part) => part.segments);
    checkInvariant(segments, journal.store.label);
    return {
      segments,
      lastLsns: merge(
        parts.map((part) => part.lastLsns),
        settings.segments,
      ),
    };
  } finally {
    clearInterval(timer);
  }
}

function checkInvariant(segments: readonly SegmentRecovery[], label: string): void {
  const [first, ...others] = segments.flatMap(({ violations }) => violations);
  if (first === undefined) return;
  throw new StoreError(
    'CORRUPT',
    `What was restored contradicts itself: ${first}${others.length === 0 ? '' : ` (and ${others.length} more)`}. ` +
      `\`holdfast verify ${label}\` tells more; \`holdfast recover\` can restore an earlier point into another directory.`,
  );
}

/** Each thread knows of its own segments; zero elsewhere. */
function merge(parts: readonly (readonly Float64Array[])[], segments: number): Float64Array[] {
  const files = Math.max(0, ...parts.map((part) => part.length));
  return Array.from({ length: files }, (_, file) => {
    const merged = new Float64Array(segments);
    for (const part of parts) {
      for (let segment = 0; segment < segments; segment++)
        merged[segment] = Math.max(merged[segment] as number, part[file]?.[segment] ?? 0);
    }
    return merged;
  });
}
