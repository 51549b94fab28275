/**
 * The byte layout of a ring: one producer thread, one consumer thread, records of variable length.
 *
 *     byte    0 ┌──────────────────────────────────────────────┐
 *               │ empty                                        │
 *            64 │ tail   int32, written by the producer only   │
 *               │ empty                                        │
 *           192 │ head   int32, written by the consumer only   │
 *               │ empty                                        │
 *           256 ├──────────────────────────────────────────────┤ ◀─ index 0 of the data area
 *               │ record │ record │ …            │ padding     │
 *               └──────────────────────────────────────────────┘ ◀─ 256 + capacity
 *
 * Tail and head are 128 bytes apart, with 64 empty bytes on either side: each has its cache line to itself (and its
 * pair of lines, which is what the hardware prefetches), whatever address the buffer itself starts at.
 *
 *     record    ┌─────────────────────┬───────────┬──────────────┬──────────┐
 *               │ payloadBytes  int32 │ tag int32 │ payload …    │ to 8 · n │
 *               └─────────────────────┴───────────┴──────────────┴──────────┘
 *     padding   ┌─────────────────────┬─────────────────────────────────────┐
 *               │ −bytes        int32 │ unused, up to the end of the data   │
 *               └─────────────────────┴─────────────────────────────────────┘
 *
 * A record never wraps: when it does not fit before the end, a padding record takes the rest. A padding record's
 * length counts its own header, so it is never zero, and the sign alone tells the two kinds apart.
 *
 * Tail and head are *positions*: bytes ever written and read, counted modulo 2^32 and kept as int32, so that they stay
 * small integers for V8. `position & (capacity - 1)` is the place in the data area also for a negative one, and
 * `(tail - head) | 0` is the distance also across 2^31 and 2^32, because no ring is larger than 2^30 bytes.
 */

/** Cache lines are 64 bytes, but they are prefetched in pairs. */
export const LINE_PAIR_BYTES = 128;

const TAIL_OFFSET = 64;
const HEAD_OFFSET = TAIL_OFFSET + LINE_PAIR_BYTES;

/** Where the data area begins, counted from the start of the ring. */
export const DATA_OFFSET = HEAD_OFFSET + 64;

/** Places of tail and head in an Int32Array over the header. */
export const TAIL_WORD = TAIL_OFFSET >> 2;
export const HEAD_WORD = HEAD_OFFSET >> 2;

export const RECORD_HEADER_BYTES = 8;
export const RECORD_ALIGNMENT = 8;

export const RING_BYTES_MIN = 4096;
export const RING_BYTES_MAX = 2 ** 30;

/** Total bytes to reserve in a SharedArrayBuffer for a ring of this capacity (a power of two, 4 KiB to 1 GiB). */
export function ringBytes(capacityBytes: number): number {
  checkCapacity(capacityBytes);
  return DATA_OFFSET + capacityBytes;
}

/**
 * The longest payload of one record, in bytes: an eighth of the capacity. Then a record and the padding before it
 * always fit into an empty ring, and a full ring holds several records rather than one.
 */
export function longestPayload(capacityBytes: number): number {
  return capacityBytes >> 3;
}

/** Bytes that a record of this payload takes: header and payload, rounded up to the alignment. */
export function recordBytes(payloadBytes: number): number {
  return (payloadBytes + RECORD_HEADER_BYTES + RECORD_ALIGNMENT - 1) & -RECORD_ALIGNMENT;
}

/** Views over one ring. `header` holds the two positions, `u8` and `i32` the data area. */
export interface RingViews {
  readonly header: Int32Array;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
}

/** Makes the views of the ring at `byteOffset`; a wrong capacity, place or a buffer too short throws RangeError. */
export function ringViews(sab: SharedArrayBuffer, byteOffset: number, capacityBytes: number): RingViews {
  const bytes = ringBytes(capacityBytes);
  if (byteOffset % LINE_PAIR_BYTES !== 0) {
    throw new RangeError(
      `A ring must start at a multiple of ${LINE_PAIR_BYTES} bytes, not at ${byteOffset}.`,
    );
  }
  if (byteOffset < 0 || byteOffset + bytes > sab.byteLength) {
    throw new RangeError(
      `A ring of ${bytes} bytes at ${byteOffset} exceeds its buffer of ${sab.byteLength} bytes.`,
    );
  }
  const dataOffset = byteOffset + DATA_OFFSET;
  return {
    header: new Int32Array(sab, byteOffset, DATA_OFFSET >> 2),
    u8: new Uint8Array(sab, dataOffset, capacityBytes),
    i32: new Int32Array(sab, dataOffset, capacityBytes >> 2),
  };
}

function checkCapacity(capacityBytes: number): void {
  const inRange = capacityBytes >= RING_BYTES_MIN && capacityBytes <= RING_BYTES_MAX;
  if (!inRange || (capacityBytes & (capacityBytes - 1)) !== 0 || !Number.isInteger(capacityBytes)) {
    throw new RangeError(
      `A ring's capacity must be a power of two from ${RING_BYTES_MIN} to ${RING_BYTES_MAX} bytes, not ${capacityBytes}.`,
    );
  }
}
