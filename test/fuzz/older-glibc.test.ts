import { describe, expect, it } from 'vitest';
import { forOlderGlibc } from '../../scripts/older-glibc.mjs';

const OLD = 2;
const NEW = 3;
const HEADER_BYTES = 64;
const SECTION_BYTES = 64;

/** As little of a shared object as the loader's tables of symbols take: each with the index of its version. */
function sharedObject(symbols: readonly [name: string, version: number][], newest = 'GLIBC_2.38'): Buffer {
  const names = ['', ...symbols.map(([name]) => name), 'GLIBC_2.2.5', newest];
  const text = Buffer.from(`${names.join('\0')}\0`);
  const at = (name: string): number => text.indexOf(`\0${name}\0`) + 1;
  const dynsym = Buffer.alloc(24 * symbols.length);
  const versym = Buffer.alloc(2 * symbols.length);
  symbols.forEach(([name, version], i) => {
    dynsym.writeUInt32LE(at(name), 24 * i);
    versym.writeUInt16LE(version, 2 * i);
  });
  // One library with two versions, the second of them the last.
  const verneed = Buffer.alloc(16 + 2 * 16);
  verneed.writeUInt16LE(2, 2);
  verneed.writeUInt32LE(16, 8);
  [OLD, NEW].forEach((index, i) => {
    verneed.writeUInt16LE(index, 16 + 16 * i + 6);
    verneed.writeUInt32LE(at(i === 0 ? 'GLIBC_2.2.5' : newest), 16 + 16 * i + 8);
    verneed.writeUInt32LE(i === 0 ? 16 : 0, 16 + 16 * i + 12);
  });
  const parts: [type: number, bytes: Buffer, link: number, info: number][] = [
    [3, text, 0, 0],
    [11, dynsym, 0, 0],
    [0x6fffffff, versym, 1, 0],
    [0x6ffffffe, verneed, 0, 1],
  ];
  const head = Buffer.alloc(HEADER_BYTES + SECTION_BYTES * parts.length);
  head.writeBigUInt64LE(BigInt(HEADER_BYTES), 40);
  head.writeUInt16LE(SECTION_BYTES, 58);
  head.writeUInt16LE(parts.length, 60);
  let offset = head.length;
  parts.forEach(([type, bytes, link, info], i) => {
    const section = HEADER_BYTES + SECTION_BYTES * i;
    head.writeUInt32LE(type, section + 4);
    head.writeBigUInt64LE(BigInt(offset), section + 24);
    head.writeBigUInt64LE(BigInt(bytes.length), section + 32);
    head.writeUInt32LE(link, section + 40);
    head.writeUInt32LE(info, section + 44);
    offset += bytes.length;
  });
  return Buffer.concat([head, ...parts.map(([, bytes]) => bytes)]);
}

/** Name and version of each symbol, and whether the newest version is weak. */
function readBack(object: Buffer): [string, number][] & { weak?: boolean } {
  const section = (i: number) => Number(object.readBigUInt64LE(HEADER_BYTES + SECTION_BYTES * i + 24));
  const [text, dynsym, versym, verneed] = [0, 1, 2, 3].map(section) as [number, number, number, number];
  const count = Number(object.readBigUInt64LE(HEADER_BYTES + SECTION_BYTES + 32)) / 24;
  const symbols = Array.from({ length: count }, (_, i): [string, number] => {
    const at = text + object.readUInt32LE(dynsym + 24 * i);
    return [object.toString('latin1', at, object.indexOf(0, at)), object.readUInt16LE(versym + 2 * i)];
  });
  return Object.assign(symbols, { weak: object.readUInt16LE(verneed + 16 + 16 + 4) === 2 });
}

describe('a shared object for an older glibc', () => {
  it('asks for strtol and its kin under their old names, and does without marks and the newer version', () => {
    const object = sharedObject([
      ['malloc', OLD],
      ['__isoc23_strtol', NEW],
      ['_ZSt21ios_base_library_initv', NEW],
      ['__isoc23_strtoul', NEW],
    ]);
    const made = readBack(forOlderGlibc(object));
    expect([...made]).toEqual([
      ['malloc', OLD],
      ['strtol', OLD],
      ['_ZSt21ios_base_library_initv', NEW],
      ['strtoul', OLD],
    ]);
    expect(made.weak).toBe(true);
  });

  it('is not made of one that needs more than names', () => {
    const object = sharedObject([['strlcpy', NEW]]);
    expect(() => forOlderGlibc(object)).toThrow('strlcpy is not in this');
  });

  it('is the same, where it needs nothing new', () => {
    const object = sharedObject(
      [
        ['malloc', OLD],
        ['__isoc23_strtol', NEW],
      ],
      'GLIBC_2.17',
    );
    expect(forOlderGlibc(object).equals(object)).toBe(true);
  });
});
