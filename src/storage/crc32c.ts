/**
 * CRC32C (Castagnoli), as iSCSI, ext4 and most journals use it: every change of up to 32 neighbouring bits is found, and nearly every
 * other one. "Slicing by 16" (Kounavis and Berry, 2005) takes sixteen bytes in a step, read as four words.
 */
const POLYNOMIAL = 0x82f63b78;

/** 16 tables of 256 words: table k is the effect of a byte with k zero bytes behind it. */
const T = tables();

function tables(): Int32Array {
  const t = new Int32Array(16 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let c = byte;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ POLYNOMIAL : c >>> 1;
    t[byte] = c;
  }
  for (let k = 1; k < 16; k++) {
    for (let byte = 0; byte < 256; byte++) {
      const before = t[(k - 1) * 256 + byte];
      t[k * 256 + byte] = (before >>> 8) ^ t[before & 0xff];
    }
  }
  return t;
}

/**
 * CRC32C of `count` words of `i32` from index `from`, as bytes in memory, little-endian. `seed` is the CRC of what came before, 0 at
 * the start; returned as a signed 32-bit number.
 */
export function crc32cWords(i32: Int32Array, from: number, count: number, seed = 0): number {
  const t = T;
  let c = ~seed;
  let i = from;
  const end = from + count;
  for (const whole = end - 3; i < whole; i += 4) {
    const a = i32[i] ^ c;
    const b = i32[i + 1];
    const d = i32[i + 2];
    const e = i32[i + 3];
    c =
      t[0xf00 + (a & 0xff)] ^
      t[0xe00 + ((a >>> 8) & 0xff)] ^
      t[0xd00 + ((a >>> 16) & 0xff)] ^
      t[0xc00 + (a >>> 24)] ^
      t[0xb00 + (b & 0xff)] ^
      t[0xa00 + ((b >>> 8) & 0xff)] ^
      t[0x900 + ((b >>> 16) & 0xff)] ^
      t[0x800 + (b >>> 24)] ^
      t[0x700 + (d & 0xff)] ^
      t[0x600 + ((d >>> 8) & 0xff)] ^
      t[0x500 + ((d >>> 16) & 0xff)] ^
      t[0x400 + (d >>> 24)] ^
      t[0x300 + (e & 0xff)] ^
      t[0x200 + ((e >>> 8) & 0xff)] ^
      t[0x100 + ((e >>> 16) & 0xff)] ^
      t[e >>> 24];
  }
  for (; i < end; i++) {
    const a = i32[i] ^ c;
    c = t[0x300 + (a & 0xff)] ^ t[0x200 + ((a >>> 8) & 0xff)] ^ t[0x100 + ((a >>> 16) & 0xff)] ^ t[a >>> 24];
  }
  return ~c;
}

/** The same of any bytes; the fast way for all but the ends where they lie at a multiple of four in their buffer. */
export function crc32c(u8: Uint8Array, seed = 0): number {
  const t = T;
  let c = ~seed;
  let i = 0;
  const aligned = Math.min(u8.length, (4 - (u8.byteOffset & 3)) & 3);
  for (; i < aligned; i++) c = (c >>> 8) ^ t[(c ^ u8[i]) & 0xff];
  const words = (u8.length - i) >>> 2;
  if (words > 0) {
    c = ~crc32cWords(new Int32Array(u8.buffer, u8.byteOffset + i, words), 0, words, ~c);
    i += words * 4;
  }
  for (; i < u8.length; i++) c = (c >>> 8) ^ t[(c ^ u8[i]) & 0xff];
  return ~c;
}
