/**
 * Writes MessagePack into a buffer that the caller has made large enough (MAX_REPLY_BYTES for a reply), without
 * allocating. Integers take the shortest format, except where a fixed one is named.
 */
export class Writer {
  u8: Uint8Array;
  pos = 0;
  /** The same bytes, for whole words at once. */
  private view: DataView;

  constructor(u8: Uint8Array) {
    this.u8 = u8;
    this.view = viewOf(u8);
  }

  /** Goes on in another buffer, which makes a view: for one buffer used again and again, set `pos`. */
  reset(u8: Uint8Array, pos: number): void {
    this.u8 = u8;
    this.view = viewOf(u8);
    this.pos = pos;
  }

  /** Header of an array of up to 15 values. */
  array(count: number): void {
    this.u8[this.pos++] = 0x90 | count;
  }

  nil(): void {
    this.u8[this.pos++] = 0xc0;
  }

  /** An integer from -2^31 to 2^31 - 1. */
  int32(value: number): void {
    const u8 = this.u8;
    if (value >= 0) {
      if (value < 0x80) {
        u8[this.pos++] = value;
      } else if (value < 0x100) {
        u8[this.pos++] = 0xcc;
        u8[this.pos++] = value;
      } else if (value < 0x10000) {
        u8[this.pos++] = 0xcd;
        u8[this.pos++] = value >>> 8;
        u8[this.pos++] = value;
      } else {
        u8[this.pos++] = 0xce;
        this.word(value);
      }
    } else if (value >= -32) {
      u8[this.pos++] = value;
    } else {
      this.negative(value);
    }
  }

  /** A 64-bit unsigned integer from its two words, always nine bytes: hold ids. */
  uint64(hi: number, lo: number): void {
    const { pos } = this;
    this.u8[pos] = 0xcf;
    this.view.setInt32(pos + 1, hi);
    this.view.setInt32(pos + 5, lo);
    this.pos = pos + 9;
  }

  /** A safe integer from 0, always nine bytes: times. */
  time(value: number): void {
    this.uint64((value / 0x100000000) | 0, value | 0);
  }

  /** A safe integer from 0 in the shortest format. */
  uint53(value: number): void {
    if (value <= 0x7fffffff) {
      this.int32(value);
    } else if (value <= 0xffffffff) {
      this.u8[this.pos++] = 0xce;
      this.word(value);
    } else {
      this.time(value);
    }
  }

  /** Text of up to 255 bytes that lie in another buffer. */
  textFrom(source: Uint8Array, start: number, length: number): void {
    if (length < 32) {
      this.u8[this.pos++] = 0xa0 | length;
    } else {
      this.u8[this.pos++] = 0xd9;
      this.u8[this.pos++] = length;
    }
    this.copy(source, start, length);
  }

  /** Bytes as they are: a value that is encoded already. */
  copy(source: Uint8Array, start: number, length: number): void {
    const u8 = this.u8;
    let pos = this.pos;
    for (let i = 0; i < length; i++) u8[pos++] = source[start + i] as number;
    this.pos = pos;
  }

  /** An integer below -32. */
  private negative(value: number): void {
    const u8 = this.u8;
    if (value >= -0x80) {
      u8[this.pos++] = 0xd0;
      u8[this.pos++] = value;
    } else if (value >= -0x8000) {
      u8[this.pos++] = 0xd1;
      u8[this.pos++] = value >>> 8;
      u8[this.pos++] = value;
    } else {
      u8[this.pos++] = 0xd2;
      this.word(value);
    }
  }

  private word(value: number): void {
    this.view.setInt32(this.pos, value);
    this.pos += 4;
  }
}

function viewOf(u8: Uint8Array): DataView {
  return new DataView(u8.buffer, u8.byteOffset, u8.byteLength);
}
