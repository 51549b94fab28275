import { basename, dirname } from 'node:path';
import type { Prng } from '../../src/base/prng.ts';
import type { FileLayer } from '../../src/storage/file-layer.ts';
import type { FileLock } from '../../src/storage/file-lock.ts';

/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512;

/** Thrown by every call from the moment on at which the power is lost, or the process killed. */
export class PowerLost extends Error {}

type Change = { readonly at: number; readonly bytes: Uint8Array } | { readonly length: number };

/** A file: what is on the disk, what a reader sees, and what was changed in between. */
interface Inode {
  durable: Uint8Array;
  current: Uint8Array;
  changes: Change[];
}

/** A change of a directory; `from` was renamed to `name`, or there is no inode and the name was removed. */
interface NameChange {
  readonly directory: string;
  readonly name: string;
  readonly inode: Inode | undefined;
  readonly from?: string;
}

/** Called before each call; throws what the call is to fail with. */
export type Fault = (call: string, path: string) => void;

/**
 * A file system in memory that keeps apart what was synced. After a loss of power, each write since may be there, missing, or torn at a
 * sector, each change of a directory may be there or missing, and what was synced is there.
 */
export class MemoryLayer implements FileLayer {
  /** Bytes that can still be written; ENOSPC beyond. */
  room = Number.POSITIVE_INFINITY;
  fault: Fault = () => {};
  /** How many of its bytes the write has done at which all ends; those of a loss of power then meet their fate as all others. */
  cutShort = (bytes: number): number => bytes;
  /** Calls made so far, by name. */
  readonly calls = new Map<string, number>();
  readonly #names = new Map<string, Inode>();
  readonly #durableNames = new Map<string, Inode>();
  readonly #directories = new Set(['/']);
  readonly #locks = new Set<string>();
  #nameChanges: NameChange[] = [];
  #files = new Map<number, { inode: Inode; path: string }>();
  #nextFd = 3;

