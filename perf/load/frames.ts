import { MAX_FRAME_BYTES } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Writer } from '../../protocol/writer.ts';

/**
 * Frames made once before a run and sent over and over. All of them have the same length and lie back to back, so
 * that any number of them in a row is one slice and one write. The first `extra` frames follow once more behind the
 * last, so that a slice never has to wrap.
 */
export interface FrameSet {
  readonly bytes: Buffer;
  readonly frameBytes: number;
  readonly frames: number;
  readonly commandsPerFrame: number;
  /** Of each command; a frame's commands fill it to its end. */
  readonly commandBytes: number;
}

export interface HoldFrames {
  /** SKUs to spread the holds over; 1 makes one hot SKU. */
  readonly skus: number;
  /** The first of them; 0 unless given. */
  readonly firstSku?: number;
  readonly ttlMs: number;
  readonly commandsPerFrame: number;
  /** Most frames that are ever sent in one write. */
  readonly extra: number;
  /** Whether each command ends with an idempotency key of KEY_BYTES zeros, for stampKeys(). */
  readonly keyed?: boolean;
}

/** Of the keys that the SDK makes. */
export const KEY_BYTES = 16;
const PREFIX_BYTES = 8;
/** Of a SKU's number, behind the prefix of its name. */
export const SKU_DIGITS = 7;

/** Request ids are given from here, so that every id takes the five bytes that ids of a long-lived client take. */
export const FIRST_REQUEST_ID = 0x10000;
/** Coprime to every number of SKUs used here, and far enough for neighbours to fall into different segments. */
const SKU_STRIDE = 7919;

/**
 * Binary frames of HOLD commands for one unit each, over `skus` SKUs. Throws RangeError when a frame would be longer
 * than the protocol allows.
 */
export function holdFrames(shape: HoldFrames): FrameSet {
  const { skus, firstSku = 0, ttlMs, commandsPerFrame, extra, keyed = false } = shape;
  const frames = Math.max(1, Math.ceil(skus / commandsPerFrame));
  let command = 0;
  return frameSet(frames, commandsPerFrame, extra, (writer) => {
    writeHold(writer, FIRST_REQUEST_ID + command, firstSku + strided(command, skus), ttlMs, keyed);
    command++;
  });
}

/**
 * Gives each command in `bytes`, which is whole frames of a keyed set, a key of its own: `prefix`, of eight bytes, and behind it a number
 * that counts up from `first`. Returns the number behind the last.
 */
export function stampKeys(set: FrameSet, bytes: Buffer, prefix: Buffer, first: number): number {
  const { frameBytes, commandsPerFrame, commandBytes } = set;
  let number = first;
  for (let frameEnd = frameBytes; frameEnd <= bytes.length; frameEnd += frameBytes) {
    for (let i = commandsPerFrame - 1; i >= 0; i--) {
      const keyEnd = frameEnd - i * commandBytes;
      for (let byte = 0; byte < PREFIX_BYTES; byte++) bytes[keyEnd - KEY_BYTES + byte] = prefix[byte];
      // The generator shares the machine with the server: storing bytes costs a tenth of Buffer's own methods.
      bytes[keyEnd - 5] = number / 2 ** 32;
      bytes[keyEnd - 4] = number >>> 24;
      bytes[keyEnd - 3] = number >>> 16;
      bytes[keyEnd - 2] = number >>> 8;
      bytes[keyEnd - 1] = number;
      number++;
    }
  }
  return number;
}

/** The SKU of a run's so many-th command: neighbours lie in different segments. */
export function strided(command: number, skus: number): number {
  return (command * SKU_STRIDE) % skus;
}

/** Binary frames of STOCK commands that set the total of every SKU to `units`; the last frame may repeat the first SKUs. */
export function stockFrames(
  skus: number,
  units: number,
  commandsPerFrame: number,
  firstSku = 0,
  prefix?: string,
): FrameSet {
  const frames = Math.ceil(skus / commandsPerFrame);
  let command = 0;
  return frameSet(frames, commandsPerFrame, 0, (writer) => {
    writer.array(5);
    writer.int32(Op.STOCK);
    writer.int32(FIRST_REQUEST_ID + command);
    writeText(writer, skuName(firstSku + (command % skus), prefix));
    writer.int32(StockMode.TOTAL);
    writer.int32(units);
    command++;
  });
}

/** Name of a SKU of the benchmarks; all with one prefix have the same length. */
export function skuName(index: number, prefix = 'sku-'): string {
  return prefix + String(index).padStart(SKU_DIGITS, '0');
}

function frameSet(
  frames: number,
  perFrame: number,
  extra: number,
  write: (writer: Writer) => void,
): FrameSet {
  const first = framed(perFrame, write);
  // The second byte tells how the length is written: behind it come two bytes of length or none, and four of key.
  const headBytes = (first[1] & 0x7f) < 126 ? 6 : 8;
  const commandBytes = (first.length - headBytes) / perFrame;
  const frameBytes = first.length;
  const bytes = Buffer.alloc(frameBytes * (frames + extra));
  first.copy(bytes);
  for (let i = 1; i < frames; i++) {
    const frame = framed(perFrame, write);
    if (frame.length !== frameBytes)
      throw new Error(`frames of ${frameBytes} and ${frame.length} bytes in one set`);
    frame.copy(bytes, i * frameBytes);
  }
  for (let i = 0; i < extra; i++) {
    bytes.copy(bytes, (frames + i) * frameBytes, (i % frames) * frameBytes, ((i % frames) + 1) * frameBytes);
  }
  return { bytes, frameBytes, frames, commandsPerFrame: perFrame, commandBytes };
}

/** One masked WebSocket frame. Its key is zero, which is legal and leaves the payload as it is. */
function framed(commands: number, write: (writer: Writer) => void): Buffer {
  const writer = new Writer(scratch);
  for (let i = 0; i < commands; i++) write(writer);
  const payload = scratch.subarray(0, writer.pos);
  if (payload.length > MAX_FRAME_BYTES) {
    throw new RangeError(
      `${commands} commands take ${payload.length} bytes; a frame has ${MAX_FRAME_BYTES} at most`,
    );
  }
  const key = [0, 0, 0, 0];
  const length = payload.length;
  const head =
    length < 126 ? [0x82, 0x80 | length, ...key] : [0x82, 0xfe, length >>> 8, length & 0xff, ...key];
  return Buffer.concat([Buffer.from(head), payload]);
}

/** A HOLD in a frame of its own, as holdFrames() has them, with any request id of five bytes. */
export function holdFrame(requestId: number, sku: number, ttlMs: number): Buffer {
  return framed(1, (writer) => writeHold(writer, requestId, sku, ttlMs, false));
}

function writeHold(writer: Writer, requestId: number, sku: number, ttlMs: number, keyed: boolean): void {
  writer.array(keyed ? 6 : 5);
  writer.int32(Op.HOLD);
  writer.int32(requestId);
  writeText(writer, skuName(sku));
  writer.int32(1);
  writer.int32(ttlMs);
  if (keyed) writer.copy(EMPTY_KEY, 0, EMPTY_KEY.length);
}

function writeText(writer: Writer, text: string): void {
  const utf8 = Buffer.from(text);
  writer.textFrom(utf8, 0, utf8.length);
}

/** A key of zeros, in MessagePack. */
const EMPTY_KEY = Buffer.concat([Buffer.from([0xc4, KEY_BYTES]), Buffer.alloc(KEY_BYTES)]);
const scratch = Buffer.alloc(2 * MAX_FRAME_BYTES);
