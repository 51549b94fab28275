import type { AckLevel } from '../../protocol/ack.ts';
import { checkJournal } from './file-check.ts';
import { attempt } from './file-errors.ts';
import { type FileLayer, nodeFileLayer } from './file-layer.ts';
import { readManifest } from './file-manifest.ts';
import { absent, journalDirectory, machineBootId, snapshotDirectory, storeDirectory } from './file-places.ts';
import { FileJournalReader } from './file-reader.ts';
import { FileSnapshotStore } from './file-snapshots.ts';
import { DEFAULT_FILE_BYTES, FileJournalWriter } from './file-writer.ts';
import type {
  JournalCheck,
  JournalReader,
  JournalWriter,
  ReaderOptions,
  SnapshotStore,
  Store,
  StoreAddress,
  StoreIdentity,
  WriterOptions,
} from './store.ts';

/** What tests change. */
export interface FileStoreOptions {
  readonly layer?: FileLayer;
  /** Bytes of a journal file, beyond which a new one is begun. */
  readonly fileBytes?: number;
  /** Of this start of the machine; the kernel's unless given. */
  readonly bootId?: string;
}

const PROMISES: Record<AckLevel, string> = {
  sync: 'every acknowledged change is on the disk (fdatasync)',
  journal:
    'every acknowledged change is written to the journal file: it survives a killed process, not a power loss',
  memory:
    'what is acknowledged survives a crashed worker; it is written to the journal a moment later, so a killed process may lose the last',
};

/** Opens the store in a directory for one thread, without a lock; `file:` and the directory, relative ones from where the process runs. */
export function openFileStore(address: StoreAddress, options: FileStoreOptions = {}): Store {
  return new FileStore(address, options);
}

/** Walks over the journal of a store that no server runs on, and changes nothing. Throws StoreError. */
export function checkFileJournal(url: string, options: FileStoreOptions = {}): Promise<JournalCheck> {
  return new FileStore({ url, epoch: 0, redisWait: 0 }, options).check();
}

class FileStore implements Store {
  readonly address: StoreAddress;
  readonly label: string;
  readonly #directory: string;
  readonly #layer: FileLayer;
  readonly #fileBytes: number;
  readonly #bootId: string;

  constructor(address: StoreAddress, options: FileStoreOptions) {
    this.address = address;
    this.label = address.url;
    this.#directory = storeDirectory(address.url);
    this.#layer = options.layer ?? nodeFileLayer;
    this.#fileBytes = options.fileBytes ?? address.journalFileBytes ?? DEFAULT_FILE_BYTES;
    this.#bootId = options.bootId ?? machineBootId();
  }

  async promise(ack: AckLevel): Promise<string> {
    return PROMISES[ack];
  }

  reader(options: ReaderOptions = {}): JournalReader {
    return new FileJournalReader({
      ...options,
      layer: this.#layer,
      directory: journalDirectory(this.#directory),
      identity: this.#identity(),
      bootId: this.#bootId,
    });
  }

  writer(options: WriterOptions): JournalWriter {
    return new FileJournalWriter({
      ...options,
      layer: this.#layer,
      directory: journalDirectory(this.#directory),
      fileBytes: this.#fileBytes,
    });
  }

  snapshots(_identity: StoreIdentity): SnapshotStore {
    return new FileSnapshotStore(this.#layer, snapshotDirectory(this.#directory));
  }

  async check(): Promise<JournalCheck> {
    return checkJournal(this.#layer, journalDirectory(this.#directory), this.#identity(), this.#bootId);
  }

  async close(): Promise<void> {}

  #identity(): StoreIdentity {
    const identity = attempt(`reading ${this.#directory}`, () => readManifest(this.#layer, this.#directory));
    if (identity === undefined) throw absent(this.#directory);
    return identity;
  }
}
