import { MAX_SLOTS } from '../../protocol/limits.ts';
import { type SegmentOptions, segmentBytes } from '../core/layout.ts';
import { Segment } from '../core/segment.ts';
import type { OfflinePair } from './offline-store.ts';
import { type RestoreTask, restoreFrom, type SegmentRecovery } from './recovery.ts';
import { StoreError } from './store.ts';

export interface RestoredSegment {
  readonly recovery: SegmentRecovery;
  /** Valid until the next call. */
  readonly segment: Segment;
}

/** What restoring a segment came to: the segment, or why it cannot be restored. */
export type RestoreOutcome = RestoredSegment | { readonly number: number; readonly error: StoreError };

export type RestoreDetails = Pick<RestoreTask, 'until' | 'generation' | 'mayLackEnd' | 'progress'>;

/** Restores segments of a store at rest into memory of this thread, again and again into the same. */
export class OfflineRestorer {
  readonly #pair: OfflinePair;
  #options: SegmentOptions;
  #memory: SharedArrayBuffer[] = [];
  #used = false;

  constructor(pair: OfflinePair, options: SegmentOptions) {
    this.#pair = pair;
    this.#options = options;
  }

  /**
   * Restores a group, and tells of each segment; what it tells is valid until the next is asked for. Damage of one segment is that segment's
   * outcome alone. A store that was served with larger tables than `options` say is restored with the largest there are. Throws
   * StoreError when the store cannot be read at all.
   */
  async *restore(group: readonly number[], more: RestoreDetails = {}): AsyncGenerator<RestoreOutcome, void> {
    if (!isLargest(this.#options)) {
      try {
        yield* await this.#restore(group, more);
        return;
      } catch (error) {
        if (!isOfSegment(error)) throw error;
        if (isTooSmall(error)) {
          this.#options = largest(this.#options);
          this.#memory = [];
          this.#used = false;
        }
      }
    }
    // Each by itself: to tell which of them is damaged, or since they are large.
    for (const number of group) yield* await this.#alone(number, more);
  }

  async #alone(number: number, more: RestoreDetails): Promise<RestoreOutcome[]> {
    try {
      return await this.#restore([number], more);
    } catch (error) {
      if (!isOfSegment(error)) throw error;
      return [{ number, error }];
    }
  }

  async #restore(group: readonly number[], more: RestoreDetails): Promise<RestoredSegment[]> {
    const erase = this.#used;
    this.#used = true;
    while (this.#memory.length < group.length) {
      this.#memory.push(new SharedArrayBuffer(segmentBytes(this.#options)));
    }
    const memory = this.#memory.slice(0, group.length);
    const reader = this.#pair.journal.journal();
    const snapshots = this.#pair.snapshots.snapshots();
    try {
      const { identity } = this.#pair.journal;
      const task: RestoreTask = { identity, segments: group, memory, erase, options: this.#options, ...more };
      const { segments } = await restoreFrom(reader, snapshots, task);
      return segments.map((recovery, i) => ({
        recovery,
        segment: new Segment(recovery.segment, this.#options, memory[i]),
      }));
    } finally {
      await reader.close();
      await snapshots.close();
    }
  }
}

/** What is wrong with one segment's snapshot or events, and not with the store. */
function isOfSegment(error: unknown): error is StoreError {
  return error instanceof StoreError && (error.code === 'CORRUPT' || error.code === 'INCOMPATIBLE');
}

/** Replay and image both name the setting when a table is full. */
function isTooSmall({ message }: StoreError): boolean {
  return /the setting "\w+" (is too small|has room for)/.test(message);
}

function largest(options: SegmentOptions): SegmentOptions {
  return { ...options, skus: MAX_SLOTS - 1, holds: MAX_SLOTS, keys: MAX_SLOTS, holders: MAX_SLOTS };
}

function isLargest({ skus, holds, keys, holders }: SegmentOptions): boolean {
  return skus === MAX_SLOTS - 1 && holds === MAX_SLOTS && keys === MAX_SLOTS && holders === MAX_SLOTS;
}
