import { hostname } from 'node:os';
import { join } from 'node:path';
import { checkJournal } from './file-check.ts';
import { settleEnd } from './file-cut.ts';
import { attempt } from './file-errors.ts';
import { encodeFileHeader, FILE_HEADER_BYTES, journalFileName, journalFileNumber } from './file-frames.ts';
import { type FileLayer, nodeFileLayer } from './file-layer.ts';
import type { FileLock } from './file-lock.ts';
import {
  drawIdentity,
  readManifest,
  readSmallFile,
  replaceFile,
  UNFINISHED,
  writeManifest,
} from './file-manifest.ts';
import { type FileStoreOptions, openFileStore } from './file-open.ts';
import {
  absent,
  journalDirectory,
  machineBootId,
  makeDirectory,
  snapshotDirectory,
  storeDirectory,
} from './file-places.ts';
import { removeUnfinished } from './file-snapshots.ts';
import { DEFAULT_FILE_BYTES } from './file-writer.ts';
import {
  type JournalCheck,
  type Possession,
  type PossessOptions,
  type Store,
  StoreError,
  type StoreIdentity,
} from './store.ts';

export { checkFileJournal, type FileStoreOptions, openFileStore } from './file-open.ts';

const LOCK = 'lock';
const OWNER = 'owner';
const FIRST_FILE = 1;
/** What may lie in a directory in which a store is made: what an interrupted making left, and what file systems put there. */
const MAY_LIE = new Set([
  LOCK,
  OWNER,
  OWNER + UNFINISHED,
  `manifest${UNFINISHED}`,
  'journal',
  'snapshots',
  'lost+found',
]);

type FileDefaults = Pick<PossessOptions, 'segments' | 'create' | 'identity' | 'journalFileBytes'>;

/**
 * Takes the store in a directory into possession, and makes it if there is none. Throws StoreError LOCKED when another server has it,
 * ABSENT when there is none and none is to be made, CORRUPT when there are parts of one.
 */
