import { join } from 'node:path';
import { attempt, JOURNAL_REMEDY } from './file-errors.ts';
import {
  decodeFileHeader,
  decodeRun,
  FILE_HEADER_BYTES,
  FORMAT_VERSION,
  FrameHead,
  FrameType,
  frameSeed,
  journalFileName,
  journalFileNumber,
  readFrame,
} from './file-frames.ts';
import type { FileLayer } from './file-layer.ts';
import { FileWindow } from './file-window.ts';
import { type JournalCheck, type RunClock, StoreError, type StoreIdentity } from './store.ts';

/** Where a journal's valid frames end; the `end` of a JournalCheck. */
export interface JournalEnd {
  /** Numbers of the files up to there, in order. */
  readonly files: readonly number[];
  /** Bytes used of each of them. */
  readonly bytes: readonly number[];
  /** Sequence number of the last frame; 0 before the first. */
  readonly sequence: number;
  /** Whether the last file tells where every segment was. */
  readonly based: boolean;
}

/** What was left half written at the end of the journal. */
export interface Torn {
  readonly file: number;
  readonly offset: number;
  /** Up to the last word that is not zero. */
  readonly bytes: number;
}

export interface FileJournalCheck extends JournalCheck {
  readonly end: JournalEnd;
  readonly tear: Torn | undefined;
}

/** Where the walk met something that is no frame, or not the one that must come next. */
interface Break {
  /** Index of the file. */
  readonly index: number;
  readonly offset: number;
  /** Sequence number of the frame that should be there. */
  readonly sequence: number;
}

/** The numbers of the journal's files, in order. Throws StoreError CORRUPT when one is missing. */
export function journalFiles(layer: FileLayer, directory: string): number[] {
  const names = attempt(`reading ${directory}`, () => layer.list(directory));
  const numbers = names.map(journalFileNumber).filter((number) => number !== undefined);
  numbers.sort((a, b) => a - b);
  if (numbers.length === 0)
    throw corrupt(directory, 'there is no journal file, and a store has at least one');
  for (let i = 1; i < numbers.length; i++) {
    const missing = numbers[i - 1] + 1;
    if (numbers[i] !== missing)
      throw corrupt(join(directory, journalFileName(missing)), 'the file is missing');
  }
  return numbers;
}

/**
 * Walks over all frames of a journal and changes nothing. Throws StoreError CORRUPT or INCOMPATIBLE, with file and offset, when
 * anything is wrong but a torn end.
 *
 * A torn end is one that a crash explains: no frame behind it shows that it had been durable. Each frame tells up to where the
 * journal was synced when it was written, so frames of one unsynced group, of which a power loss leaves any, show nothing; those of a
 * later group, or the END of a close, do. A MARK shows that the writer lived on after it had written what is before, which counts unless
 * the machine started anew since.
 */
export async function checkJournal(
  layer: FileLayer,
  directory: string,
  identity: StoreIdentity,
  bootId: string,
): Promise<FileJournalCheck> {
  const walk = new JournalWalk(layer, directory, identity, bootId);
  try {
    return await walk.run();
  } finally {
    walk.close();
  }
}

class JournalWalk {
  readonly #layer: FileLayer;
  readonly #directory: string;
  readonly #identity: StoreIdentity;
  readonly #bootId: string;
  readonly #seed: number;
  readonly #window: FileWindow;
  readonly #head = new FrameHead();
  readonly #numbers: number[];
  readonly #used: number[] = [];
  #fd = -1;
  #batches = 0;
  #bytes = 0;
  /** Of the frame that must come next; 0 until the first file tells. */
  #next = 0;
  #lastRun: RunClock | undefined;
  /** Index of the last file that has a BASE; -1 without one. */
  #based = -1;

