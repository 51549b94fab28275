import { join } from 'node:path';
import type { FileJournalCheck } from './file-check.ts';
import { attempt } from './file-errors.ts';
import { journalFileName } from './file-frames.ts';
import type { FileLayer } from './file-layer.ts';

const BLOCK_BYTES = 1 << 20;

/**
 * Ends the journal in the file where its valid frames end, and makes that durable: a killed server may have left frames that were
 * written and not synced, and what a recovery shows must not be lost by the power loss after it. Torn bytes are first saved aside in a
 * file `torn-…` of the store's directory, whose path is returned.
 */
export function settleEnd(
  layer: FileLayer,
  directory: string,
  journal: string,
  check: FileJournalCheck,
  timeMs: number,
): string | undefined {
  const last = check.end.files.length - 1;
  const path = join(journal, journalFileName(check.end.files[last]));
  // The end of the file before may not have been synced either, if the run was ended in the middle of beginning the last.
  if (last > 0) syncFile(layer, join(journal, journalFileName(check.end.files[last - 1])));
  return attempt(`cutting off the torn end of ${path}`, () => {
    const fd = layer.open(path, 'r+');
    try {
      if (check.tear === undefined) {
        layer.fdatasync(fd);
        return undefined;
      }
      const aside = freeName(
        layer,
        join(directory, `torn-${new Date(timeMs).toISOString().replace(/[:.]/g, '-')}`),
      );
      saveAside(layer, fd, check.tear.offset, check.tear.bytes, aside);
      layer.syncDirectory(directory);
      layer.ftruncate(fd, check.tear.offset);
      layer.fdatasync(fd);
      return aside;
    } finally {
      layer.close(fd);
    }
  });
}

function syncFile(layer: FileLayer, path: string): void {
  attempt(`syncing ${path}`, () => {
    const fd = layer.open(path, 'r+');
    try {
      layer.fdatasync(fd);
    } finally {
      layer.close(fd);
    }
  });
}

function freeName(layer: FileLayer, wanted: string): string {
  let name = wanted;
  for (let number = 2; layer.exists(name); number++) name = `${wanted}-${number}`;
  return name;
}

function saveAside(layer: FileLayer, from: number, offset: number, bytes: number, path: string): void {
  const to = layer.open(path, 'wx+');
  try {
    const block = new Uint8Array(BLOCK_BYTES);
    for (let done = 0; done < bytes; ) {
      const read = layer.read(from, block, 0, Math.min(BLOCK_BYTES, bytes - done), offset + done);
      if (read === 0) break;
      writeAll(layer, to, block, 0, read, done);
      done += read;
    }
    layer.fdatasync(to);
  } finally {
    layer.close(to);
  }
}

/** Writes all of the bytes, in as many calls as the file system takes for it. */
export function writeAll(
  layer: FileLayer,
  fd: number,
  u8: Uint8Array,
  from: number,
  bytes: number,
  at: number,
): void {
  for (let done = 0; done < bytes; ) {
    const written = layer.write(fd, u8, from + done, bytes - done, at + done);
    if (written === 0) throw new Error('the file system takes no bytes and says nothing');
    done += written;
  }
}
