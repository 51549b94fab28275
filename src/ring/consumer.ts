import {
  HEAD_WORD,
  longestPayload,
  RECORD_HEADER_BYTES,
  recordBytes,
  ringViews,
  TAIL_WORD,
} from './layout.ts';

/**
 * The reading end of a ring. One thread at a time uses it: `next` until it returns -1, read the payloads in place,
 * and release once per batch. Nothing here allocates, and every field is a small integer.
 */
export class RingConsumer {
  /** The data area as bytes and as 32-bit words; index 0 is its first byte. */
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  /** Payload bytes and tag of the record that `next` returned last. */
  length = 0;
  tag = 0;

  private readonly header: Int32Array;
  private readonly mask: number;
  private readonly payloadLimit: number;
  private readPosition = 0;
  private recordPosition = 0;
  private releasedHead = 0;
  /** The producer's tail as last seen; records before it are read without another look at shared memory. */
  private tailSeen = 0;

  /**
   * @param byteOffset where the ring begins, a multiple of 128
   * @param capacityBytes size of the data area, a power of two from 4 KiB to 1 GiB
   */
  constructor(sab: SharedArrayBuffer, byteOffset: number, capacityBytes: number) {
    const views = ringViews(sab, byteOffset, capacityBytes);
    this.header = views.header;
    this.u8 = views.u8;
    this.i32 = views.i32;
    this.mask = capacityBytes - 1;
    this.payloadLimit = longestPayload(capacityBytes);
    this.refresh();
  }

  /** The read position: end of the last record returned (int32, modulo 2^32). */
  get position(): number {
    return this.readPosition;
  }

  /**
   * Where the last record returned begins (the read position, if there is none). `releaseTo` it to free everything
   * before that record, or `resumeAt` it to have `next` return the record again.
   */
  get peekPosition(): number {
    return this.recordPosition;
  }

  /**
   * Steps to the next record. Returns the index of its payload in the data area, a multiple of 8, or -1 when no
   * published record is left. The payload stays valid until it is released.
   */
  next(): number {
    let position = this.readPosition;
    for (;;) {
      if (position === this.tailSeen) {
        this.tailSeen = Atomics.load(this.header, TAIL_WORD);
        if (position === this.tailSeen) {
          this.readPosition = position;
          return -1;
        }
      }
      const index = position & this.mask;
      const length = this.i32[index >> 2];
      if (length >= 0) {
        if (length > this.payloadLimit) this.refuseRecord(length, position);
        this.length = length;
        this.tag = this.i32[(index >> 2) + 1];
        this.recordPosition = position;
        this.readPosition = (position + recordBytes(length)) | 0;
        return index + RECORD_HEADER_BYTES;
      }
      // Padding: its negative length leads to the end of the data area.
      position = (position - length) | 0;
    }
  }

  /** Whether a published record is left for `next`. Looks at shared memory only when none is known of. */
  look(): boolean {
    if (this.readPosition !== this.tailSeen) return true;
    this.tailSeen = Atomics.load(this.header, TAIL_WORD);
    return this.readPosition !== this.tailSeen;
  }

  /** Takes back the last `next`, which will return the same record again. */
  back(): void {
    this.readPosition = this.recordPosition;
  }

  /** Gives the room of all records that `next` has passed back to the producer, by one store. */
  release(): void {
    if (this.readPosition === this.releasedHead) return;
    this.releasedHead = this.readPosition;
    Atomics.store(this.header, HEAD_WORD, this.readPosition);
  }

  /**
   * Gives back the room up to a `position` (or `peekPosition`) remembered earlier. A position that is not between
   * what is released already and the read position is a bug and throws RangeError.
   */
  releaseTo(position: number): void {
    const behind = (this.readPosition - position) | 0;
    const ahead = (position - this.releasedHead) | 0;
    if (behind < 0 || ahead < 0) {
      throw new RangeError(
        `Position ${position} is not within ${this.releasedHead} to ${this.readPosition}, which may be released.`,
      );
    }
    if (ahead === 0) return;
    this.releasedHead = position | 0;
    Atomics.store(this.header, HEAD_WORD, position | 0);
  }

  /**
   * Carries on at `position`, which becomes both the read position and the released head: for a thread that takes
   * over from one that died, or to return to a record that is not released yet. It must be a record's boundary that
   * the producer has not overwritten.
   */
  resumeAt(position: number): void {
    Atomics.store(this.header, HEAD_WORD, position | 0);
    this.refresh();
  }

  /**
   * Takes both positions from shared memory anew. Needed before the first `next` whenever the reading end has moved here from another
   * thread; records read here and never released are returned again.
   */
  refresh(): void {
    this.readPosition = Atomics.load(this.header, HEAD_WORD);
    this.recordPosition = this.readPosition;
    this.releasedHead = this.readPosition;
    // As if the ring were empty: the first `next` has to look.
    this.tailSeen = this.readPosition;
  }

  /** Bytes published and not read yet, padding included. Zero exactly when `next` would return -1. */
  fill(): number {
    return (Atomics.load(this.header, TAIL_WORD) - this.readPosition) | 0;
  }

  private refuseRecord(length: number, position: number): never {
    throw new Error(`The ring is damaged: a record of ${length} bytes at position ${position}.`);
  }
}
