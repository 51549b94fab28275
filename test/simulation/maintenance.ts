import type { Prng } from '../../src/base/prng.ts';
import { imageInfo } from '../../src/core/image.ts';
import { Fence, Header } from '../../src/core/layout.ts';
import type { Durability } from '../../src/shard/durability.ts';
import { Control, controlOf, type EngineMemory, type StorageMemory } from '../../src/shard/memory.ts';
import { restoreFrom, type SegmentRecovery } from '../../src/storage/recovery.ts';
import { type SnapshotResult, takeInto } from '../../src/storage/snapshot-task.ts';
import { type JournalReader, type Store, StoreError, type StoreIdentity } from '../../src/storage/store.ts';
import type { SimStorage } from './storage.ts';

export interface MaintenanceWorld {
  readonly memory: EngineMemory;
  readonly durability: Durability;
  readonly storage: SimStorage;
  readonly store: Store;
  readonly identity: StoreIdentity;
  readonly prng: Prng;
  readonly count: (what: string) => void;
  /** A segment is as its journal says, and about to be in service again. */
  readonly rebuilt: (found: SegmentRecovery) => void;
  /** Whether the server is gone, so that whatever fails fails for that. */
  readonly gone: () => boolean;
  /** May put another reader in the place of one. */
  readonly tamper: (reader: JournalReader) => JournalReader;
}

interface Copy {
  readonly segment: number;
  readonly worker: number;
  readonly words: number;
  readonly position: number;
  readonly lsn: number;
}

type Job =
  | { readonly what: 'copy'; readonly segment: number }
  | { readonly what: 'snapshot'; readonly copy: Copy }
  | { readonly what: 'rebuild'; readonly segment: number };

/**
 * Snapshots and rebuilding, one job at a time: the steps of src/runtime/maintenance.ts with its waits turned inside out. What the pool does
 * there happens in one step here, within whose calls to the disk others go on.
 */
export class SimMaintenance {
  private readonly world: MaintenanceWorld;
  private readonly owners: Int32Array;
  /** Up to where each segment's events were let go of in this run. */
  private readonly trimLsns: Float64Array;
  private readonly fenced: number[] = [];
  private job: Job | undefined;

  constructor(world: MaintenanceWorld) {
    this.world = world;
    this.owners = new Int32Array(world.memory.owners);
    this.trimLsns = new Float64Array(world.memory.segments.length).fill(-1);
  }

  get idle(): boolean {
    return this.job === undefined && this.fenced.length === 0;
  }

  rebuild(segment: number): void {
    this.fenced.push(segment);
  }

  /** Takes one step; begins a snapshot where there is nothing else to do and `more` allows it. */
  async step(more: boolean): Promise<void> {
    const { job } = this;
    try {
      if (job === undefined) this.begin(more);
      else if (job.what === 'copy') this.lookForCopy(job.segment);
      else if (job.what === 'snapshot') await this.snapshot(job.copy);
      else await this.rebuildNow(job.segment);
    } catch (error) {
      this.job = undefined;
      if (this.world.gone()) return;
      if (!(error instanceof StoreError) || error.code === 'CORRUPT') throw error;
      this.world.count('snapshot-failed');
    }
  }

  /** Whether the journal has all that a copy knows of. */
  isDurable({ worker, position }: Copy): boolean {
    return this.world.durability.reached(worker, position);
  }

  /** Whether the journal has all that a dead thread had finished. */
  isWritten(worker: number): boolean {
    const written = this.controlOf(worker)[Control.EVENT_POSITION] as number;
    return this.world.durability.reached(worker, written);
  }

  /** A copy was made; it is not a snapshot yet. */
  copied(_copy: Copy): void {}

  /** A snapshot was taken, and verified. */
  taken({ trimLsn }: SnapshotResult, segment: number): void {
    if (trimLsn > 0) this.world.storage.trim(segment, trimLsn);
  }

  private begin(more: boolean): void {
    const { memory, prng } = this.world;
    const fenced = this.fenced.shift();
    if (fenced !== undefined) {
      // Two threads may have died over it before it was rebuilt.
      if (this.headerOf(fenced).i32[Header.FENCED] === Fence.NONE) return;
      this.job = { what: 'rebuild', segment: fenced };
      return;
    }
    const segment = prng.below(memory.segments.length);
    const { i32, f64 } = this.headerOf(segment);
    const lsn = f64[Header.LSN_F64];
    if (!more || i32[Header.FENCED] !== Fence.NONE || lsn === 0 || lsn === this.trimLsns[segment]) return;
    Atomics.store(this.controlOf(this.owners[segment]), Control.COPY, segment + 1);
    this.job = { what: 'copy', segment };
  }

  private lookForCopy(segment: number): void {
    const { prng, memory } = this.world;
    const worker = this.owners[segment];
    const control = this.controlOf(worker);
    if (Atomics.load(control, Control.COPY) !== 0 && !prng.oneIn(20)) return;
    this.job = undefined;
    if (Atomics.exchange(control, Control.COPY, 0) !== 0) {
      this.world.count('copy-given-up');
      return;
    }
    const words = control[Control.COPY_WORDS] as number;
    if (words === 0) return;
    const { lsn } = imageInfo(new Int32Array((memory.storage as StorageMemory).copy, 0, words));
    const copy = { segment, worker, words, position: control[Control.COPY_POSITION] as number, lsn };
    this.job = { what: 'snapshot', copy };
    this.copied(copy);
  }

  private async snapshot(copy: Copy): Promise<void> {
    const { memory, store, identity, storage, count } = this.world;
    if (!this.isDurable(copy) || !storage.listening || memory.storage === undefined) return;
    storage.position();
    const { segment, words } = copy;
    const snapshots = store.snapshots(identity);
    const taken = await takeInto(snapshots, { identity, segment, copy: memory.storage.copy, words });
    this.trimLsns[segment] = taken.trimLsn;
    this.taken(taken, segment);
    this.job = undefined;
    count('snapshot');
  }

  private async rebuildNow(segment: number): Promise<void> {
    const { memory, store, identity, storage, count, rebuilt } = this.world;
    if (!this.isWritten(this.owners[segment]) || !storage.listening) return;
    const reader = store.reader({ untilPosition: storage.position() });
    try {
      const { segments } = await restoreFrom(this.world.tamper(reader), store.snapshots(identity), {
        identity,
        segments: [segment],
        memory: [memory.segments[segment]],
        erase: true,
        options: memory.segmentOptions,
      });
      if (this.world.gone()) return;
      rebuilt(segments[0]);
      Atomics.store(this.headerOf(segment).i32, Header.FENCED, Fence.NONE);
      count('rebuilt');
    } finally {
      if (!this.world.gone()) await reader.close();
      this.job = undefined;
    }
  }

  private controlOf(worker: number): Int32Array {
    return controlOf(this.world.memory.workers[worker]);
  }

  private headerOf(segment: number): { i32: Int32Array; f64: Float64Array } {
    const sab = this.world.memory.segments[segment];
    return {
      i32: new Int32Array(sab, 0, Header.WORDS),
      f64: new Float64Array(sab, 0, Header.WORDS / 2),
    };
  }
}
