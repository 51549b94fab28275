import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { crc32c, crc32cWords } from '../../src/storage/crc32c.ts';

/** Bit by bit, as the polynomial says. */
function slowCrc(bytes: Uint8Array): number {
  let c = ~0;
  for (const byte of bytes) {
    c ^= byte;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  }
  return ~c;
}

describe('CRC32C', () => {
  // RFC 3720, appendix B.4, and the check value of the catalogues of CRCs.
  it.each([
    ['"123456789"', Buffer.from('123456789'), 0xe3069283],
    ['32 zeros', new Uint8Array(32), 0x8a9136aa],
    ['32 times 0xff', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ['31 to 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    ['nothing', new Uint8Array(0), 0],
  ])('of %s is as published', (_what, bytes, expected) => {
    expect(crc32c(bytes) >>> 0).toBe(expected);
  });

  it('is the same for any length, place and split', () => {
    const prng = new Prng(1);
    const memory = Uint8Array.from({ length: 400 }, () => prng.below(256));
    for (let length = 0; length < 90; length++) {
      const start = prng.below(300);
      const bytes = memory.subarray(start, start + length);
      const cut = prng.below(length + 1);
      expect(crc32c(bytes)).toBe(slowCrc(bytes));
      expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut)))).toBe(slowCrc(bytes));
    }
  });

  it('of words is that of their bytes', () => {
    const words = Int32Array.from({ length: 50 }, (_, i) => Math.imul(i + 1, 0x9e3779b9));
    for (let count = 0; count < 40; count++) {
      expect(crc32cWords(words, 3, count, 7)).toBe(crc32c(new Uint8Array(words.buffer, 12, count * 4), 7));
    }
  });
});
