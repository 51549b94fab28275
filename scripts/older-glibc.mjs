/**
 * Makes a copy of a shared object (ELF, 64 bits, little-endian) that was linked on a newer system load on glibc 2.36, as far as all that is
 * new is in names:
 *
 * - glibc 2.38 has strtol and its kin under new names too (`__isoc23_strtol`, which also read 0b110): they go back to the old names.
 * - libstdc++ of GCC 13 has a symbol that only says which version a file was compiled for (`_ZSt21ios_base_library_initv`); nobody calls it.
 *
 * The versions that stood for these are marked weak, so that the loader does without them. Throws when anything else needs them:
 * then it is no matter of names. Format: System V ABI, "Object Files" and "Symbol Versioning" (Drepper, ELF Symbol Versioning).
 */
const RENAMED = '__isoc23_';
const MARKS = ['_ZSt21ios_base_library_initv'];
const NEWER = ['GLIBC_2.38', 'GLIBCXX_3.4.32'];
const OLD_VERSION = 'GLIBC_2.2.5';

const SECTION = { DYNSYM: 11, VERNEED: 0x6ffffffe, VERSYM: 0x6fffffff };
const SYMBOL_BYTES = 24;
const WEAK = 2;

/** @param {Buffer} original */
export function forOlderGlibc(original) {
  const bytes = Buffer.from(original);
  const sections = readSections(bytes);
  const find = (type) => {
    const section = sections.find((one) => one.type === type);
    if (section === undefined) throw new Error(`the file has no section of type ${type}`);
    return section;
  };
  const symbols = find(SECTION.DYNSYM);
  const versionOf = find(SECTION.VERSYM).offset;
  const names = sections[symbols.link].offset;
  const nameAt = (at) => bytes.toString('latin1', names + at, bytes.indexOf(0, names + at));

  const versions = readVersions(bytes, find(SECTION.VERNEED), nameAt);
  const newer = versions.filter(({ name }) => NEWER.includes(name));
  const old = versions.find(({ name }) => name === OLD_VERSION);
  for (const { flagsAt } of newer) bytes.writeUInt16LE(WEAK, flagsAt);

  for (let i = 0; i < symbols.bytes / SYMBOL_BYTES; i++) {
    const at = symbols.offset + i * SYMBOL_BYTES;
    const index = bytes.readUInt16LE(versionOf + 2 * i);
    if (!newer.some((version) => version.index === index)) continue;
    const name = nameAt(bytes.readUInt32LE(at));
    if (name.startsWith(RENAMED) && old !== undefined) {
      // The old name is the end of the new one.
      bytes.writeUInt32LE(bytes.readUInt32LE(at) + RENAMED.length, at);
      bytes.writeUInt16LE(old.index, versionOf + 2 * i);
    } else if (!MARKS.includes(name)) {
      throw new Error(`${name} is not in this system's libraries under any name`);
    }
  }
  return bytes;
}

function readSections(bytes) {
  const start = Number(bytes.readBigUInt64LE(40));
  const each = bytes.readUInt16LE(58);
  return Array.from({ length: bytes.readUInt16LE(60) }, (_, i) => {
    const at = start + i * each;
    return {
      type: bytes.readUInt32LE(at + 4),
      offset: Number(bytes.readBigUInt64LE(at + 24)),
      bytes: Number(bytes.readBigUInt64LE(at + 32)),
      link: bytes.readUInt32LE(at + 40),
      info: bytes.readUInt32LE(at + 44),
    };
  });
}

/** The versions that the file needs of the libraries it is linked with. */
function readVersions(bytes, { offset, info: libraries }, nameAt) {
  const versions = [];
  let library = offset;
  for (let i = 0; i < libraries; i++) {
    let at = library + bytes.readUInt32LE(library + 8);
    for (let left = bytes.readUInt16LE(library + 2); left > 0; left--) {
      const name = nameAt(bytes.readUInt32LE(at + 8));
      versions.push({ name, index: bytes.readUInt16LE(at + 6), flagsAt: at + 4 });
      at += bytes.readUInt32LE(at + 12);
    }
    library += bytes.readUInt32LE(library + 12);
  }
  return versions;
}