export async function possessFileStore(
  url: string,
  defaults: FileDefaults,
  options: FileStoreOptions = {},
): Promise<Possession> {
  const layer = options.layer ?? nodeFileLayer;
  const directory = storeDirectory(url);
  return attempt(`opening the store in ${directory}`, () => {
    if (!layer.exists(join(directory, 'manifest'))) {
      if (layer.exists(directory)) refuseOccupied(layer, directory);
      if (!defaults.create) throw absent(directory);
      makeDirectory(layer, directory);
    }
    const lock = takeLock(layer, directory);
    try {
      const identity = readManifest(layer, directory) ?? makeStore(layer, directory, defaults);
      // Whether what was in it is needed, the journal tells.
      if (!layer.exists(snapshotDirectory(directory))) makeDirectory(layer, snapshotDirectory(directory));
      removeUnfinished(layer, snapshotDirectory(directory));
      writeOwner(layer, directory);
      const fileBytes = options.fileBytes ?? defaults.journalFileBytes ?? DEFAULT_FILE_BYTES;
      return new FilePossession(url, { ...options, fileBytes }, layer, directory, identity, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  });
}

class FilePossession implements Possession {
  readonly store: Store;
  readonly identity: StoreIdentity;
  readonly #layer: FileLayer;
  readonly #directory: string;
  readonly #bootId: string;
  readonly #lock: FileLock;
  #released = false;

  constructor(
    url: string,
    options: FileStoreOptions,
    layer: FileLayer,
    directory: string,
    identity: StoreIdentity,
    lock: FileLock,
  ) {
    const { fileBytes } = options;
    const address = {
      url,
      epoch: 0,
      redisWait: 0,
      ...(fileBytes !== undefined && { journalFileBytes: fileBytes }),
    };
    this.store = openFileStore(address, options);
    this.identity = identity;
    this.#layer = layer;
    this.#directory = directory;
    this.#bootId = options.bootId ?? machineBootId();
    this.#lock = lock;
  }

  async check(): Promise<JournalCheck> {
    const journal = journalDirectory(this.#directory);
    const check = await checkJournal(this.#layer, journal, this.identity, this.#bootId);
    const aside = settleEnd(this.#layer, this.#directory, journal, check, Date.now());
    return aside === undefined ? check : { ...check, torn: `${check.torn}; cut off, and kept in ${aside}` };
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    const owner = join(this.#directory, OWNER);
    try {
      if (this.#layer.exists(owner)) this.#layer.unlink(owner);
    } finally {
      this.#lock.release();
    }
  }
}

/** Throws when the directory, which has no manifest, holds parts of a store, or what is none. */
export function refuseOccupied(layer: FileLayer, directory: string): void {
  const foreign = layer.list(directory).filter((name) => !MAY_LIE.has(name) && !name.startsWith('.'));
  if (foreign.length > 0) {
    throw new StoreError(
      'INCOMPATIBLE',
      `${directory} holds no store, and is not empty (${foreign[0]}). Name a directory of its own for the store.`,
    );
  }
  const parts = [
    ...storeFiles(layer, journalDirectory(directory)),
    ...storeFiles(layer, snapshotDirectory(directory)),
  ];
  if (parts.length > 0) {
    throw new StoreError(
      'CORRUPT',
      `${join(directory, 'manifest')} is missing, but there is a store's ${parts[0]}. Restore it from a copy: without its secret, nobody's holds would be theirs.`,
    );
  }
}

/** Files that say that there was a store: a first journal file without frames is only left of one whose making was interrupted. */
function storeFiles(layer: FileLayer, directory: string): string[] {
  if (!layer.exists(directory)) return [];
  const names = layer.list(directory).filter((name) => !name.endsWith(UNFINISHED));
  return names
    .map((name) => join(directory, name))
    .filter((path, index) => {
      if (journalFileNumber(names[index]) !== FIRST_FILE) return true;
      const fd = layer.open(path, 'r');
      try {
        return layer.size(fd) > FILE_HEADER_BYTES;
      } finally {
        layer.close(fd);
      }
    });
}

/** The manifest comes last: a store that has one is complete. */
function makeStore(layer: FileLayer, directory: string, defaults: FileDefaults): StoreIdentity {
  // Again, now that nobody else can be making one.
  refuseOccupied(layer, directory);
  if (!defaults.create) throw absent(directory);
  const journal = journalDirectory(directory);
  makeDirectory(layer, journal);
  makeDirectory(layer, snapshotDirectory(directory));
  const identity = { ...(defaults.identity ?? drawIdentity(defaults.segments)), fresh: true };
  replaceFile(layer, journal, journalFileName(FIRST_FILE), encodeFileHeader(identity.id, FIRST_FILE));
  writeManifest(layer, directory, identity);
  return identity;
}

function takeLock(layer: FileLayer, directory: string): FileLock {
  const lock = layer.lock(join(directory, LOCK));
  if (lock !== undefined) return lock;
  throw new StoreError(
    'LOCKED',
    `${directory} is in use by another server${ownerInWords(layer, directory)}. Stop that one, or name another directory.`,
  );
}

/** Only for the message to others, so a full disk is no reason not to start. */
function writeOwner(layer: FileLayer, directory: string): void {
  const owner = JSON.stringify({ pid: process.pid, host: hostname(), since: new Date().toISOString() });
  try {
    attempt(`writing ${join(directory, OWNER)}`, () =>
      replaceFile(layer, directory, OWNER, Buffer.from(`${owner}\n`)),
    );
  } catch (error) {
    if (!(error as StoreError).retryable) throw error;
  }
}

/** Who has the store, as far as can be read. */
function ownerInWords(layer: FileLayer, directory: string): string {
  try {
    const text = Buffer.from(readSmallFile(layer, join(directory, OWNER))).toString();
    const { pid, host, since } = JSON.parse(text);
    return ` (process ${pid} on ${host}, since ${since})`;
  } catch {
    return '';
  }
}
