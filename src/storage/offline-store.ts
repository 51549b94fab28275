import type { JournalCheck, JournalReader, SnapshotStore, StoreIdentity } from './store.ts';

/** What a walk over the whole journal of a store at rest found. */
export interface OfflineCheck extends JournalCheck {
  /** Journal files; undefined for stores without files. */
  readonly files: number | undefined;
}

/** A store that is only read, without a lock. What is read means something only while no server has it. */
export interface OfflineStore {
  /** As it is named to people, without passwords. */
  readonly label: string;
  readonly identity: StoreIdentity;
  /** Who has it at the moment, in words; undefined when nobody has. */
  owner(): Promise<string | undefined>;
  /** Throws StoreError CORRUPT at the first thing that is wrong with the journal. Changes nothing. */
  check(): Promise<OfflineCheck>;
  /**
   * A journal that ends where the first thing is wrong, without an error: check() tells whether that is the end. Files come one after the
   * other, Redis segment by segment.
   */
  journal(): JournalReader;
  snapshots(): SnapshotStore;
  close(): Promise<void>;
}

/** A journal, and where its snapshots are: in the same store or in another. */
export interface OfflinePair {
  readonly journal: OfflineStore;
  readonly snapshots: OfflineStore;
}
