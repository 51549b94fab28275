import type { AckLevel } from '../../protocol/ack.ts';

/**
 * What the server needs of a store. A store keeps two things: a journal of events (their bytes are those of src/core/events.ts) and
 * snapshots of segments (their bytes are those of snapshot.ts); a file store or Redis can each keep either.
 *
 * The main thread takes a store into possession; the storage thread writes its journal; the tasks of the pool read journal
 * and snapshots and write snapshots. Each of them opens the store for itself, from its StoreAddress.
 */

/** Names a store to a thread; a plain object. */
export interface StoreAddress {
  /** `file:./data`, `redis://…`, `rediss://…`, `redis+sentinel://…`, `redis+cluster://…` */
  readonly url: string;
  /** Of the possession that the main thread took, raised by each; stores that can be shared refuse a lower one. */
  readonly epoch: number;
  /** Replicas that must have a group before it counts as durable; Redis only. */
  readonly redisWait: number;
  /** Whether a Redis will do that keeps nothing on disk. */
  readonly redisVolatile?: boolean;
  /** Size of a journal file, after which the next one begins; stores with files only. */
  readonly journalFileBytes?: number;
}

/** Whether an address names a store that there is code for. */
export function isStoreUrl(url: string): boolean {
  return /^(file:.|rediss?(\+(sentinel|cluster))?:\/\/.)/.test(url);
}

