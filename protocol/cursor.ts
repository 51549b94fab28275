import { Reason } from './status.ts';

/**
 * Reads MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) where it lies, without making
 * objects. Every method returns a small integer; what does not fit one is left in the fields. The first thing
 * that goes wrong sets `fault` to a Reason and stays there, so that a caller may read several values and look
 * once. Nothing is read at or past `end`.
 */
export class Cursor {
  u8: Uint8Array;
  pos = 0;
  end = 0;
  /** 0, or the Reason of the first failure. */
  fault = 0;
  /** The last integer read by uint53(), as two words: value = (hi >>> 0) * 2^32 + (lo >>> 0). */
  hi = 0;
  lo = 0;
  /** Where the bytes of the last text() or bytes() start. */
  start = 0;

  constructor(u8: Uint8Array = EMPTY) {
    this.u8 = u8;
  }

  reset(u8: Uint8Array, pos: number, end: number): void {
    this.u8 = u8;
    this.pos = pos;
    this.end = end;
    this.fault = 0;
  }

  /** Sets the fault unless one is set, and returns -1. */
  fail(reason: number): number {
    if (this.fault === 0) this.fault = reason;
    return -1;
  }

  /** Header of an array: its count, or -1. */
  array(): number {
    if (this.pos >= this.end) return this.fail(Reason.TRUNCATED);
    const head = this.u8[this.pos] as number;
    if ((head & 0xf0) === 0x90) {
      this.pos++;
      return head & 0x0f;
    }
    if (head === 0xdc) return this.big(2);
    if (head === 0xdd) {
      const count = this.big(4);
      return count < 0 && this.fault === 0 ? this.fail(Reason.WRONG_COUNT) : count;
    }
    return this.fail(Reason.WRONG_TYPE);
  }

  /** An integer from -2^31 to 2^31 - 1, in any integer format or as a whole float. On failure 0 with the fault set. */
  int32(): number {
    if (this.pos >= this.end) return this.fail(Reason.TRUNCATED) & 0;
    const head = this.u8[this.pos] as number;
    if (head < 0x80) {
      this.pos++;
      return head;
    }
    if (head === 0xcd) return this.big(2) & (this.fault === 0 ? 0xffff : 0);
    if (head === 0xcc) return this.big(1) & (this.fault === 0 ? 0xff : 0);
    if (head >= 0xe0) {
      this.pos++;
      return head - 0x100;
    }
    return this.int32Wide(head);
  }

  private int32Wide(head: number): number {
    switch (head) {
      case 0xce: {
        const value = this.big(4);
        if (this.fault !== 0) return 0;
        return value < 0 ? this.fail(Reason.OUT_OF_BOUNDS) & 0 : value;
      }
      case 0xd0:
        return ((this.big(1) << 24) >> 24) & (this.fault === 0 ? -1 : 0);
      case 0xd1:
        return ((this.big(2) << 16) >> 16) & (this.fault === 0 ? -1 : 0);
      case 0xd2:
        return this.big(4) & (this.fault === 0 ? -1 : 0);
      case 0xcf:
      case 0xd3: {
        if (!this.words()) return 0;
        // A 64-bit integer fits when the high word only repeats the sign; an unsigned one has no sign to repeat.
        const sign = head === 0xd3 ? this.lo >> 31 : 0;
        if (this.hi !== sign || (head === 0xcf && this.lo < 0)) return this.fail(Reason.OUT_OF_BOUNDS) & 0;
        return this.lo;
      }
      case 0xca:
      case 0xcb: {
        const value = this.float(head);
        if (this.fault !== 0) return 0;
        if (value < -0x80000000 || value > 0x7fffffff) return this.fail(Reason.OUT_OF_BOUNDS) & 0;
        return value | 0;
      }
      default:
        return this.fail(Reason.WRONG_TYPE) & 0;
    }
  }

