import type { Clock } from '../base/clock.ts';
import { Fence } from '../core/layout.ts';
import { SegmentTables } from '../core/segment-tables.ts';
import type { Log } from '../log/events.ts';
import { Doorbell } from '../ring/doorbell.ts';
import { ServerCell, serverCounters } from '../shard/counters.ts';
import type { Durability } from '../shard/durability.ts';
import { Control, controlOf, type EngineMemory } from '../shard/memory.ts';
import { type StoreAddress, StoreError, type StoreIdentity } from '../storage/store.ts';
import type { Pool } from './pool.ts';
import type { StorageService } from './storage-service.ts';

/** How often it is looked whether snapshots are due. */
const LOOK_MS = 250;
/** How often it is looked whether a worker has made a copy, or the storage thread has come so far. */
const POLL_MS = 2;
/** A worker that does not come to copy within this time has died, or will be replaced; the next round tries again. */
const COPY_MS = 10_000;
/** After a round that failed, the next one begins no sooner. */
const RETRY_MS = 5_000;

export interface MaintenanceOptions {
  memory: EngineMemory;
  durability: Durability;
  clock: Clock;
  pool: Pool;
  storage: StorageService;
  journal: StoreAddress;
  snapshots: StoreAddress;
  identity: StoreIdentity;
  /** A round of snapshots begins this long after the one before, or when the journal has grown by so much since. */
  periodMs: number;
  journalBytes: number;
  log: Log;
}

/**
 * Work on whole segments beside the commands, one segment at a time: snapshots, by which the journal gets shorter, and the rebuilding of a
 * segment that a thread died over. A worker gives each snapshot the time of one copy; everything else happens in the pool.
 */
export class Maintenance {
  private readonly options: MaintenanceOptions;
  private readonly controls: Int32Array[];
  private readonly doorbells: Doorbell[];
  private readonly owners: Int32Array;
  private readonly segments: SegmentTables[];
  /** LSN up to which each segment has two verified snapshots; -1 while that is not known. */
  private readonly trimLsns: Float64Array;
  /** Low 32 bits of the LSN to which each segment that is out of service must be restored. */
  private readonly fencedLsns = new Map<number, number>();
  private readonly timer: NodeJS.Timeout;
  private readonly counters: Float64Array;
  /** What is under way; each job begins when the one before is done. */
  private last: Promise<void> = Promise.resolve();
  private round: Promise<void> | undefined;
  private nextRoundMs: number;
  private bytesAfterRound: number;
  private stopping = false;

  constructor(options: MaintenanceOptions) {
    this.options = options;
    const { memory, storage, periodMs } = options;
    this.controls = memory.workers.map(controlOf);
    this.doorbells = memory.workers.map((own) => new Doorbell(own.sab, own.doorbell));
    this.owners = new Int32Array(memory.owners);
    this.segments = memory.segments.map(
      (sab, number) => new SegmentTables(number, memory.segmentOptions, sab),
    );
    this.trimLsns = new Float64Array(memory.segments.length).fill(-1);
    this.nextRoundMs = performance.now() + periodMs;
    this.counters = serverCounters(memory.counters);
    this.counters[ServerCell.SNAPSHOTS_AT] = options.clock();
    this.bytesAfterRound = storage.journalBytes;
    this.timer = setInterval(() => this.look(), LOOK_MS);
    this.timer.unref();
  }

  /** Begins no more, and waits for what is under way. */
  async stop(): Promise<void> {
    this.stopping = true;
    clearInterval(this.timer);
    await this.round;
    await this.last;
  }

  /** Restores a fenced segment from its snapshot and the journal, and puts it back into service. */
  rebuild(segment: number): Promise<void> {
    // Noted the first time only: a thread that dies over it once more finds it in the middle of being rebuilt.
    if (!this.fencedLsns.has(segment)) {
      this.fencedLsns.set(segment, (this.segments[segment] as SegmentTables).fencedLsnLow);
    }
    return this.queue(() => this.rebuildNow(segment));
  }

  /** A snapshot of every segment that has changed since the last but one. One round at a time. */
  takeSnapshots(): Promise<void> {
    this.round ??= this.snapshotRound().finally(() => {
      this.round = undefined;
    });
    return this.round;
  }

  private look(): void {
    const { storage, journalBytes } = this.options;
    // What a round lets go, goes a little later.
    this.bytesAfterRound = Math.min(this.bytesAfterRound, storage.journalBytes);
    const grown = storage.journalBytes - this.bytesAfterRound >= journalBytes;
    if (this.round === undefined && (grown || performance.now() >= this.nextRoundMs))
      void this.takeSnapshots();
  }

