import * as fs from 'node:fs';
import { dawdle, fails } from './failpoints.ts';
import { type FileLock, lockFile } from './file-lock.ts';

/**
 * What the file store asks of the file system, so that tests can put in one that loses what was not synced, runs full or fails.
 * Synchronous, for a commit is. Errors are those of node:fs, with their `code`.
 */
export interface FileLayer {
  /** `r` and `r+` want an existing file; `wx+` makes a new one and fails with EEXIST where there is one. */
  open(path: string, flags: 'r' | 'r+' | 'wx+'): number;
  close(fd: number): void;
  /** Reads up to `bytes` at position `at` of the file into `u8` from `from`; returns how many, 0 at the end. */
  read(fd: number, u8: Uint8Array, from: number, bytes: number, at: number): number;
  /** Writes up to `bytes` from `from` of `u8` at position `at` of the file; returns how many. */
  write(fd: number, u8: Uint8Array, from: number, bytes: number, at: number): number;
  /** Bytes of the file. */
  size(fd: number): number;
  /** Contents and length are on the disk when it returns. */
  fdatasync(fd: number): void;
  ftruncate(fd: number, bytes: number): void;
  /** Puts `from` in the place of `to`, if there is one, in one step. Durable after syncDirectory. */
  rename(from: string, to: string): void;
  unlink(path: string): void;
  exists(path: string): boolean;
  /** Names of what lies in a directory, in no order. */
  list(directory: string): string[];
  /** Makes one directory; its parent is there. */
  mkdir(directory: string): void;
  /** Names made, changed and removed in the directory are on the disk when it returns. */
  syncDirectory(directory: string): void;
  /** Takes the lock that lies in this file; undefined when another one has it. Ends with the process at the latest. */
  lock(path: string): FileLock | undefined;
}

/** Only the server's own user may read: the manifest keeps a secret, the journal what was sold. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

export const nodeFileLayer: FileLayer = {
  open: (path, flags) => fs.openSync(path, flags, FILE_MODE),
  close: fs.closeSync,
  read: fs.readSync,
  write: fs.writeSync,
  size: (fd) => fs.fstatSync(fd).size,
  fdatasync(fd) {
    dawdle();
    if (fails('sync.error')) throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    fs.fdatasyncSync(fd);
  },
  ftruncate: fs.ftruncateSync,
  rename: fs.renameSync,
  unlink: fs.unlinkSync,
  exists: fs.existsSync,
  list: (directory) => fs.readdirSync(directory),
  mkdir: (directory) => fs.mkdirSync(directory, DIRECTORY_MODE),
  syncDirectory(directory) {
    const fd = fs.openSync(directory, 'r');
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  },
  lock: lockFile,
};