  /** An integer from 0 to 2^53 - 1 into `hi` and `lo`. True when there was one. */
  uint53(): boolean {
    if (this.pos >= this.end) return this.fail(Reason.TRUNCATED) === 0;
    const head = this.u8[this.pos] as number;
    if (head < 0x80) {
      this.pos++;
      this.hi = 0;
      this.lo = head;
      return true;
    }
    if (head === 0xce) {
      this.hi = 0;
      this.lo = this.big(4);
      return this.fault === 0;
    }
    if (head === 0xcf) {
      if (!this.words()) return false;
      return this.hi >>> 0 <= 0x1fffff || this.fail(Reason.OUT_OF_BOUNDS) === 0;
    }
    if (head === 0xcb || head === 0xca) {
      const value = this.float(head);
      if (this.fault !== 0) return false;
      if (value < 0 || value > Number.MAX_SAFE_INTEGER) return this.fail(Reason.OUT_OF_BOUNDS) === 0;
      this.hi = (value / 0x100000000) | 0;
      this.lo = value | 0;
      return true;
    }
    if (head === 0xd3) {
      if (!this.words()) return false;
      return this.hi >>> 0 <= 0x1fffff || this.fail(Reason.OUT_OF_BOUNDS) === 0;
    }
    const value = this.int32();
    this.hi = 0;
    this.lo = value;
    return this.fault === 0 && (value >= 0 || this.fail(Reason.OUT_OF_BOUNDS) === 0);
  }

  /** Text: its length in bytes with `start` at the first, or -1. Does not look at the encoding. */
  text(maxBytes: number): number {
    if (this.pos >= this.end) return this.fail(Reason.TRUNCATED);
    const head = this.u8[this.pos] as number;
    if ((head & 0xe0) === 0xa0) {
      this.pos++;
      return this.take(head & 0x1f, maxBytes);
    }
    if (head < 0xd9 || head > 0xdb) return this.fail(Reason.WRONG_TYPE);
    return this.sized(1 << (head - 0xd9), maxBytes);
  }

  /** Text or binary, as text(). */
  bytes(maxBytes: number): number {
    if (this.pos >= this.end) return this.fail(Reason.TRUNCATED);
    const head = this.u8[this.pos] as number;
    if (head < 0xc4 || head > 0xc6) return this.text(maxBytes);
    return this.sized(1 << (head - 0xc4), maxBytes);
  }

  /** True, and past it, when the next value is nil. */
  nil(): boolean {
    if (this.pos >= this.end || this.u8[this.pos] !== 0xc0) return false;
    this.pos++;
    return true;
  }

  /**
   * Passes `count` values whatever they are, nested ones too. Walks by a counter, not by recursion: each
   * value takes a byte at least, so the work is bounded by the bytes there are.
   */
  skip(count: number): boolean {
    let left = count;
    while (left > 0) {
      if (this.pos >= this.end || left > this.end - this.pos) return this.fail(Reason.TRUNCATED) === 0;
      const head = this.u8[this.pos] as number;
      left--;
      if (head < 0x80 || head >= 0xe0) {
        this.pos++;
      } else if (head < 0x90) {
        this.pos++;
        left += (head & 0x0f) * 2;
      } else if (head < 0xa0) {
        this.pos++;
        left += head & 0x0f;
      } else if (head < 0xc0) {
        this.pos += 1 + (head & 0x1f);
      } else {
        left += this.skipWide(head);
      }
      if (this.pos > this.end) return this.fail(Reason.TRUNCATED) === 0;
      if (this.fault !== 0) return false;
    }
    return true;
  }