  private async snapshotRound(): Promise<void> {
    const { memory, storage, periodMs, log } = this.options;
    let taken = 0;
    let failed = 0;
    let away = false;
    const startedMs = performance.now();
    for (let segment = 0; segment < memory.segments.length && !this.stopping; segment++) {
      await this.queue(async () => {
        try {
          if (await this.snapshotNow(segment)) taken++;
        } catch (error) {
          failed++;
          away = error instanceof StoreError && error.retryable;
          if (!this.stopping) log({ event: 'snapshot-failed', segment, detail: inWords(error) });
        }
      });
      // What is away for one segment is away for all.
      if (away) break;
    }
    const now = performance.now();
    if (failed === 0) this.counters[ServerCell.SNAPSHOTS_AT] = this.options.clock();
    this.nextRoundMs = now + (failed > 0 ? RETRY_MS : periodMs);
    this.bytesAfterRound = storage.journalBytes;
    if (taken > 0) log({ event: 'snapshots', segments: taken, tookMs: Math.round(now - startedMs) });
  }

  /** Whether there was something to take. */
  private async snapshotNow(segment: number): Promise<boolean> {
    const { pool, storage, snapshots, identity, memory } = this.options;
    const { lsn, fenced } = this.segments[segment] as SegmentTables;
    // One that has not changed for a round gets a second snapshot like the first, or its last events would hold the journal for ever.
    if (fenced || lsn === this.trimLsns[segment] || lsn === 0) return false;
    const copied = await this.copy(segment);
    if (copied === undefined || memory.storage === undefined) return false;
    // A snapshot must not know of what the journal does not: after a start the two would not fit together.
    await this.until(() => this.options.durability.reached(copied.worker, copied.position));
    await storage.position();
    const { copy } = memory.storage;
    const { trimLsn, damaged } = await pool.snapshot({
      snapshots,
      identity,
      segment,
      copy,
      words: copied.words,
    });
    for (const detail of damaged) this.options.log({ event: 'snapshot-damaged', detail });
    this.trimLsns[segment] = trimLsn;
    if (trimLsn > 0) storage.trim(segment, trimLsn);
    return true;
  }

  /** Has the worker that owns a segment copy it. Undefined when the segment is out of service. */
  private async copy(
    segment: number,
  ): Promise<{ worker: number; words: number; position: number } | undefined> {
    const worker = Atomics.load(this.owners, segment);
    const control = this.controls[worker] as Int32Array;
    Atomics.store(control, Control.COPY, segment + 1);
    (this.doorbells[worker] as Doorbell).ring();
    const deadlineMs = performance.now() + COPY_MS;
    await this.until(() => Atomics.load(control, Control.COPY) === 0 || performance.now() > deadlineMs);
    // Taking the request back tells for certain whether it was met.
    if (Atomics.exchange(control, Control.COPY, 0) !== 0)
      throw new Error(`worker ${worker} did not copy it in time`);
    const words = control[Control.COPY_WORDS] as number;
    return words === 0 ? undefined : { worker, words, position: control[Control.COPY_POSITION] as number };
  }

  private async rebuildNow(segment: number): Promise<void> {
    const { memory, pool, storage, journal, snapshots, identity, log } = this.options;
    const worker = Atomics.load(this.owners, segment);
    const tables = this.segments[segment] as SegmentTables;
    // Fenced twice before it was rebuilt once: it is in service again, and nothing was missed while it was not.
    if (!tables.fenced) return;
    const wanted = this.fencedLsns.get(segment) as number;
    try {
      // All that the dead thread had finished is in the event ring, and must be in the journal before that is read.
      const written = (this.controls[worker] as Int32Array)[Control.EVENT_POSITION] as number;
      await this.until(() => this.options.durability.reached(worker, written));
      const untilPosition = await storage.position();
      const { segments } = await pool.recover({
        journal,
        snapshots,
        identity,
        segments: [segment],
        memory: [memory.segments[segment] as SharedArrayBuffer],
        erase: true,
        options: memory.segmentOptions,
        reader: { untilPosition },
        nowMs: this.options.clock(),
      });
      const [found] = segments;
      if (found === undefined || found.violations.length > 0) {
        throw new Error(found?.violations[0] ?? 'nothing was found of it');
      }
      if ((found.lsn | 0) !== wanted) {
        throw new Error(
          `the store has it up to LSN ${found.lsn}, and it was at ${wanted >>> 0} (low 32 bits)`,
        );
      }
      this.fencedLsns.delete(segment);
      tables.unfence();
      log({
        event: 'rebuilt',
        segment,
        detail: `snapshot at LSN ${found.snapshotLsn}, ${found.events} events behind it`,
      });
    } catch (error) {
      if (this.stopping) return;
      if (error instanceof StoreError && error.retryable) {
        setTimeout(() => void this.rebuild(segment), RETRY_MS).unref();
        log({ event: 'rebuild-failed', segment, detail: `tried again until it is: ${inWords(error)}` });
        return;
      }
      tables.fence(Fence.FOR_GOOD);
      log({ event: 'rebuild-failed', segment, detail: `it stays out of service: ${inWords(error)}` });
    }
  }

  private queue(job: () => Promise<void>): Promise<void> {
    this.last = this.last.then(job, job);
    return this.last;
  }

  private async until(met: () => boolean): Promise<void> {
    while (!met()) {
      if (this.stopping) throw new Error('the server is stopping');
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

function inWords(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
