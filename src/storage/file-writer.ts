import { join } from 'node:path';
import { failpoint, flawed } from './failpoints.ts';
import type { JournalEnd } from './file-check.ts';
import { writeAll } from './file-cut.ts';
import { attempt, fileError } from './file-errors.ts';
import {
  encodeBase,
  encodeFileHeader,
  encodeRun,
  FILE_HEADER_BYTES,
  FrameType,
  frameSeed,
  journalFileName,
} from './file-frames.ts';
import { FrameGroup } from './file-group.ts';
import { LastLsns } from './file-last-lsns.ts';
import type { FileLayer } from './file-layer.ts';
import { type JournalWriter, StoreError, type WriterOptions } from './store.ts';

export const DEFAULT_FILE_BYTES = 64 << 20;

const EMPTY = new Uint8Array(0);

export interface FileWriterOptions extends WriterOptions {
  readonly layer: FileLayer;
  /** Where the journal's files lie. */
  readonly directory: string;
  /** A group that would end beyond this goes into a new file; a group larger than that has a larger file. */
  readonly fileBytes: number;
}

/** A file that is complete, and may be removed once nobody needs its events. */
interface OlderFile {
  readonly number: number;
  readonly bytes: number;
  /** LSN of each segment's last event up to the file's end. */
  readonly lastLsns: Float64Array;
}

/** Appends groups of events to the journal's last file, and begins new ones. */
export class FileJournalWriter implements JournalWriter {
  readonly #layer: FileLayer;
  readonly #directory: string;
  readonly #fileBytes: number;
  readonly #storeId: string;
  readonly #seed: number;
  readonly #sync: boolean;
  readonly #run: Uint8Array;
  readonly #lsns: LastLsns;
  readonly #trimmed: Float64Array;
  readonly #older: OlderFile[] = [];
  #number: number;
  #fd: number;
  /** Offset behind the last frame. */
  #at: number;
  /** Offset at which this writer's groups began in the file. */
  #groupsAt: number;
  /** The next file, made ahead; -1 without one. */
  #nextFd = -1;
  /** Whether the file ends with a ROLL, so that what follows goes into the next one. */
  #rolled = false;
  #group = new FrameGroup();
  /** What a planted mistake holds back. */
  #held = new FrameGroup();
  readonly #control = new FrameGroup();
  /** Numbers of the last frame written, of the last one synced, and of the last MARK. */
  #position: number;
  /** Number of the last frame that was there before. */
  readonly #first: number;
  #synced: number;
  #marked: number;
  /** Whether the file has a BASE. Every file that holds events does, and every one that ends with a ROLL. */
  #based: boolean;
  /** Whether this run wrote, or is about to write, its RUN. */
  #announced = false;
  #failure: StoreError | undefined;
  #closed = false;
  #syncMs = 0;

