import { availableParallelism } from 'node:os';
import { type ClockAnchor, clockFrom } from '../base/clock.ts';
import type { Log } from '../log/events.ts';
import { Durability } from '../shard/durability.ts';
import type { EngineMemory } from '../shard/memory.ts';
import { planted } from '../storage/failpoints.ts';
import { ServerExit } from './exit-codes.ts';
import { Maintenance } from './maintenance.ts';
import { Pool } from './pool.ts';
import type { Settings } from './setting-table.ts';
import { type RecoveryProgress, type RecoverySummary, type StartedStore, startStore } from './start-up.ts';
import { StorageService } from './storage-service.ts';

export interface DurableHooks {
  log: Log;
  onProgress?: (progress: RecoveryProgress) => void;
  /** The store failed or was taken away: the server must end, with this exit code. */
  onHopeless: (reason: string, exitCode: number) => void;
}

/** More threads than this do not restore a store's segments any faster than it can be read. */
const MOST_POOL_THREADS = 8;
/** Time that a snapshot under way gets when the server stops. */
const UNFINISHED_MS = 200;

/** Everything by which a server outlives its process: the store, the thread that writes to it, snapshots, rebuilding. */
export class Durable {
  private readonly settings: Settings;
  private readonly memory: EngineMemory;
  private readonly hooks: DurableHooks;
  private readonly pool: Pool;
  private readonly started: StartedStore;
  private readonly storage: StorageService;
  private maintenance: Maintenance | undefined;

  private constructor(
    settings: Settings,
    memory: EngineMemory,
    hooks: DurableHooks,
    running: { pool: Pool; started: StartedStore; storage: StorageService },
  ) {
    this.settings = settings;
    this.memory = memory;
    this.hooks = hooks;
    this.pool = running.pool;
    this.started = running.started;
    this.storage = running.storage;
    const { journal, snapshots } = this.started;
    void journal.lost?.then((reason) => hooks.onHopeless(`the store is lost: ${reason}`, ServerExit.STORE));
    // The journal is this server's own still, and has everything; it only grows from here on.
    if (snapshots !== journal) {
      void snapshots.lost?.then((detail) => {
        hooks.log({ event: 'snapshots-lost', detail });
        void this.maintenance?.stop();
      });
    }
  }

  /**
   * Restores what the store has into the memory, and starts the thread that writes to it. Throws StoreError, having let go of the store,
   * when it cannot be used.
   */
  static async start(settings: Settings, memory: EngineMemory, hooks: DurableHooks): Promise<Durable> {
    const detail = planted();
    if (detail !== undefined) hooks.log({ event: 'planted', detail });
    const pool = new Pool(Math.min(availableParallelism(), MOST_POOL_THREADS));
    let started: StartedStore | undefined;
    try {
      started = await startStore(settings, memory, pool, hooks.onProgress ?? (() => {}));
      const { store } = started.journal;
      const storage = await StorageService.start({
        memory,
        address: store.address,
        writer: started.writer,
        onTrouble: (problem) =>
          hooks.log({
            event: problem === undefined ? 'store-healed' : 'store-trouble',
            detail: problem ?? store.label,
          }),
        onTrimFailed: (detail) => hooks.log({ event: 'trim-failed', detail }),
        onFailed: (reason) => hooks.onHopeless(`the store failed: ${reason}`, ServerExit.STORE),
      });
      const { fresh, fromSnapshots, events, tookMs, remarks } = started.summary;
      hooks.log({
        event: 'restored',
        store: store.label,
        fresh,
        fromSnapshots,
        events,
        tookMs: Math.round(tookMs),
      });
      for (const detail of remarks) hooks.log({ event: 'restored-note', detail });
      return new Durable(settings, memory, hooks, { pool, started, storage });
    } catch (error) {
      await pool.destroy();
      if (started !== undefined) await releaseStores(started);
      throw error;
    }
  }

  /** The server's time, carried on from the run before. */
  get anchor(): ClockAnchor {
    return this.started.anchor;
  }

  /** Of the holders' hash. */
  get secret(): Uint8Array {
    return this.started.identity.secret;
  }

  /** The journal's place, without passwords. */
  get label(): string {
    return this.started.journal.store.label;
  }

  /** Where the snapshots are, where that is another place. */
  get snapshotsLabel(): string | undefined {
    const { journal, snapshots } = this.started;
    return snapshots === journal ? undefined : snapshots.store.label;
  }

  /** What an acknowledgement promises. */
  get promise(): string {
    return this.started.promise;
  }

  get recovery(): RecoverySummary {
    return this.started.summary;
  }

  /** Snapshots are taken from now on, and fenced segments rebuilt. */
  maintain(): void {
    const { settings, started } = this;
    this.maintenance = new Maintenance({
      memory: this.memory,
      durability: new Durability(this.memory),
      clock: clockFrom(started.anchor),
      pool: this.pool,
      storage: this.storage,
      journal: started.journal.store.address,
      snapshots: started.snapshots.store.address,
      identity: started.identity,
      periodMs: settings.snapshotPeriodMs,
      journalBytes: settings.snapshotJournalBytes,
      log: this.hooks.log,
    });
  }

  /** Restores a segment that was fenced off, and puts it back into service. */
  rebuild(segment: number): void {
    void this.maintenance?.rebuild(segment);
  }

  /**
   * Makes durable what waits, within `timeoutMs`, and lets go of the store. For when the workers have ended. Returns whether everything
   * was.
   */
  async stop(timeoutMs: number): Promise<boolean> {
    // A snapshot that waits for a store that does not answer is ended with the pool.
    const maintained = this.maintenance?.stop();
    const whole = await this.storage.stop(timeoutMs);
    await Promise.race([maintained, new Promise((resolve) => setTimeout(resolve, UNFINISHED_MS))]);
    await this.pool.destroy();
    await releaseStores(this.started);
    return whole;
  }
}

async function releaseStores({ journal, snapshots }: StartedStore): Promise<void> {
  if (snapshots !== journal) await snapshots.release();
  await journal.release();
}
