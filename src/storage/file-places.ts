import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { FileLayer } from './file-layer.ts';
import { StoreError } from './store.ts';

export function journalDirectory(directory: string): string {
  return join(directory, 'journal');
}

export function snapshotDirectory(directory: string): string {
  return join(directory, 'snapshots');
}

/** The directory that a `file:` address names, also as `file:///…`. */
export function storeDirectory(url: string): string {
  const path = url.replace(/^file:(\/\/(?=\/))?/, '');
  if (path === '' || !url.startsWith('file:')) {
    throw new StoreError(
      'INCOMPATIBLE',
      `"${url}" names no directory: write file:./data or file:/var/lib/holdfast.`,
    );
  }
  return resolve(path);
}

/** The kernel's id of this start of the machine. */
export function machineBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** Makes a directory with all that lead to it, each of them durable. */
export function makeDirectory(layer: FileLayer, directory: string): void {
  if (layer.exists(directory)) return;
  const parent = dirname(directory);
  makeDirectory(layer, parent);
  layer.mkdir(directory);
  layer.syncDirectory(parent);
}

export function absent(directory: string): StoreError {
  return new StoreError('ABSENT', `There is no store in ${directory}.`);
}