  /** What is left of it after a loss of power. */
  losePower(prng: Prng): MemoryLayer {
    const after = new MemoryLayer();
    for (const directory of this.#directories) after.#directories.add(directory);
    const names = new Map(this.#durableNames);
    // Some losses keep all, some none, so that both are seen with every state of the files.
    const oneIn = prng.pick([1, 2, 4, 1000]);
    for (const change of this.#nameChanges) if (prng.oneIn(oneIn)) applyName(names, change);
    for (const [path, inode] of names) {
      const left = leftOf(inode, prng);
      after.#names.set(path, { durable: left, current: left.slice(), changes: [] });
    }
    for (const [path, inode] of after.#names) after.#durableNames.set(path, inode);
    return after;
  }

  /** The process has ended: locks and descriptors are gone, and all that was written is there. */
  kill(): void {
    this.#locks.clear();
    this.#files.clear();
    this.fault = () => {};
  }

  get openFiles(): number {
    return this.#files.size;
  }

  /** Bytes of a file, to look at and to change. */
  bytesOf(path: string): Uint8Array {
    return this.#inode(path).current;
  }

  /** Puts other bytes in a file, as if they had always been there. */
  replace(path: string, bytes: Uint8Array): void {
    const inode = { durable: bytes.slice(), current: bytes.slice(), changes: [] };
    this.#names.set(path, inode);
    this.#durableNames.set(path, inode);
  }

  /** A copy, everything in it durable. */
  clone(): MemoryLayer {
    const copy = new MemoryLayer();
    for (const directory of this.#directories) copy.#directories.add(directory);
    for (const [path, inode] of this.#names) copy.replace(path, inode.current);
    return copy;
  }

  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  open(path: string, flags: 'r' | 'r+' | 'wx+'): number {
    this.#enter('open', path);
    if (flags === 'wx+') {
      if (this.#names.has(path)) throw errno('EEXIST', path);
      if (!this.#directories.has(dirname(path))) throw errno('ENOENT', path);
      const inode: Inode = { durable: new Uint8Array(0), current: new Uint8Array(0), changes: [] };
      this.#changeName({ directory: dirname(path), name: path, inode });
    }
    const fd = this.#nextFd++;
    this.#files.set(fd, { inode: this.#inode(path), path });
    return fd;
  }

  close(fd: number): void {
    this.#enter('close', this.#file(fd).path);
    this.#files.delete(fd);
  }

  read(fd: number, u8: Uint8Array, from: number, bytes: number, at: number): number {
    const { inode, path } = this.#file(fd);
    this.#enter('read', path);
    const part = inode.current.subarray(at, at + bytes);
    u8.set(part, from);
    return part.length;
  }

  write(fd: number, u8: Uint8Array, from: number, bytes: number, at: number): number {
    const { inode, path } = this.#file(fd);
    let taken = Math.min(bytes, this.room);
    if (taken === 0 && bytes > 0) throw errno('ENOSPC', path);
    try {
      this.#enter('write', path);
    } catch (error) {
      if (!(error instanceof PowerLost)) throw error;
      taken = this.cutShort(bytes);
      this.#change(inode, { at, bytes: u8.slice(from, from + taken) });
      throw error;
    }
    this.room -= taken;
    this.#change(inode, { at, bytes: u8.slice(from, from + taken) });
    return taken;
  }

  size(fd: number): number {
    return this.#file(fd).inode.current.length;
  }

  fdatasync(fd: number): void {
    const { inode, path } = this.#file(fd);
    this.#enter('fdatasync', path);
    inode.durable = inode.current.slice();
    inode.changes = [];
  }

  ftruncate(fd: number, bytes: number): void {
    const { inode, path } = this.#file(fd);
    this.#enter('ftruncate', path);
    this.#change(inode, { length: bytes });
  }

  rename(from: string, to: string): void {
    this.#enter('rename', to);
    this.#changeName({ directory: dirname(to), name: to, inode: this.#inode(from), from });
  }

  unlink(path: string): void {
    this.#enter('unlink', path);
    this.#inode(path);
    this.#changeName({ directory: dirname(path), name: path, inode: undefined });
  }

  exists(path: string): boolean {
    return this.#names.has(path) || this.#directories.has(path);
  }

  list(directory: string): string[] {
    this.#enter('list', directory);
    if (!this.#directories.has(directory)) throw errno('ENOENT', directory);
    const inside = (path: string): boolean => path !== '/' && dirname(path) === directory;
    return [...this.#names.keys(), ...this.#directories].filter(inside).map((path) => basename(path));
  }

  mkdir(directory: string): void {
    this.#enter('mkdir', directory);
    this.#directories.add(directory);
  }

  syncDirectory(directory: string): void {
    this.#enter('syncDirectory', directory);
    for (const change of this.#nameChanges) {
      if (change.directory === directory) applyName(this.#durableNames, change);
    }
    this.#nameChanges = this.#nameChanges.filter((change) => change.directory !== directory);
  }

  lock(path: string): FileLock | undefined {
    if (this.#locks.has(path)) return undefined;
    this.#locks.add(path);
    return { release: () => void this.#locks.delete(path) };
  }

  #enter(call: string, path: string): void {
    this.calls.set(call, (this.calls.get(call) ?? 0) + 1);
    this.fault(call, path);
  }

  #change(inode: Inode, change: Change): void {
    inode.changes.push(change);
    inode.current = apply(inode.current, change);
  }

  #changeName(change: NameChange): void {
    this.#nameChanges.push(change);
    applyName(this.#names, change);
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw errno('ENOENT', path);
    return inode;
  }

  #file(fd: number): { inode: Inode; path: string } {
    const file = this.#files.get(fd);
    if (file === undefined) throw errno('EBADF', String(fd));
    return file;
  }
}

export function errno(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: injected, ${path}`), { code });
}

function applyName(names: Map<string, Inode>, { name, inode, from }: NameChange): void {
  if (from !== undefined) names.delete(from);
  if (inode === undefined) names.delete(name);
  else names.set(name, inode);
}

function apply(bytes: Uint8Array, change: Change): Uint8Array {
  if ('length' in change) {
    const resized = new Uint8Array(change.length);
    resized.set(bytes.subarray(0, change.length));
    return resized;
  }
  const end = change.at + change.bytes.length;
  // In place where it fits: files are long, and most writes short.
  const resized = end <= bytes.length ? bytes : new Uint8Array(end);
  if (resized !== bytes) resized.set(bytes);
  resized.set(change.bytes, change.at);
  return resized;
}

/** A file's bytes after a loss of power: what was synced, and of each later change all, nothing, or some sectors. */
function leftOf(inode: Inode, prng: Prng): Uint8Array {
  let left: Uint8Array = inode.durable.slice();
  for (const change of inode.changes) {
    const fate = prng.below(3);
    if (fate === 0) continue;
    if (fate === 1 || 'length' in change) {
      left = apply(left, change);
      continue;
    }
    for (let at = change.at; at < change.at + change.bytes.length; ) {
      const next = Math.min(
        (Math.floor(at / SECTOR_BYTES) + 1) * SECTOR_BYTES,
        change.at + change.bytes.length,
      );
      const bytes = change.bytes.subarray(at - change.at, next - change.at);
      if (prng.oneIn(2)) left = apply(left, { at, bytes });
      at = next;
    }
  }
  return left;
}