  constructor(layer: FileLayer, directory: string, identity: StoreIdentity, bootId: string) {
    this.#layer = layer;
    this.#directory = directory;
    this.#identity = identity;
    this.#bootId = bootId;
    this.#seed = frameSeed(identity);
    this.#window = new FileWindow(layer);
    this.#numbers = journalFiles(layer, directory);
    if (this.#numbers[0] === 1) this.#next = 1;
  }

  async run(): Promise<FileJournalCheck> {
    let found: Break | undefined;
    for (let index = 0; found === undefined; index++) {
      if (index === this.#numbers.length) {
        throw corrupt(
          this.#path(index - 1, 1),
          'the file is missing, and the one before it says that it was there',
        );
      }
      this.#open(index);
      found = this.#walkFile(index);
      // Lets a caller draw its progress.
      await new Promise((resolve) => setImmediate(resolve));
    }
    const tear = this.#judge(found);
    // The writer trims nothing before it has written one.
    if (this.#based < 0 && this.#numbers[0] > 1) {
      throw corrupt(
        this.#path(0),
        'nothing in it, or behind it, says where the segments were when it was begun, though the files before it were trimmed',
      );
    }
    const files = this.#numbers.slice(0, found.index + 1);
    return {
      batches: this.#batches,
      bytes: this.#bytes,
      torn: tear && this.#describe(tear),
      tear,
      lastRun: this.#lastRun,
      end: {
        files,
        bytes: this.#used,
        sequence: found.sequence - 1,
        based: this.#based === found.index,
      },
    };
  }

  close(): void {
    if (this.#fd >= 0) this.#layer.close(this.#fd);
    this.#fd = -1;
  }

  /** Walks over the frames of a file; undefined when they end with a ROLL. */
  #walkFile(index: number): Break | undefined {
    this.#readHeader(index);
    const head = this.#head;
    let offset = FILE_HEADER_BYTES;
    for (;;) {
      const body = readFrame(this.#window, offset, this.#seed, true, head);
      if (body >= 0 && this.#next === 0) this.#next = head.sequence;
      if (body < 0 || head.sequence !== this.#next) break;
      const { u8 } = this.#window;
      if (head.type === FrameType.EVENTS) this.#batches++;
      else if (head.type === FrameType.RUN) this.#lastRun = decodeRun(u8, body);
      else if (head.type === FrameType.BASE) this.#noteBase(index, offset, head.bodyBytes);
      else if (head.type > FrameType.BASE || head.type === 0) {
        throw incompatible(
          this.#path(index),
          `the frame at offset ${offset} is of an unknown type ${head.type}`,
        );
      }
      const frameBytes = body - this.#window.at(offset, 0) + head.bodyBytes;
      this.#bytes += frameBytes;
      offset += frameBytes;
      this.#next++;
      if (head.type === FrameType.ROLL) {
        this.#used.push(offset);
        return undefined;
      }
    }
    this.#used.push(offset);
    return { index, offset, sequence: this.#next };
  }

  #noteBase(index: number, offset: number, bodyBytes: number): void {
    const { segments } = this.#identity;
    if (bodyBytes !== segments * 8) {
      throw corrupt(
        this.#path(index),
        `the BASE at offset ${offset} tells of ${bodyBytes / 8} segments, and the store has ${segments}`,
      );
    }
    this.#based = index;
  }

  /** Sees to it that the file begins as it must: its header was durable before anything said that the file was there. */
  #readHeader(index: number): void {
    const number = this.#numbers[index];
    const path = this.#path(index);
    const at = this.#window.at(0, FILE_HEADER_BYTES);
    const header = at < 0 ? undefined : decodeFileHeader(this.#window.u8, this.#window.i32, at);
    if (header === undefined) throw corrupt(path, 'the header at offset 0 is not what was written');
    if (header.version !== FORMAT_VERSION) {
      throw incompatible(
        path,
        `its format is version ${header.version}, and this is version ${FORMAT_VERSION}`,
      );
    }
    if (header.storeId !== this.#identity.id) {
      throw incompatible(path, `it belongs to another store (${header.storeId}, not ${this.#identity.id})`);
    }
    if (header.number !== number) throw corrupt(path, `it was written as file number ${header.number}`);
  }

  /** Tells a torn end from one in order (undefined), and throws when it is neither. */
  #judge(found: Break): Torn | undefined {
    if (found.sequence === 0) {
      throw corrupt(
        this.#path(found.index),
        'there is no frame in it, though the files before it were trimmed',
      );
    }
    let last = -1;
    for (let index = found.index; index < this.#numbers.length; index++) {
      this.#open(index);
      // A file that was made ahead may have its header, or part of it.
      const from = index === found.index ? found.offset : FILE_HEADER_BYTES;
      const end = this.#lastByte(from);
      if (end < 0) continue;
      // A file is begun only when the one before it is complete and synced.
      if (index > found.index)
        throw this.#damage(found, `${journalFileName(this.#numbers[index])} was begun after it`);
      const proof = this.#proof(from, end, found.sequence);
      if (proof >= 0)
        throw this.#damage(
          found,
          `frame ${this.#head.sequence} at offset ${proof} shows that it was durable`,
        );
      last = end;
    }
    if (last < 0) return undefined;
    return { file: this.#numbers[found.index], offset: found.offset, bytes: last + 1 - found.offset };
  }

  /** Offset, before `end`, of a frame that shows that the one of the given number was durable; it is in the head. -1 without one. */
  #proof(from: number, end: number, sequence: number): number {
    const head = this.#head;
    for (let offset = from; offset < end; offset += 8) {
      const body = readFrame(this.#window, offset, this.#seed, true, head);
      if (body < 0) continue;
      if (head.synced >= sequence) return offset;
      if (head.type !== FrameType.MARK || head.sequence <= sequence) continue;
      if (decodeRun(this.#window.u8, body).bootId === this.#bootId) return offset;
    }
    return -1;
  }

  /** Offset of the end of the last word from `from` on that is not zero; -1 without one. */
  #lastByte(from: number): number {
    const size = this.#layer.size(this.#fd);
    let last = -1;
    for (let offset = from; offset < size; ) {
      const whole = offset + 8 <= size;
      const at = this.#window.at(offset, whole ? 8 : size - offset);
      const bytes = Math.min(this.#window.ready(offset), size - offset);
      const { u8, i32 } = this.#window;
      const words = bytes >>> 2;
      for (let word = 0; word < words; word++) {
        if (i32[(at >>> 2) + word] !== 0) last = offset + word * 4 + 3;
      }
      for (let byte = words * 4; byte < bytes; byte++) if (u8[at + byte] !== 0) last = offset + byte;
      offset += bytes;
    }
    return last;
  }

  #damage(found: Break, why: string): StoreError {
    const what = found.offset === 0 ? 'the header' : `frame ${found.sequence}`;
    return corrupt(
      this.#path(found.index),
      `${what} at offset ${found.offset} is not what was written; ${why}`,
    );
  }

  #describe(tear: Torn): string {
    const { file, offset, bytes } = tear;
    return `${join(this.#directory, journalFileName(file))}, offset ${offset}: ${bytes} bytes of a group that was not written whole`;
  }

  #path(index: number, further = 0): string {
    return join(this.#directory, journalFileName(this.#numbers[index] + further));
  }

  #open(index: number): void {
    this.close();
    const path = this.#path(index);
    this.#fd = attempt(`opening ${path}`, () => this.#layer.open(path, 'r'));
    this.#window.use(this.#fd);
  }
}

export function corrupt(place: string, what: string): StoreError {
  return new StoreError('CORRUPT', `${place}: ${what}. ${JOURNAL_REMEDY}`);
}

function incompatible(place: string, what: string): StoreError {
  return new StoreError('INCOMPATIBLE', `${place}: ${what}. Use the version of Holdfast that wrote it.`);
}
