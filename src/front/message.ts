import { Packr, Unpackr } from 'msgpackr';

/**
 * Messages off the hot path, by msgpackr: records off, since they are msgpackr's own extension, and 64-bit integers as numbers,
 * since all of ours are safe integers.
 */
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' });

/** One value as MessagePack, in memory of its own. */
export function encode(value: unknown): Uint8Array {
  return Uint8Array.prototype.slice.call(packr.pack(value));
}

/** All values that stand back to back in a frame. Throws when they are no MessagePack. */
export function decodeAll(frame: Uint8Array): unknown[] {
  return (unpackr.unpackMultiple(frame) as unknown[] | undefined) ?? [];
}