  /** Passes a value of a format with a byte of its own; returns how many values follow inside it. */
  private skipWide(head: number): number {
    if (head >= 0xd4 && head <= 0xd8) {
      this.pos += 2 + (1 << (head - 0xd4));
      return 0;
    }
    switch (head) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        this.pos++;
        return 0;
      case 0xc4:
      case 0xd9:
        return this.skipSized(1, 0);
      case 0xc5:
      case 0xda:
        return this.skipSized(2, 0);
      case 0xc6:
      case 0xdb:
        return this.skipSized(4, 0);
      case 0xc7:
        return this.skipSized(1, 1);
      case 0xc8:
        return this.skipSized(2, 1);
      case 0xc9:
        return this.skipSized(4, 1);
      case 0xcc:
      case 0xd0:
        this.pos += 2;
        return 0;
      case 0xcd:
      case 0xd1:
        this.pos += 3;
        return 0;
      case 0xca:
      case 0xce:
      case 0xd2:
        this.pos += 5;
        return 0;
      case 0xcb:
      case 0xcf:
      case 0xd3:
        this.pos += 9;
        return 0;
      case 0xdc:
      case 0xdd:
      case 0xde:
      case 0xdf: {
        const count = this.big(head & 1 ? 4 : 2);
        // More values than bytes cannot be; saying so here keeps the counter small.
        if (this.fault !== 0 || count < 0 || count > this.end) return this.fail(Reason.TRUNCATED) & 0;
        return head >= 0xde ? count * 2 : count;
      }
      default:
        // 0xc1 is the one byte that begins no value.
        return this.fail(Reason.NOT_A_COMMAND) & 0;
    }
  }

  private skipSized(width: number, extra: number): number {
    const length = this.big(width);
    if (this.fault !== 0 || length < 0 || length + extra > this.end - this.pos) {
      return this.fail(Reason.TRUNCATED) & 0;
    }
    this.pos += length + extra;
    return 0;
  }

  private sized(width: number, maxBytes: number): number {
    const length = this.big(width);
    if (this.fault !== 0) return -1;
    return length < 0 ? this.fail(Reason.TRUNCATED) : this.take(length, maxBytes);
  }

  private take(length: number, maxBytes: number): number {
    if (length > this.end - this.pos) return this.fail(Reason.TRUNCATED);
    if (length > maxBytes) return this.fail(Reason.OUT_OF_BOUNDS);
    this.start = this.pos;
    this.pos += length;
    return length;
  }

  /** `width` bytes behind the format byte as a big-endian int32 (negative when four bytes exceed 2^31 - 1). */
  private big(width: number): number {
    if (this.end - this.pos < 1 + width) return this.fail(Reason.TRUNCATED);
    const at = this.pos + 1;
    this.pos = at + width;
    if (width === 1) return this.u8[at] as number;
    if (width === 2) return ((this.u8[at] as number) << 8) | (this.u8[at + 1] as number);
    return word(this.u8, at);
  }

  private words(): boolean {
    if (this.end - this.pos < 9) return this.fail(Reason.TRUNCATED) === 0;
    this.hi = word(this.u8, this.pos + 1);
    this.lo = word(this.u8, this.pos + 5);
    this.pos += 9;
    return true;
  }

  /** A float that is a whole number; another one is a wrong type. */
  private float(head: number): number {
    const width = head === 0xca ? 4 : 8;
    if (this.end - this.pos < 1 + width) return this.fail(Reason.TRUNCATED);
    for (let i = 0; i < width; i++) scratchBytes[i] = this.u8[this.pos + width - i] as number;
    this.pos += 1 + width;
    const value = head === 0xca ? (scratchFloat[0] as number) : (scratchDouble[0] as number);
    return Number.isInteger(value) ? value : this.fail(Reason.WRONG_TYPE);
  }
}

function word(u8: Uint8Array, at: number): number {
  return (
    ((u8[at] as number) << 24) |
    ((u8[at + 1] as number) << 16) |
    ((u8[at + 2] as number) << 8) |
    (u8[at + 3] as number)
  );
}

const EMPTY = new Uint8Array(0);
// Floats arrive most significant byte first and are turned around; every platform we support is little-endian.
const scratchBytes = new Uint8Array(8);
const scratchFloat = new Float32Array(scratchBytes.buffer);
const scratchDouble = new Float64Array(scratchBytes.buffer);
