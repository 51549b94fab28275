import { crc32c, crc32cWords } from './crc32c.ts';
import type { FileWindow } from './file-window.ts';
import type { RunClock, StoreIdentity } from './store.ts';

/**
 * How a journal file looks; README.md has the tables. All numbers are little-endian; a header comes first, then frames, each at a
 * multiple of 8. What is not yet written is zeros.
 */
export const FORMAT_VERSION = 1;
export const FILE_HEADER_BYTES = 64;
export const FRAME_HEADER_BYTES = 32;
/** Most bytes of events in one frame. */
export const MAX_BODY_BYTES = 16 << 20;

/** "HFJF" and "HFJ1", read as little-endian words. */
const FILE_MAGIC = 0x464a4648;
const FRAME_MAGIC = 0x314a4648;
const MAX_BOOT_ID_BYTES = 100;

export const FrameType = {
  /** Whole events, one behind the other. */
  EVENTS: 1,
  /** A run of the server starts to write here, or goes on in a new file. */
  RUN: 2,
  /** What is before it has been written: a killed server cannot have left it half done. */
  MARK: 3,
  /** The journal was closed in order. */
  END: 4,
  /** The file ends here; the next one was there before this was written. */
  ROLL: 5,
  /** Where every segment was when the file was begun. */
  BASE: 6,
} as const;

/** Word offsets from the start of a file. */
const Header = { MAGIC: 0, CRC: 1, VERSION: 2, ID: 4, NUMBER: 8 } as const;
/** Word offsets from the start of a frame. */
const Frame = { MAGIC: 0, CRC: 1, BYTES: 2, TYPE: 3, SEQUENCE: 4, SYNCED: 6 } as const;

export interface FileHeader {
  readonly version: number;
  readonly storeId: string;
  readonly number: number;
}

/** A frame that was read; one object is filled again and again. */
export class FrameHead {
  type = 0;
  bodyBytes = 0;
  /** Counts up by one with each frame of the journal, from 1. */
  sequence = 0;
  /** Up to here, everything had been synced when this frame was written. */
  synced = 0;
}

/** Length of a file's name, so that names sort as numbers do. */
const NAME_DIGITS = 20;

export function journalFileName(number: number): string {
  return `${String(number).padStart(NAME_DIGITS, '0')}.log`;
}

/** Number of a journal file by its name; undefined for other files. */
export function journalFileNumber(name: string): number | undefined {
  return /^\d{20}\.log$/.test(name) ? Number(name.slice(0, NAME_DIGITS)) : undefined;
}

/**
 * What the CRCs of a store's frames start from. Nobody outside knows it, so nobody can have a name stocked whose bytes, found in a
 * journal, pass for a frame.
 */
export function frameSeed(identity: StoreIdentity): number {
  return crc32c(identity.secret, crc32c(Buffer.from(identity.id, 'hex')));
}

/** The header of a new file, of this version. */
export function encodeFileHeader(storeId: string, number: number): Uint8Array {
  const u8 = new Uint8Array(FILE_HEADER_BYTES);
  const i32 = new Int32Array(u8.buffer);
  i32[Header.MAGIC] = FILE_MAGIC;
  i32[Header.VERSION] = FORMAT_VERSION;
  u8.set(Buffer.from(storeId, 'hex'), Header.ID * 4);
  setNumber(i32, Header.NUMBER, number);
  i32[Header.CRC] = crc32cWords(i32, 2, FILE_HEADER_BYTES / 4 - 2);
  return u8;
}

/** The header at byte `at` of the views, or undefined when it is none. */
export function decodeFileHeader(u8: Uint8Array, i32: Int32Array, at: number): FileHeader | undefined {
  const word = at >>> 2;
  if (i32[word + Header.MAGIC] !== FILE_MAGIC) return undefined;
  if (i32[word + Header.CRC] !== crc32cWords(i32, word + 2, FILE_HEADER_BYTES / 4 - 2)) return undefined;
  const id = at + Header.ID * 4;
  return {
    version: i32[word + Header.VERSION],
    storeId: Buffer.from(u8.subarray(id, id + 16)).toString('hex'),
    number: getNumber(i32, word + Header.NUMBER),
  };
}

/** Begins a frame at word `word`, without a body. */
export function startFrame(i32: Int32Array, word: number, type: number): void {
  i32[word + Frame.MAGIC] = FRAME_MAGIC;
  i32[word + Frame.BYTES] = 0;
  i32[word + Frame.TYPE] = type;
}

