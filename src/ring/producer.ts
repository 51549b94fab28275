import {
  HEAD_WORD,
  longestPayload,
  RECORD_HEADER_BYTES,
  recordBytes,
  ringViews,
  TAIL_WORD,
} from './layout.ts';

/**
 * The writing end of a ring. One thread at a time uses it: claim a record, fill its payload through `u8` or `i32`,
 * perhaps trim it, and publish once per batch. Nothing here allocates, and every field is a small integer.
 *
 * A publication is a full memory fence, some twenty nanoseconds; that is why claiming and publishing are two steps.
 */
export class RingProducer {
  /** The data area as bytes and as 32-bit words; index 0 is its first byte. */
  readonly u8: Uint8Array;
  readonly i32: Int32Array;

  private readonly header: Int32Array;
  private readonly capacity: number;
  private readonly mask: number;
  private readonly payloadLimit: number;
  private tail = 0;
  private publishedTail = 0;
  /** Where the last claimed record begins, for trim. */
  private lastRecord = 0;
  /** The consumer's head as last seen. It only grows, so a stale one errs towards "full", never towards overwriting. */
  private headSeen = 0;

  /**
   * @param byteOffset where the ring begins, a multiple of 128
   * @param capacityBytes size of the data area, a power of two from 4 KiB to 1 GiB
   */
  constructor(sab: SharedArrayBuffer, byteOffset: number, capacityBytes: number) {
    const views = ringViews(sab, byteOffset, capacityBytes);
    this.header = views.header;
    this.u8 = views.u8;
    this.i32 = views.i32;
    this.capacity = capacityBytes;
    this.mask = capacityBytes - 1;
    this.payloadLimit = longestPayload(capacityBytes);
    this.refresh();
  }

  /** End of the last claimed record, published or not (int32, modulo 2^32). */
  get position(): number {
    return this.tail;
  }

  /** Whether claimed records wait for `publish`. */
  get unpublished(): boolean {
    return this.tail !== this.publishedTail;
  }

  /**
   * Takes room for one record and writes its header. Returns the index of its payload in the data area, a multiple
   * of 8, or -1 when the ring is full. A payload over an eighth of the capacity is a bug and throws RangeError.
   */
  claim(payloadBytes: number, tag: number): number {
    // As unsigned, a negative length is over every limit too.
    if (payloadBytes >>> 0 > this.payloadLimit) this.refuseLength(payloadBytes, this.payloadLimit);
    const bytes = recordBytes(payloadBytes);
    let start = this.tail;
    let index = start & this.mask;
    const bytesToEnd = this.capacity - index;
    const wraps = bytes > bytesToEnd;
    const end = (start + bytes + (wraps ? bytesToEnd : 0)) | 0;
    if (((end - this.headSeen) | 0) > this.capacity) {
      this.headSeen = Atomics.load(this.header, HEAD_WORD);
      if (((end - this.headSeen) | 0) > this.capacity) return -1;
    }
    const i32 = this.i32;
    if (wraps) {
      i32[index >> 2] = -bytesToEnd;
      start = (start + bytesToEnd) | 0;
      index = 0;
    }
    i32[index >> 2] = payloadBytes;
    i32[(index >> 2) + 1] = tag;
    this.lastRecord = start;
    this.tail = end;
    return index + RECORD_HEADER_BYTES;
  }

  /**
   * Whether `claim` of this many payload bytes would find room. The same sums as there, on purpose not shared: going
   * through this method costs a claim an eighth of its speed.
   */
  hasRoom(payloadBytes: number): boolean {
    const bytes = recordBytes(payloadBytes);
    const bytesToEnd = this.capacity - (this.tail & this.mask);
    const end = (this.tail + bytes + (bytes > bytesToEnd ? bytesToEnd : 0)) | 0;
    if (((end - this.headSeen) | 0) <= this.capacity) return true;
    this.headSeen = Atomics.load(this.header, HEAD_WORD);
    return ((end - this.headSeen) | 0) <= this.capacity;
  }

  /**
   * Shrinks the record claimed last to its true length, so that a caller may claim generously before it knows.
   * Throws RangeError when that record is published already or shorter than `payloadBytes`.
   */
  trim(payloadBytes: number): void {
    const word = (this.lastRecord & this.mask) >> 2;
    const limit = this.unpublished ? this.i32[word] : -1;
    if (payloadBytes < 0 || payloadBytes > limit) this.refuseLength(payloadBytes, limit);
    this.i32[word] = payloadBytes;
    this.tail = (this.lastRecord + recordBytes(payloadBytes)) | 0;
  }

  /** Makes all claimed records visible to the consumer, by one store; does nothing when there are none. */
  publish(): void {
    if (this.tail === this.publishedTail) return;
    // Headers and payloads are plain writes. This sequentially consistent store orders them before the new tail, and
    // the consumer's load of the tail orders its plain reads behind it.
    Atomics.store(this.header, TAIL_WORD, this.tail);
    this.publishedTail = this.tail;
  }

  /**
   * Carries on at `position` in place of a thread that died: records that it finished before the position are
   * published now if they were not, and whatever it claimed from there on is given up. The position must be one that
   * the dead thread's `position` had, and not be behind what it published.
   */
  resumeAt(position: number): void {
    Atomics.store(this.header, TAIL_WORD, position | 0);
    this.refresh();
  }

  /**
   * Takes both positions from shared memory anew. Needed before the first claim whenever the writing end has moved here from another
   * thread; records claimed here and never published are given up.
   */
  refresh(): void {
    this.tail = Atomics.load(this.header, TAIL_WORD);
    this.publishedTail = this.tail;
    this.lastRecord = this.tail;
    // As if the ring were full: the first claim has to look.
    this.headSeen = (this.tail - this.capacity) | 0;
  }

  private refuseLength(payloadBytes: number, limit: number): never {
    throw new RangeError(`A payload of ${payloadBytes} bytes is not within 0 to ${limit}.`);
  }
}