/** An address as it may be shown: whatever stands before an @ may be a password. */
export function withoutPassword(url: string): string {
  return url.replace(/[^\s"'/]*@/g, '…@');
}

/** What a store knows of itself, made when it is first used and the same ever after. */
export interface StoreIdentity {
  /** 32 hexadecimal digits, drawn once. */
  readonly id: string;
  readonly segments: number;
  /** The secret of the holders' hash, 32 bytes. */
  readonly secret: Uint8Array;
  /** Whether this call made it: there was nothing. */
  readonly fresh: boolean;
}

/**
 * How a run of the server tells the time: its time is the machine's monotonic clock plus an offset, as long as the machine does
 * not start anew. A later run in the same boot thus carries on to the millisecond, whatever became of the wall clock.
 */
export interface RunClock {
  /** The kernel's boot id, of this start of the machine. */
  readonly bootId: string;
  /** Server's time less process.hrtime, ms. */
  readonly offsetMs: number;
}

export type StoreErrorCode =
  /** There is no store at the address. */
  | 'ABSENT'
  /** Another server has it. */
  | 'LOCKED'
  /** Another server has taken it over; this one must end. */
  | 'FENCED'
  /** Bytes that were durable are not what was written. */
  | 'CORRUPT'
  /** Made with other settings or by another version, or no store at all. */
  | 'INCOMPATIBLE'
  /** No room; goes on when there is. */
  | 'FULL'
  /** Not reached at the moment; goes on when it is. */
  | 'AWAY'
  /** Does not promise what is asked of it. */
  | 'WEAK'
  /** A write or sync failed for good. */
  | 'FAILED';

/** Something is wrong with a store. The message says what, where, and what can be done. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Whether the same call may succeed later, with nothing lost meanwhile. */
  get retryable(): boolean {
    return this.code === 'FULL' || this.code === 'AWAY';
  }
}

/** Whole events, one behind the other, and where they were found. Valid until the next batch is asked for. */
export interface JournalBatch {
  /** Starts at a multiple of 8 in its buffer. */
  readonly bytes: Uint8Array;
  /** Journal file by its number, from 0 in order of age; 0 for stores without files. */
  readonly file: number;
  /** For messages: file and offset, or key and id. */
  readonly where: string;
}

/** What a walk over the whole journal found. */
export interface JournalCheck {
  readonly batches: number;
  readonly bytes: number;
  /** A group at the end that was not written whole and never acknowledged: cut off (or to be, when only checked), in words; else undefined. */
  readonly torn: string | undefined;
  /** The last run that wrote, if any. */
  readonly lastRun: RunClock | undefined;
  /** Opaque to others: where the writer goes on. Structured-cloneable. */
  readonly end: unknown;
}

export interface ReaderOptions {
  /** From check(): where to stop. Everything before it was found to be whole. */
  readonly end?: unknown;
  /** The writer's position up to which to read, of a journal that is being written. */
  readonly untilPosition?: number;
}

/** What a journal that forgets its first events says of where the segments were: the LSN of each one's last event, by segment; 0 for none. */
export interface JournalBases {
  /** Where what is left of the journal begins. */
  readonly first: Float64Array;
  /** Where its last part, of those that say so, begins: what is restored to the end reaches it. */
  readonly last: Float64Array;
}

export interface JournalReader {
  /**
   * All events of the given segments with an LSN (segment by segment) above `after`, and perhaps others, in the order of each
   * segment's LSNs. Throws StoreError CORRUPT, naming the place, at the first thing that is wrong.
   */
  batches(segments: ReadonlySet<number>, after: (segment: number) => number): AsyncIterable<JournalBatch>;
  /** Known when all batches were read. Undefined when nothing was ever trimmed, and for stores that see to it in their own way. */
  readonly bases?: JournalBases | undefined;
  close(): Promise<void>;
}

/** One thread's end of the journal. A group is filled by add() and made durable by commit(). */
export interface JournalWriter {
  /** Adds whole events that lie one behind the other. Copies them. */
  add(u8: Uint8Array, start: number, end: number): void;
  /**
   * Makes the group as durable as the level asks, all of it, in the order of addition. Returns undefined when it was done in the call.
   * After a StoreError that is retryable, call it again: nothing of the group is given up and nothing doubled.
   */
  commit(): Promise<void> | undefined;
  /** Called when nothing has come for a while: lets the writer note, without a sync, that what was written last is whole. */
  mark?(): void;
  /** Has what was committed survive a power loss, whatever the level: for a snapshot that must not be ahead of its journal. */
  sync?(): void;
  /** Bytes of journal that a start would have to read. */
  readonly bytes: number;
  /** Time spent waiting for the disk within calls, ms; for a store that waits elsewhere, missing. */
  readonly syncMs?: number;
  /** What a reader may read up to now: see ReaderOptions.untilPosition. */
  readonly position: number;
  /** Events of the segment up to `lsn` are no longer needed. Frees what nobody needs. */
  trim(segment: number, lsn: number): Promise<void> | undefined;
  close(): Promise<void>;
}

export interface SnapshotId {
  readonly segment: number;
  readonly lsn: number;
  /** Tells snapshots at one LSN apart; the newest has the highest. */
  readonly copy: number;
  /** File or key, for messages. */
  readonly name: string;
}

export interface SnapshotStore {
  /** All that there are of a segment, newest first. */
  list(segment: number): Promise<SnapshotId[]>;
  read(id: SnapshotId): Promise<Uint8Array>;
  /** Durable, and listed, when it resolves; before that, not listed. */
  write(segment: number, lsn: number, bytes: Uint8Array, copy?: number): Promise<SnapshotId>;
  remove(id: SnapshotId): Promise<void>;
  close(): Promise<void>;
}

export interface WriterOptions {
  readonly ack: AckLevel;
  readonly end: unknown;
  readonly run: RunClock;
  readonly identity: StoreIdentity;
  /** For trim(): LSN of each segment's last event in each journal file but the last, as recovery found them: [file][segment]. */
  readonly lastLsns: readonly Float64Array[];
  /** LSN of each segment now, as recovery found it. */
  readonly lsns: Float64Array;
}

/** A store as one thread has it open. */
export interface Store {
  readonly address: StoreAddress;
  /** As it is named to people, without passwords. */
  readonly label: string;
  /** What a client may rely on at the level, for the start-up block; throws StoreError WEAK when the level would promise too much. */
  promise(ack: AckLevel): Promise<string>;
  reader(options?: ReaderOptions): JournalReader;
  writer(options: WriterOptions): JournalWriter;
  snapshots(identity: StoreIdentity): SnapshotStore;
  close(): Promise<void>;
}

export interface PossessOptions {
  /** What a new store is made for. */
  readonly segments: number;
  /** Whether to make a store where there is none; otherwise ABSENT is thrown. */
  readonly create: boolean;
  /** What a new store is to know itself by; drawn unless given. */
  readonly identity?: StoreIdentity | undefined;
  readonly redisWait: number;
  /** Accepts a Redis that keeps nothing on disk. */
  readonly redisVolatile: boolean;
  /** Size of a journal file; stores with files only. */
  readonly journalFileBytes?: number;
}

/** A store in the possession of this process: nobody else's writes can come between until it is released. */
export interface Possession {
  readonly store: Store;
  readonly identity: StoreIdentity;
  /** Settles, with the reason in words, when it was taken away: the server must end. Most stores cannot be. */
  readonly lost?: Promise<string>;
  /** Walks the whole journal and cuts a torn end off. */
  check(): Promise<JournalCheck>;
  release(): Promise<void>;
}
