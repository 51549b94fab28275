import { describe, expect, it } from 'vitest';
import { crc32c } from '../../src/storage/crc32c.ts';
import { decodeSnapshot, encodeSnapshot, type Snapshot } from '../../src/storage/snapshot.ts';
import { StoreError } from '../../src/storage/store.ts';

const STORE = '00112233445566778899aabbccddeeff';

function snapshot(overrides: Partial<Snapshot> = {}): Snapshot {
  const image = Int32Array.from({ length: 300 }, (_, i) => (i % 7 === 0 ? i : 0));
  return { store: STORE, segment: 5, lsn: 2 ** 40 + 3, timeMs: 1_800_000_000_123, image, ...overrides };
}

describe('a snapshot', () => {
  it.each([
    ['a small image', {}],
    ['an empty image', { image: new Int32Array(0) }],
    ['a long image of zeros', { image: new Int32Array(1 << 20) }],
    ['an image in shared memory', { image: new Int32Array(new SharedArrayBuffer(4096)).fill(-3) }],
    ['a part of larger memory', { image: Int32Array.from({ length: 99 }, (_, i) => i).subarray(7, 50) }],
  ])('of %s reads back as it was', (_what, overrides) => {
    const written = snapshot(overrides);
    const read = decodeSnapshot(encodeSnapshot(written), STORE);
    expect({ ...read, image: [...read.image] }).toEqual({ ...written, image: [...written.image] });
  });

  it('is read from any place in memory', () => {
    const bytes = encodeSnapshot(snapshot());
    for (let shift = 0; shift < 8; shift++) {
      const moved = new Uint8Array(bytes.length + 8).subarray(shift, shift + bytes.length);
      moved.set(bytes);
      expect(decodeSnapshot(moved, STORE).image).toEqual(snapshot().image);
    }
  });

  it('is refused with any bit flipped, and cut at any byte', () => {
    const bytes = encodeSnapshot(snapshot());
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >>> 3] ^= 1 << (bit & 7);
      expect(
        codeOf(() => decodeSnapshot(damaged, STORE)),
        `bit ${bit}`,
      ).toBe('CORRUPT');
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(
        codeOf(() => decodeSnapshot(bytes.subarray(0, length), STORE)),
        `${length} bytes`,
      ).toBe('CORRUPT');
    }
    expect(codeOf(() => decodeSnapshot(Buffer.concat([bytes, Buffer.alloc(4)]), STORE))).toBe('CORRUPT');
  });

  it('of another store or version is refused as such', () => {
    const bytes = encodeSnapshot(snapshot());
    expect(codeOf(() => decodeSnapshot(bytes, 'ff'.repeat(16)))).toBe('INCOMPATIBLE');
    expect(decodeSnapshot(bytes).store).toBe(STORE);
    expect(codeOf(() => decodeSnapshot(withWord(bytes, 2, 2), STORE))).toBe('INCOMPATIBLE');
  });

  it('takes no more memory than it says, and says no more than there can be', () => {
    const bytes = encodeSnapshot(snapshot({ image: new Int32Array(1 << 20) }));
    expect(codeOf(() => decodeSnapshot(withWord(bytes, 5, 4096), STORE))).toBe('CORRUPT');
    expect(codeOf(() => decodeSnapshot(withWord(bytes, 5, -4), STORE))).toBe('CORRUPT');
  });
});

/** The bytes with one word of the prefix changed, and a checksum that fits. */
function withWord(bytes: Uint8Array, word: number, value: number): Uint8Array {
  const changed = bytes.slice();
  const view = new DataView(changed.buffer);
  view.setInt32(word * 4, value, true);
  view.setInt32(4, crc32c(changed.subarray(8)), true);
  return changed;
}

function codeOf(what: () => unknown): string {
  try {
    what();
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
  return 'none';
}
