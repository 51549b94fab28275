import type { SnapshotId, SnapshotStore } from './store.ts';

/**
 * Reads the snapshots of two stores as those of one, for a start: those that are kept apart, and those that lie with the journal from
 * the time before they were, or from `holdfast recover`. Writes go to the first.
 */
export class BothSnapshots implements SnapshotStore {
  private readonly apart: SnapshotStore;
  private readonly own: SnapshotStore;
  private readonly ofOwn = new WeakSet<SnapshotId>();

  constructor(apart: SnapshotStore, own: SnapshotStore) {
    this.apart = apart;
    this.own = own;
  }

  async list(segment: number): Promise<SnapshotId[]> {
    const own = await this.own.list(segment);
    for (const id of own) this.ofOwn.add(id);
    return [...(await this.apart.list(segment)), ...own].sort((a, b) => b.lsn - a.lsn || b.copy - a.copy);
  }

  read(id: SnapshotId): Promise<Uint8Array> {
    return this.storeOf(id).read(id);
  }

  write(segment: number, lsn: number, bytes: Uint8Array, copy?: number): Promise<SnapshotId> {
    return this.apart.write(segment, lsn, bytes, copy);
  }

  remove(id: SnapshotId): Promise<void> {
    return this.storeOf(id).remove(id);
  }

  async close(): Promise<void> {
    await this.apart.close();
    await this.own.close();
  }

  /** Of an id that list() gave. */
  private storeOf(id: SnapshotId): SnapshotStore {
    return this.ofOwn.has(id) ? this.own : this.apart;
  }
}
