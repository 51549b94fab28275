import { join } from 'node:path';
import { failpoint } from './failpoints.ts';
import { attempt } from './file-errors.ts';
import type { FileLayer } from './file-layer.ts';
import { replaceFile, UNFINISHED } from './file-manifest.ts';
import type { SnapshotId, SnapshotStore } from './store.ts';

/** Keeps each snapshot in a file of its own, named by segment, LSN and copy. */
export class FileSnapshotStore implements SnapshotStore {
  readonly #layer: FileLayer;
  readonly #directory: string;

  constructor(layer: FileLayer, directory: string) {
    this.#layer = layer;
    this.#directory = directory;
  }

  async list(segment: number): Promise<SnapshotId[]> {
    const prefix = segmentPrefix(segment);
    const names = attempt(`reading ${this.#directory}`, () => this.#layer.list(this.#directory));
    return names
      .filter((name) => name.startsWith(prefix) && NAME.test(name))
      .sort()
      .reverse()
      .map((name) => {
        const [lsn, copy] = name.slice(prefix.length, -EXTENSION.length).split('-');
        return this.#id(segment, Number(lsn), Number(copy));
      });
  }

  async read(id: SnapshotId): Promise<Uint8Array> {
    return attempt(`reading ${id.name}`, () => {
      const fd = this.#layer.open(id.name, 'r');
      try {
        const u8 = new Uint8Array(this.#layer.size(fd));
        for (let done = 0; done < u8.length; ) {
          const read = this.#layer.read(fd, u8, done, u8.length - done, done);
          if (read === 0) return u8.subarray(0, done);
          done += read;
        }
        return u8;
      } finally {
        this.#layer.close(fd);
      }
    });
  }

  async write(segment: number, lsn: number, bytes: Uint8Array, copy = 0): Promise<SnapshotId> {
    const id = this.#id(segment, lsn, copy);
    failpoint('snapshot.write');
    attempt(`writing ${id.name}`, () =>
      replaceFile(this.#layer, this.#directory, snapshotName(segment, lsn, copy), bytes, () =>
        failpoint('snapshot.rename'),
      ),
    );
    return id;
  }

  async remove(id: SnapshotId): Promise<void> {
    attempt(`removing ${id.name}`, () => {
      this.#layer.unlink(id.name);
      this.#layer.syncDirectory(this.#directory);
    });
  }

  async close(): Promise<void> {}

  #id(segment: number, lsn: number, copy: number): SnapshotId {
    return { segment, lsn, copy, name: join(this.#directory, snapshotName(segment, lsn, copy)) };
  }
}

const EXTENSION = '.snapshot';
const NAME = /^\d{4}-\d{16}-\d{6}\.snapshot$/;

/** Removes what a crash left of snapshots that were being written. Only whoever possesses the store may. */
export function removeUnfinished(layer: FileLayer, directory: string): void {
  const unfinished = layer.list(directory).filter((name) => name.endsWith(UNFINISHED));
  for (const name of unfinished) layer.unlink(join(directory, name));
}

function snapshotName(segment: number, lsn: number, copy: number): string {
  return `${segmentPrefix(segment)}${String(lsn).padStart(16, '0')}-${String(copy).padStart(6, '0')}${EXTENSION}`;
}

function segmentPrefix(segment: number): string {
  return `${String(segment).padStart(4, '0')}-`;
}
