import { existsSync } from 'node:fs';
import { withoutWarning } from '../base/warnings.ts';

export interface FileLock {
  release(): void;
}

/** SQLite's "database is locked", in the low byte of its extended codes. */
const SQLITE_BUSY = 5;

/**
 * Takes a lock that the kernel gives back when the process ends, however it ends, and that holds between containers which share the
 * directory: the byte-range lock (fcntl) of an SQLite transaction, since Node itself has no call for one. Nothing is ever written to the
 * file. SQLite keeps track of its locks within a process, so it holds between threads, too. Returns undefined when another one
 * has it.
 */
export function lockFile(path: string): FileLock | undefined {
  const database = new (sqlite().DatabaseSync)(path);
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) return undefined;
    throw error;
  }
  return { release: () => database.close() };
}

/** Whether somebody has the lock; takes none but for the moment of looking, and makes no file. */
export function isLocked(path: string): boolean {
  if (!existsSync(path)) return false;
  const database = new (sqlite().DatabaseSync)(path, { readOnly: true });
  try {
    database.exec('SELECT 1 FROM sqlite_schema');
    return false;
  } catch (error) {
    if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) return true;
    throw error;
  } finally {
    database.close();
  }
}

function sqlite(): typeof import('node:sqlite') {
  return withoutWarning('SQLite is an experimental feature', () => process.getBuiltinModule('node:sqlite'));
}
