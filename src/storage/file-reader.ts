import { join } from 'node:path';
import { BaseNotes } from './file-base.ts';
import { checkJournal, corrupt, type JournalEnd, journalFiles } from './file-check.ts';
import { attempt } from './file-errors.ts';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  FRAME_HEADER_BYTES,
  FrameHead,
  FrameType,
  frameBodyBytes,
  frameSeed,
  journalFileName,
  readFrame,
} from './file-frames.ts';
import type { FileLayer } from './file-layer.ts';
import { FileWindow } from './file-window.ts';
import type { JournalBases, JournalBatch, JournalReader, ReaderOptions, StoreIdentity } from './store.ts';

/** Frames are handed out together up to this size, so that a journal of single events is not a batch for each. */
const BATCH_BYTES = 1 << 20;
/** Opening the files of a live journal is tried anew when one was trimmed meanwhile. */
const OPEN_ATTEMPTS = 100;

export interface FileReaderOptions extends ReaderOptions {
  readonly layer: FileLayer;
  readonly directory: string;
  readonly identity: StoreIdentity;
  readonly bootId: string;
}

interface OpenFile {
  readonly number: number;
  readonly fd: number;
}

/** Reads the events of a journal, file by file, in large blocks. */
export class FileJournalReader implements JournalReader {
  readonly #options: FileReaderOptions;
  readonly #window: FileWindow;
  readonly #head = new FrameHead();
  readonly #seed: number;
  readonly #notes = new BaseNotes();
  #files: OpenFile[] = [];
  /** Sequence number of the frame that comes next; 0 until the first file tells. */
  #next = 0;
  /** Where the frames behind the last batch begin; -1 when the file is read. */
  #offset = 0;

  constructor(options: FileReaderOptions) {
    this.#options = options;
    this.#window = new FileWindow(options.layer);
    this.#seed = frameSeed(options.identity);
  }

  /** All events; the arguments would allow for fewer, but files do not keep segments apart. */
  async *batches(): AsyncGenerator<JournalBatch, void> {
    const { layer, directory, identity, bootId, end: given, untilPosition } = this.#options;
    // What check() has just found whole need not be verified again.
    const verify = given === undefined;
    let end = given as JournalEnd | undefined;
    if (end === undefined && untilPosition === undefined) {
      end = (await checkJournal(layer, directory, identity, bootId)).end;
    }
    const until = untilPosition ?? end?.sequence ?? 0;
    this.#notes.begin(identity.segments, 1);
    if (until === 0) return;
    this.#closeFiles();
    this.#files = this.#openAll(end?.files);
    this.#next = 0;
    this.#notes.begin(identity.segments, this.#files[0].number);
    for (let index = 0; index < this.#files.length && this.#next <= until; index++) {
      this.#begin(index);
      while (this.#offset >= 0 && this.#next <= until) {
        const batch = this.#batch(index, until, verify);
        if (batch !== undefined) yield batch;
      }
    }
    if (this.#next <= until) {
      const { number } = this.#files[this.#files.length - 1];
      throw this.#corrupt(number, `the file ends before frame ${this.#next}`);
    }
  }

  get bases(): JournalBases | undefined {
    return this.#notes.bases;
  }

  async close(): Promise<void> {
    this.#closeFiles();
  }

  /** Goes on with a file: checks its header, and which frame it begins with. */
  #begin(index: number): void {
    const { number, fd } = this.#files[index];
    this.#window.use(fd);
    const at = this.#window.at(0, FILE_HEADER_BYTES);
    const header = at < 0 ? undefined : decodeFileHeader(this.#window.u8, this.#window.i32, at);
    if (header?.storeId !== this.#options.identity.id || header.number !== number) {
      throw this.#corrupt(number, 'the header at offset 0 is not what was written');
    }
    this.#offset = FILE_HEADER_BYTES;
    if (this.#next > 0) return;
    if (readFrame(this.#window, this.#offset, this.#seed, true, this.#head) < 0) {
      throw this.#corrupt(number, `there is no frame at offset ${this.#offset}`);
    }
    this.#next = this.#head.sequence;
  }

  /** Reads frames into one batch, their events moved together; undefined when they hold none. */
  #batch(index: number, until: number, verify: boolean): JournalBatch | undefined {
    const { number } = this.#files[index];
    const window = this.#window;
    const start = this.#offset;
    let from = -1;
    let to = -1;
    while (this.#next <= until) {
      // What is in the batch must stay where it is: the window slides only for a batch's first frame.
      if (to >= 0 && !this.#isReady(to - from)) break;
      const body = readFrame(window, this.#offset, this.#seed, verify, this.#head);
      const { type, bodyBytes, sequence } = this.#head;
      if (body < 0 || sequence !== this.#next) {
        const what = `frame ${this.#next} at offset ${this.#offset} is not what was written`;
        throw this.#corrupt(number, what);
      }
      this.#offset += FRAME_HEADER_BYTES + bodyBytes;
      this.#next++;
      if (type === FrameType.EVENTS) {
        if (from < 0) {
          from = body;
          to = body;
        }
        if (to < body) window.u8.copyWithin(to, body, body + bodyBytes);
        to += bodyBytes;
      } else if (type === FrameType.BASE) {
        this.#notes.note(window.u8, body, bodyBytes);
      } else if (type === FrameType.ROLL) {
        this.#offset = -1;
        break;
      }
    }
    if (from < 0) return undefined;
    const where = `${this.#path(number)}, offset ${start}`;
    return { bytes: window.u8.subarray(from, to), file: index, where };
  }

  /** Whether the next frame lies whole in the window as it is, and the batch still has room. */
  #isReady(batchBytes: number): boolean {
    if (batchBytes >= BATCH_BYTES) return false;
    const window = this.#window;
    const ready = window.ready(this.#offset);
    if (ready < FRAME_HEADER_BYTES) return false;
    const at = window.at(this.#offset, FRAME_HEADER_BYTES);
    return ready >= FRAME_HEADER_BYTES + frameBodyBytes(window.i32, at >>> 2);
  }

  /** Opens all files at once: one that is trimmed while it is read stays readable. */
  #openAll(numbers: readonly number[] | undefined): OpenFile[] {
    for (let attempts = 1; ; attempts++) {
      const opened: OpenFile[] = [];
      try {
        for (const number of numbers ?? journalFiles(this.#options.layer, this.#options.directory)) {
          opened.push({ number, fd: this.#options.layer.open(this.#path(number), 'r') });
        }
        return opened;
      } catch (error) {
        for (const { fd } of opened) this.#options.layer.close(fd);
        const trimmed = (error as NodeJS.ErrnoException).code === 'ENOENT' && numbers === undefined;
        if (!trimmed || attempts === OPEN_ATTEMPTS) {
          return attempt('opening the journal', () => {
            throw error;
          });
        }
      }
    }
  }

  #closeFiles(): void {
    for (const { fd } of this.#files) this.#options.layer.close(fd);
    this.#files = [];
  }

  #corrupt(number: number, what: string): Error {
    return corrupt(this.#path(number), what);
  }

  #path(number: number): string {
    return join(this.#options.directory, journalFileName(number));
  }
}
