import { join } from 'node:path';
import { BaseNotes } from './file-base.ts';
import { checkJournal, journalFiles } from './file-check.ts';
import { attempt } from './file-errors.ts';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  FRAME_HEADER_BYTES,
  FrameHead,
  FrameType,
  frameSeed,
  journalFileName,
  journalFileNumber,
  readFrame,
} from './file-frames.ts';
import { type FileLayer, nodeFileLayer } from './file-layer.ts';
import { isLocked } from './file-lock.ts';
import { readManifest, readSmallFile } from './file-manifest.ts';
import { absent, journalDirectory, machineBootId, snapshotDirectory, storeDirectory } from './file-places.ts';
import { FileSnapshotStore } from './file-snapshots.ts';
import { refuseOccupied } from './file-store.ts';
import { FileWindow } from './file-window.ts';
import type { OfflineCheck, OfflineStore } from './offline-store.ts';
import {
  type JournalBases,
  type JournalBatch,
  type JournalReader,
  StoreError,
  type StoreIdentity,
} from './store.ts';

/** Opening all files is tried anew when the oldest of a live journal was trimmed meanwhile. */
const OPEN_ATTEMPTS = 10;

/** Opens the store in a directory for reading. Throws StoreError. */
export function openOfflineFile(url: string, layer: FileLayer = nodeFileLayer): OfflineStore {
  const directory = storeDirectory(url);
  const identity = readIdentity(layer, directory);
  const journal = journalDirectory(directory);
  return {
    label: url,
    identity,
    async owner() {
      return isLocked(join(directory, 'lock')) ? ownerInWords(layer, directory) : undefined;
    },
    async check(): Promise<OfflineCheck> {
      const check = await checkJournal(layer, journal, identity, machineBootId());
      return { ...check, files: journalFiles(layer, journal).length };
    },
    journal: () => new WholeFrames(layer, journal, identity),
    snapshots: () => new FileSnapshotStore(layer, snapshotDirectory(directory)),
    close: async () => {},
  };
}

function readIdentity(layer: FileLayer, directory: string): StoreIdentity {
  const identity = attempt(`reading ${directory}`, () => readManifest(layer, directory));
  if (identity !== undefined) return identity;
  try {
    if (layer.exists(directory)) attempt(`reading ${directory}`, () => refuseOccupied(layer, directory));
  } catch (error) {
    // Anything else that lies there is no store, for whoever only reads.
    if (!(error instanceof StoreError && error.code === 'INCOMPATIBLE')) throw error;
  }
  throw absent(directory);
}

function ownerInWords(layer: FileLayer, directory: string): string {
  try {
    const text = Buffer.from(readSmallFile(layer, join(directory, 'owner'))).toString();
    const { pid, host, since } = JSON.parse(text);
    return `a server (process ${pid} on ${host}, since ${since})`;
  } catch {
    return 'a server';
  }
}

/** Reads frames, each verified, up to the first that is not whole or not the next; whether that is damage, check() tells. */
class WholeFrames implements JournalReader {
  readonly #notes = new BaseNotes();
  readonly #layer: FileLayer;
  readonly #directory: string;
  readonly #identity: StoreIdentity;
  #fds: number[] = [];

  constructor(layer: FileLayer, directory: string, identity: StoreIdentity) {
    this.#layer = layer;
    this.#directory = directory;
    this.#identity = identity;
  }

  async *batches(): AsyncGenerator<JournalBatch, void> {
    const numbers = this.#openAll();
    const window = new FileWindow(this.#layer);
    const head = new FrameHead();
    const seed = frameSeed(this.#identity);
    let next = 0;
    if (numbers.length > 0) this.#notes.begin(this.#identity.segments, numbers[0]);
    for (let file = 0; file < numbers.length; file++) {
      window.use(this.#fds[file]);
      const at = window.at(0, FILE_HEADER_BYTES);
      const header = at < 0 ? undefined : decodeFileHeader(window.u8, window.i32, at);
      if (header?.storeId !== this.#identity.id || header.number !== numbers[file]) return;
      const path = join(this.#directory, journalFileName(numbers[file]));
      let offset = FILE_HEADER_BYTES;
      do {
        const body = readFrame(window, offset, seed, true, head);
        if (body < 0 || (next > 0 && head.sequence !== next)) return;
        const { type, bodyBytes } = head;
        const where = `${path}, offset ${offset}`;
        offset += FRAME_HEADER_BYTES + bodyBytes;
        next = head.sequence + 1;
        if (type === FrameType.EVENTS) {
          yield { bytes: window.u8.subarray(body, body + bodyBytes), file, where };
        } else if (type === FrameType.BASE) {
          this.#notes.note(window.u8, body, bodyBytes);
        }
      } while (head.type !== FrameType.ROLL);
    }
  }

  get bases(): JournalBases | undefined {
    return this.#notes.bases;
  }

  async close(): Promise<void> {
    for (const fd of this.#fds) this.#layer.close(fd);
    this.#fds = [];
  }

  /** Opens the files up to the first gap, all at once: one that is trimmed while it is read stays readable. Returns their numbers. */
  #openAll(): number[] {
    for (let attempts = 1; ; attempts++) {
      const numbers = this.#numbers();
      try {
        for (const number of numbers) {
          this.#fds.push(this.#layer.open(join(this.#directory, journalFileName(number)), 'r'));
        }
        return numbers;
      } catch (error) {
        for (const fd of this.#fds.splice(0)) this.#layer.close(fd);
        if ((error as NodeJS.ErrnoException).code === 'ENOENT' && attempts < OPEN_ATTEMPTS) continue;
        return attempt(`opening ${this.#directory}`, () => {
          throw error;
        });
      }
    }
  }

  #numbers(): number[] {
    const names = attempt(`reading ${this.#directory}`, () => this.#layer.list(this.#directory));
    const numbers = names.map(journalFileNumber).filter((number) => number !== undefined);
    numbers.sort((a, b) => a - b);
    const gap = numbers.findIndex((number, i) => number !== numbers[0] + i);
    return gap < 0 ? numbers : numbers.slice(0, gap);
  }
}
