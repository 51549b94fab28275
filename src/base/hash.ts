/**
 * Hash of a SKU's name into two words, a multiply-and-fold hash over little-endian words of four bytes in the
 * manner of MurmurHash3 (Appleby, 2011), finished with its fmix32. It decides which segment a SKU lives in, so
 * it is part of what is stored: never change it without a new store version.
 *
 * run() leaves the words in `lo` and `hi` (int32, so that V8 keeps them unboxed) and in `bits` the OR of all
 * bytes, which tells ASCII (`bits < 0x80`) from names whose encoding has to be looked at.
 */
export class SkuHash {
  lo = 0;
  hi = 0;
  bits = 0;

  run(u8: Uint8Array, start: number, length: number): void {
    let a = 0x9747b28c ^ length;
    let b = 0x2c1b3c6d ^ length;
    let bits = 0;
    let at = start;
    const whole = start + (length & ~3);
    while (at < whole) {
      const word =
        (u8[at] as number) |
        ((u8[at + 1] as number) << 8) |
        ((u8[at + 2] as number) << 16) |
        ((u8[at + 3] as number) << 24);
      bits |= word | (word >>> 8) | (word >>> 16) | (word >>> 24);
      a = Math.imul(a ^ word, 0xcc9e2d51);
      a = (a << 15) | (a >>> 17);
      b = Math.imul((b ^ word) + a, 0x1b873593);
      b = (b << 13) | (b >>> 19);
      at += 4;
    }
    const end = start + length;
    let tail = 0;
    while (at < end) {
      const byte = u8[at++] as number;
      bits |= byte;
      tail = (tail << 8) | byte;
    }
    a = Math.imul(a ^ tail, 0xcc9e2d51);
    b = Math.imul((b ^ tail) + a, 0x1b873593);
    this.lo = mix(a ^ (b >>> 15));
    this.hi = mix(b ^ this.lo);
    this.bits = bits & 0xff;
  }
}

/** fmix32 of MurmurHash3: every input bit changes every output bit with a probability near one half. */
export function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Segment of a SKU: the upper bits of the hash, scaled, so that any number of segments up to 1,024 gets an even share. */
export function segmentOfHash(hi: number, segments: number): number {
  return Math.imul(hi >>> 16, segments) >>> 16;
}
