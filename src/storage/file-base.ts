import { join } from 'node:path';
import { writeAll } from './file-cut.ts';
import {
  decodeBase,
  encodeBase,
  FILE_HEADER_BYTES,
  FrameType,
  frameSeed,
  journalFileName,
} from './file-frames.ts';
import { FrameGroup } from './file-group.ts';
import type { FileLayer } from './file-layer.ts';
import type { JournalBases, StoreIdentity } from './store.ts';

/** Takes note of the BASEs of a journal that is read from its first file that is left. */
export class BaseNotes {
  #found: JournalBases | undefined;
  #begun: JournalBases | undefined;

  /** `firstFile`: number of the first file that is left. The journal's very first begins where nothing was. */
  begin(segments: number, firstFile: number): void {
    this.#found = undefined;
    const none = new Float64Array(segments);
    this.#begun = firstFile === 1 ? { first: none, last: none } : undefined;
  }

  /** Takes the body of a BASE at `at` of `u8`. */
  note(u8: Uint8Array, at: number, bodyBytes: number): void {
    const last = decodeBase(u8, at, bodyBytes);
    this.#found = { first: this.#found?.first ?? last, last };
  }

  get bases(): JournalBases | undefined {
    return this.#found ?? this.#begun;
  }
}

/** Has the first file of a journal without events say that the segments, in snapshots beside it, are at these LSNs. Durable on return. */
export function beginAt(
  layer: FileLayer,
  journal: string,
  identity: StoreIdentity,
  lsns: Float64Array,
): void {
  const group = new FrameGroup();
  group.addFrame(FrameType.BASE, encodeBase(lsns));
  group.seal(0, 0, frameSeed(identity));
  const fd = layer.open(join(journal, journalFileName(1)), 'r+');
  try {
    writeAll(layer, fd, group.u8, 0, group.bytes, FILE_HEADER_BYTES);
    layer.fdatasync(fd);
  } finally {
    layer.close(fd);
  }
}