  constructor(options: FileWriterOptions) {
    const { layer, directory, identity } = options;
    const end = options.end as JournalEnd;
    this.#layer = layer;
    this.#directory = directory;
    this.#fileBytes = options.fileBytes;
    this.#storeId = identity.id;
    this.#seed = frameSeed(identity);
    this.#sync = options.ack === 'sync';
    this.#run = encodeRun(options.run);
    this.#lsns = new LastLsns(options.lsns);
    this.#trimmed = new Float64Array(identity.segments);
    const last = end.files.length - 1;
    for (let index = 0; index < last; index++) {
      this.#older.push({
        number: end.files[index],
        bytes: end.bytes[index],
        // Recovery says nothing of a file that holds no events.
        lastLsns: options.lastLsns[index] ?? new Float64Array(0),
      });
    }
    this.#number = end.files[last];
    this.#at = end.bytes[last];
    this.#groupsAt = this.#at;
    this.#position = end.sequence;
    this.#synced = end.sequence;
    this.#first = end.sequence;
    // What was found at the start is whole, and the first MARK says so.
    this.#marked = end.sequence > 0 ? -1 : 0;
    this.#based = end.based;
    this.#fd = attempt(`opening ${this.#path(this.#number)}`, () => this.#openFile(this.#number));
  }

  /** Number of the last frame committed, for a reader that reads up to it while the writer goes on. */
  get position(): number {
    return this.#position;
  }

  get bytes(): number {
    return this.#older.reduce((sum, file) => sum + file.bytes, this.#at);
  }

  get syncMs(): number {
    return this.#syncMs;
  }

  add(u8: Uint8Array, start: number, end: number): void {
    if (!this.#announced && this.#at > FILE_HEADER_BYTES) this.#addBeginning(this.#group, this.#based);
    this.#announced = true;
    this.#group.add(u8, start, end);
  }

  commit(): undefined {
    this.#use('writing the journal', () => {
      if (flawed('ack-before-sync')) this.#writeLate();
      else if (this.#group.bytes > 0) this.#write(this.#group);
    });
  }

  /**
   * Shows, after a kill, that everything so far had been written whole. Does nothing when that was said already, or when there is no
   * room for it.
   */
  mark(): void {
    try {
      this.#use('marking the journal', () => {
        if (this.#marked === this.#position || this.#group.hasSealed || this.#rolled || this.#at === 0)
          return;
        this.#writeControl(FrameType.MARK, this.#run);
        this.#marked = this.#position;
        // Idle, so nobody waits for it.
        if (this.#at > this.#fileBytes / 2) this.#prepareNext();
      });
    } catch (error) {
      if (!(error as StoreError).retryable) throw error;
    }
  }

  sync(): void {
    this.#use('syncing the journal', () => {
      if (this.#synced < this.#position && !flawed('ack-before-sync')) this.#syncAll();
    });
  }

  trim(segment: number, lsn: number): undefined {
    this.#use('trimming the journal', () => {
      const trimmed = this.#trimmed;
      if (lsn > trimmed[segment]) trimmed[segment] = lsn;
      const needed = (file: OlderFile): boolean =>
        !flawed('trim-early') && file.lastLsns.some((last, of) => last > trimmed[of]);
      const first = this.#older.findIndex(needed);
      let free = first < 0 ? this.#older.length : first;
      // What stays must tell where every segment was, and number the frames to come.
      if (!this.#based) free = Math.min(free, this.#older.length - 1);
      if (free > 0) this.#remove(free);
    });
  }

  /** Writes and syncs what there is, whatever the level, and ends the journal in order; unless it failed before. */
  async close(): Promise<void> {
    if (this.#closed) return;
    try {
      const wrote = this.#announced || this.#position > this.#first;
      if (this.#failure === undefined && wrote) this.#use('closing the journal', () => this.#end());
    } finally {
      this.#closed = true;
      this.#layer.close(this.#fd);
      if (this.#nextFd >= 0) this.#layer.close(this.#nextFd);
    }
  }

  /** Writes the group behind what is there, in one write as a rule, and syncs if the level asks. May be tried again after FULL. */
  #write(group: FrameGroup): void {
    failpoint('append.before');
    if (!group.hasSealed) this.#makeRoom(group.bytes);
    const last = group.seal(this.#position, this.#synced, this.#seed);
    writeAll(this.#layer, this.#fd, group.u8, 0, group.bytes, this.#at);
    failpoint('append.after');
    if (this.#sync && !flawed('ack-before-sync')) {
      failpoint('sync.before');
      this.#fdatasync();
      failpoint('sync.after');
      this.#synced = last;
    }
    this.#position = last;
    this.#at += group.bytes;
    this.#based = true;
    group.follow(this.#lsns);
    group.clear();
  }

  /** The planted mistake: a group is acknowledged when the one before it is written. */
  #writeLate(): void {
    const late = this.#held;
    if (late.bytes > 0) this.#write(late);
    this.#held = this.#group;
    this.#group = late;
  }

  #writeControl(type: number, body: Uint8Array): void {
    this.#control.clear();
    this.#control.addFrame(type, body);
    this.#writeControls();
  }

  #writeControls(): void {
    const control = this.#control;
    const last = control.seal(this.#position, this.#synced, this.#seed);
    writeAll(this.#layer, this.#fd, control.u8, 0, control.bytes, this.#at);
    this.#position = last;
    this.#at += control.bytes;
  }

  /** Goes on in the next file when the group does not fit into this one. */
  #makeRoom(bytes: number): void {
    if (this.#rolled || (this.#at > this.#groupsAt && this.#at + bytes > this.#fileBytes)) this.#roll();
    if (this.#at > FILE_HEADER_BYTES) return;
    // A trim may remove the file that tells of the run, and all events of a segment.
    this.#control.clear();
    this.#addBeginning(this.#control, false);
    this.#writeControls();
    this.#based = true;
    this.#groupsAt = this.#at;
  }

  /** Tells of the run and, unless the file has it, where every segment was: as of what is written, without the group that waits. */
  #addBeginning(group: FrameGroup, based: boolean): void {
    group.addFrame(FrameType.RUN, this.#run);
    if (!based) group.addFrame(FrameType.BASE, encodeBase(this.#lsns.now()));
  }

  /**
   * The order is what the check relies on: the next file is there for good, with its header, before the ROLL says so, and this one is
   * synced whole before the next one gets its first frame.
   */
  #roll(): void {
    this.#prepareNext();
    if (!this.#rolled) this.#writeControl(FrameType.ROLL, EMPTY);
    this.#rolled = true;
    this.#syncAll();
    this.#layer.close(this.#fd);
    this.#older.push({ number: this.#number, bytes: this.#at, lastLsns: this.#lsns.now() });
    this.#number++;
    this.#fd = this.#nextFd;
    this.#nextFd = -1;
    this.#at = FILE_HEADER_BYTES;
    this.#based = false;
    this.#rolled = false;
  }

  #end(): void {
    if (this.#held.bytes > 0) this.#write(this.#held);
    if (this.#group.bytes > 0) this.#write(this.#group);
    this.#syncAll();
    this.#writeControl(FrameType.END, EMPTY);
    this.#syncAll();
  }

  #syncAll(): void {
    this.#fdatasync();
    this.#synced = this.#position;
  }

  /** Whatever it fails with is final: the kernel may have dropped what it could not write, and would call the next sync a success. */
  #fdatasync(): void {
    const startedMs = performance.now();
    try {
      this.#layer.fdatasync(this.#fd);
      this.#syncMs += performance.now() - startedMs;
    } catch (error) {
      const { message } = error as Error;
      throw new StoreError('FAILED', `syncing the journal in ${this.#directory}: ${message}`, {
        cause: error,
      });
    }
  }

  #prepareNext(): void {
    if (this.#nextFd >= 0) return;
    const fd = this.#openFile(this.#number + 1);
    try {
      const header = encodeFileHeader(this.#storeId, this.#number + 1);
      writeAll(this.#layer, fd, header, 0, header.length, 0);
      this.#layer.fdatasync(fd);
      this.#layer.syncDirectory(this.#directory);
      this.#nextFd = fd;
    } finally {
      if (this.#nextFd < 0) this.#layer.close(fd);
    }
  }

  /**
   * Opens or makes a file at its full length, without blocks of its own yet: syncing a write then need not also sync a new length, and
   * the bytes are not written twice.
   */
  #openFile(number: number): number {
    const path = this.#path(number);
    const fd = this.#layer.open(path, this.#layer.exists(path) ? 'r+' : 'wx+');
    try {
      if (this.#layer.size(fd) < this.#fileBytes) this.#layer.ftruncate(fd, this.#fileBytes);
    } catch (error) {
      this.#layer.close(fd);
      throw error;
    }
    return fd;
  }

  /** Removes the oldest files: one by one, so that no power loss leaves a gap. */
  #remove(count: number): void {
    // What comes after them must be there before they go.
    if (this.#synced < this.#position) this.#syncAll();
    failpoint('trim.before');
    for (let removed = 0; removed < count; removed++) {
      this.#layer.unlink(this.#path(this.#older[0].number));
      this.#layer.syncDirectory(this.#directory);
      this.#older.shift();
    }
    failpoint('trim.after');
  }

  /** Runs a call; what it throws becomes a StoreError, and one that is final stays for all calls after it. */
  #use(doing: string, what: () => void): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new Error('the journal is closed');
    try {
      what();
    } catch (error) {
      const failure = fileError(error, `${doing} (${this.#path(this.#number)})`);
      if (!failure.retryable) this.#failure = failure;
      throw failure;
    }
  }

  #path(number: number): string {
    return join(this.#directory, journalFileName(number));
  }
}
