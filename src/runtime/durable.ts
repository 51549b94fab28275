import { availableParallelism } from 'node:os';
import type { ClockAnchor } from '../base/clock.ts';
import type { Front } from '../front/front.ts';
import type { EngineMemory } from '../shard/memory.ts';
import { planted } from '../storage/failpoints.ts';
import { Maintenance, type MaintenanceEvent } from './maintenance.ts';
import { Pool } from './pool.ts';
import type { Settings } from './setting-table.ts';
import { type RecoveryProgress, type RecoverySummary, type StartedStore, startStore } from './start-up.ts';
import { StorageService } from './storage-service.ts';

/** What happens to the store. */
export interface StoreEvent {
  readonly event: 'store-trouble' | 'store-healed' | 'planted';
  readonly detail: string;
}

export interface DurableHooks {
  log: (event: StoreEvent | MaintenanceEvent) => void;
  onProgress?: (progress: RecoveryProgress) => void;
  /** The store failed or was taken away: the server must end, with this exit code. */
  onHopeless: (reason: string, exitCode: number) => void;
}

/** The store cannot be used, or failed. */
export const EXIT_STORE = 74;
/** More threads than this do not restore a store's segments any faster than it can be read. */
const MOST_POOL_THREADS = 8;
/** How often it is looked whether the store stands still. */
const STALL_LOOK_MS = 50;

/** Everything by which a server outlives its process: the store, the thread that writes to it, snapshots, rebuilding. */
export class Durable {
  private readonly settings: Settings;
  private readonly memory: EngineMemory;
  private readonly hooks: DurableHooks;
  private readonly pool: Pool;
  private readonly started: StartedStore;
  private readonly storage: StorageService;
  private maintenance: Maintenance | undefined;
  private stallTimer: NodeJS.Timeout | undefined;

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
    for (const possession of new Set([journal, snapshots])) {
      void possession.lost?.then((reason) => hooks.onHopeless(`the store is lost: ${reason}`, EXIT_STORE));
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
        onFailed: (reason) => hooks.onHopeless(`the store failed: ${reason}`, EXIT_STORE),
      });
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

  /** What an acknowledgement promises. */
  get promise(): string {
    return this.started.promise;
  }

  get recovery(): RecoverySummary {
    return this.started.summary;
  }

  /** Begins what needs the front: it learns when the store stands still, and snapshots are taken. */
  attach(front: Front): void {
    const { settings, started } = this;
    this.stallTimer = setInterval(
      () => front.setStalled(front.durability.stalled(performance.now(), settings.storeStallMs)),
      STALL_LOOK_MS,
    );
    this.stallTimer.unref();
    this.maintenance = new Maintenance({
      memory: this.memory,
      durability: front.durability,
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

  /** Makes durable what waits, within `timeoutMs`, and lets go of the store. For when the workers have ended. */
  async stop(timeoutMs: number): Promise<void> {
    clearInterval(this.stallTimer);
    await this.maintenance?.stop();
    await this.storage.stop(timeoutMs);
    await this.pool.destroy();
    await releaseStores(this.started);
  }
}

async function releaseStores({ journal, snapshots }: StartedStore): Promise<void> {
  if (snapshots !== journal) await snapshots.release();
  await journal.release();
}
