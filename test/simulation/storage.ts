import type { EngineMemory } from '../../src/shard/memory.ts';
import { GroupCommit } from '../../src/storage/group-commit.ts';
import { type JournalWriter, StoreError } from '../../src/storage/store.ts';

type Phase = 'gather' | 'commit' | 'publish' | 'failed';

/**
 * The storage thread, cut into steps: the loop of src/storage/storage-loop.ts, between whose parts, and within whose calls to the disk,
 * anything else may happen.
 */
export class SimStorage {
  readonly group: GroupCommit;
  readonly writer: JournalWriter;
  phase: Phase = 'gather';
  /** A store that is full: the group is tried again. */
  troubled = false;
  /** A sync failed outside of a group: the next group will find the store failed. */
  doomed = false;
  /** What it was asked to let go of. */
  private readonly trims: { readonly segment: number; readonly lsn: number }[] = [];
  private readonly count: (what: string) => void;
  private inside = false;

  constructor(memory: EngineMemory, writer: JournalWriter, count: (what: string) => void) {
    this.writer = writer;
    this.group = new GroupCommit(memory, writer);
    this.count = count;
  }

  /** Takes one step, unless it is in the middle of one. Returns whether there was anything to do. */
  step(): boolean {
    if (this.inside) return false;
    this.inside = true;
    try {
      return this.takeStep();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.phase = 'failed';
      return true;
    } finally {
      this.inside = false;
    }
  }

  trim(segment: number, lsn: number): void {
    this.trims.push({ segment, lsn });
  }

  /** Up to where the journal can be read, all of which survives a loss of power. For when it is listening. */
  position(): number {
    try {
      this.writer.sync?.();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.doomed = true;
    }
    return this.writer.position;
  }

  /** Whether it would hear a message now: between two groups, or while it waits for room. */
  get listening(): boolean {
    return !this.inside && (this.phase === 'gather' || this.troubled);
  }

  private takeStep(): boolean {
    switch (this.phase) {
      case 'gather':
        if (this.trims.length > 0) this.letGo();
        if (this.group.gather() === 0) {
          this.writer.mark?.();
          return false;
        }
        this.phase = 'commit';
        return true;
      case 'commit':
        this.commit();
        return !this.troubled;
      case 'publish':
        this.group.publish();
        this.count('group');
        this.phase = 'gather';
        return true;
      default:
        return false;
    }
  }

  private commit(): void {
    try {
      void this.writer.commit();
      this.troubled = false;
      this.phase = 'publish';
    } catch (error) {
      if (!(error instanceof StoreError && error.retryable)) throw error;
      this.count('commit-without-room');
      this.troubled = true;
      if (this.trims.length > 0) this.letGo();
    }
  }

  /** What cannot be freed now is freed after the next snapshot. */
  private letGo(): void {
    const before = this.writer.bytes;
    for (const { segment, lsn } of this.trims.splice(0)) {
      try {
        void this.writer.trim(segment, lsn);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
      }
    }
    if (this.writer.bytes < before) this.count('trimmed');
  }
}