/** Says how long the body of a frame is by now. */
export function growFrame(i32: Int32Array, word: number, bodyBytes: number): void {
  i32[word + Frame.BYTES] = bodyBytes;
}

/** Bytes of the body of the frame whose header lies at word `word`, as it says itself. */
export function frameBodyBytes(i32: Int32Array, word: number): number {
  return i32[word + Frame.BYTES];
}

/** Type of the frame whose header lies at word `word`. */
export function frameType(i32: Int32Array, word: number): number {
  return i32[word + Frame.TYPE];
}

/** Completes the frame at word `word`, whose body lies behind its header. Returns the bytes of both. */
export function sealFrame(
  i32: Int32Array,
  word: number,
  sequence: number,
  synced: number,
  seed: number,
): number {
  const bytes = FRAME_HEADER_BYTES + i32[word + Frame.BYTES];
  setNumber(i32, word + Frame.SEQUENCE, sequence);
  setNumber(i32, word + Frame.SYNCED, synced);
  i32[word + Frame.CRC] = crc32cWords(i32, word + 2, bytes / 4 - 2, seed);
  return bytes;
}

/**
 * Reads the frame at `offset` of the window's file into `head`. Returns the byte index of its body in the window, or -1 when there is no
 * whole frame. Without `verify`, the body is taken as it is.
 */
export function readFrame(
  window: FileWindow,
  offset: number,
  seed: number,
  verify: boolean,
  head: FrameHead,
): number {
  const at = window.at(offset, FRAME_HEADER_BYTES);
  if (at < 0) return -1;
  let word = at >>> 2;
  let { i32 } = window;
  if (i32[word + Frame.MAGIC] !== FRAME_MAGIC) return -1;
  const bodyBytes = i32[word + Frame.BYTES];
  if (bodyBytes < 0 || bodyBytes > MAX_BODY_BYTES || (bodyBytes & 7) !== 0) return -1;
  const whole = window.at(offset, FRAME_HEADER_BYTES + bodyBytes);
  if (whole < 0) return -1;
  word = whole >>> 2;
  i32 = window.i32;
  const words = (FRAME_HEADER_BYTES + bodyBytes) / 4 - 2;
  if (verify && i32[word + Frame.CRC] !== crc32cWords(i32, word + 2, words, seed)) return -1;
  head.type = i32[word + Frame.TYPE];
  head.bodyBytes = bodyBytes;
  head.sequence = getNumber(i32, word + Frame.SEQUENCE);
  head.synced = getNumber(i32, word + Frame.SYNCED);
  return whole + FRAME_HEADER_BYTES;
}

/** Body of a RUN or MARK: the offset, and the length and bytes of the boot id. */
export function encodeRun(run: RunClock): Uint8Array {
  const id = Buffer.from(run.bootId);
  if (id.length > MAX_BOOT_ID_BYTES) throw new Error(`a boot id of ${id.length} bytes is none`);
  const u8 = new Uint8Array((12 + id.length + 7) & ~7);
  const view = new DataView(u8.buffer);
  view.setFloat64(0, run.offsetMs, true);
  view.setUint32(8, id.length, true);
  u8.set(id, 12);
  return u8;
}

/** The run in the body that lies at `at` of `u8`. Its frame's CRC was verified. */
export function decodeRun(u8: Uint8Array, at: number): RunClock {
  const view = new DataView(u8.buffer, u8.byteOffset + at);
  const bytes = view.getUint32(8, true);
  const id = u8.subarray(at + 12, at + 12 + Math.min(bytes, MAX_BOOT_ID_BYTES));
  return { bootId: Buffer.from(id).toString(), offsetMs: view.getFloat64(0, true) };
}

/** Body of a BASE: the LSN of each segment's last event, 0 for none. */
export function encodeBase(lsns: Float64Array): Uint8Array {
  return new Uint8Array(lsns.slice().buffer);
}

/** The LSNs in the body that lies at `at` of `u8`. Its frame's CRC was verified. */
export function decodeBase(u8: Uint8Array, at: number, bodyBytes: number): Float64Array {
  return new Float64Array(u8.slice(at, at + bodyBytes).buffer);
}

function setNumber(i32: Int32Array, word: number, value: number): void {
  i32[word] = (value % 0x100000000) | 0;
  i32[word + 1] = (value / 0x100000000) | 0;
}

function getNumber(i32: Int32Array, word: number): number {
  return (i32[word] >>> 0) + (i32[word + 1] >>> 0) * 0x100000000;
}
