import { HEAD_WORD, longestPayload, recordBytes, ringViews, TAIL_WORD } from './layout.ts';

/** What a ring holds. */
export interface Occupancy {
  /** Records published and not given back. */
  readonly records: number;
  /** Their share of the room, padding included, 0 to 1. */
  readonly fill: number;
}

/**
 * Looks into a ring that two other threads use. They are not asked to wait, so what is read may be overwritten meanwhile: a figure for
 * whoever watches, about right and nothing more. Takes some ns for each record.
 */
export function ringOccupancy(sab: SharedArrayBuffer, byteOffset: number, capacityBytes: number): Occupancy {
  const { header, i32 } = ringViews(sab, byteOffset, capacityBytes);
  // The head first: it never passes a tail that is read after it.
  const head = Atomics.load(header, HEAD_WORD);
  const tail = Atomics.load(header, TAIL_WORD);
  const limit = longestPayload(capacityBytes);
  let records = 0;
  for (let position = head; ((tail - position) | 0) > 0; ) {
    const length = i32[(position & (capacityBytes - 1)) >> 2] as number;
    if (length < 0) {
      position = (position - length) | 0;
    } else {
      // A record's length that was overwritten by something else leads nowhere.
      if (length > limit) break;
      records++;
      position = (position + recordBytes(length)) | 0;
    }
  }
  return { records, fill: Math.min(1, ((tail - head) >>> 0) / capacityBytes) };
}
