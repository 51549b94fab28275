import type { Cursor } from '../../protocol/cursor.ts';
import { MAX_FRAME_BYTES, MAX_KEY_BYTES, MAX_REPLY_BYTES, MAX_SKU_BYTES } from '../../protocol/limits.ts';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Writer } from '../../protocol/writer.ts';

/** Array headers of a HOLD without a key, of one with, and of an answer. */
const PLAIN_HOLD = 0x95;
const KEYED_HOLD = 0x96;
const ANSWER = 0x94;
const UINT32 = 0xce;
/** Formats of a text and of binary that have a byte for their length. */
const TEXT = 0xd9;
const BINARY = 0xc4;
/** Header, op, request id, a name of one letter, quantity, time to live. */
const LEAST_HOLD_BYTES = 7;
const WORD_BYTES = 4;
/** Bytes of a whole number from 0 by its first one, in the formats that clients write ids, quantities and times in; 0: another format. */
const NUMBER_BYTES = Uint8Array.from({ length: 256 }, (_, head) => {
  if (head < 0x80) return 1;
  return head === 0xcc ? 2 : head === 0xcd ? 3 : head === UINT32 ? 5 : 0;
});

/**
 * Answers BUSY to HOLDs of which no more is read than their request ids: arguments are passed over by their lengths. Under a load that
 * cannot be served, what a refusal costs decides how much can be, and this is a fraction of what reading a command in full takes.
 */
export class UnreadRefusals {
  private readonly out: Uint8Array;
  private readonly view: DataView;
  /** What stands behind the request id in every answer of a run. */
  private readonly tail = new Writer(new Uint8Array(2 * WORD_BYTES));
  private readonly tailView = new DataView(this.tail.u8.buffer);

  /** @param out of MAX_FRAME_BYTES, where answers go */
  constructor(out: Uint8Array) {
    this.out = out;
    this.view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  }

  /**
   * Answers all HOLDs that stand at the cursor, one behind the other, while there is room behind the writer's position. Stops at what is
   * anything but a whole HOLD as clients write it, for somebody to read who knows all formats and mistakes. Returns how many were
   * answered.
   *
   * @param writer of the same bytes as `out`
   */
  run(cursor: Cursor, writer: Writer, retryMs: number, layer: number): number {
    const { out, view, tail } = this;
    const { u8, end } = cursor;
    tail.pos = 0;
    tail.int32(Status.BUSY);
    tail.int32(retryMs);
    tail.int32(layer);
    const tailBytes = tail.pos;
    const first = this.tailView.getInt32(0);
    const second = this.tailView.getInt32(WORD_BYTES);
    let at = cursor.pos;
    let to = writer.pos;
    let count = 0;
    while (end - at >= LEAST_HOLD_BYTES && to <= MAX_FRAME_BYTES - MAX_REPLY_BYTES) {
      const behind = endOfHold(u8, at, end);
      if (behind < 0) break;
      const idHead = u8[at + 2] as number;
      out[to] = ANSWER;
      out[to + 1] = idHead;
      to += 2;
      if (idHead === UINT32) {
        // The most common one in a rush, byte by byte: a loop takes twice as long.
        out[to] = u8[at + 3] as number;
        out[to + 1] = u8[at + 4] as number;
        out[to + 2] = u8[at + 5] as number;
        out[to + 3] = u8[at + 6] as number;
        to += 4;
      } else {
        const idEnd = at + 2 + (NUMBER_BYTES[idHead] as number);
        for (let from = at + 3; from < idEnd; from++) out[to++] = u8[from] as number;
      }
      // Up to three bytes too many: the next answer, or nothing, is written over them.
      view.setInt32(to, first);
      view.setInt32(to + WORD_BYTES, second);
      to += tailBytes;
      at = behind;
      count++;
    }
    cursor.pos = at;
    writer.pos = to;
    return count;
  }
}

/** Where the HOLD at `at` ends, not behind `end`; -1 for whatever else is there. At least LEAST_HOLD_BYTES are. */
function endOfHold(u8: Uint8Array, at: number, end: number): number {
  const head = u8[at] as number;
  if ((head !== PLAIN_HOLD && head !== KEYED_HOLD) || u8[at + 1] !== Op.HOLD) return -1;
  const idBytes = NUMBER_BYTES[u8[at + 2] as number] as number;
  let pos = at + 2 + idBytes;
  if (idBytes === 0 || pos >= end || (u8[pos - 1] === 0 && isZero(u8, at + 3, pos))) return -1;
  pos = endOfBytes(u8, pos, end, TEXT, MAX_SKU_BYTES);
  if (pos < 0) return -1;
  const quantityBytes = NUMBER_BYTES[u8[pos] as number] as number;
  pos += quantityBytes;
  if (quantityBytes === 0 || pos >= end) return -1;
  const ttlBytes = NUMBER_BYTES[u8[pos] as number] as number;
  pos += ttlBytes;
  if (ttlBytes === 0 || pos > end) return -1;
  if (head === PLAIN_HOLD) return pos;
  if (pos >= end) return -1;
  const keyFormat = u8[pos] === TEXT ? TEXT : BINARY;
  pos = endOfBytes(u8, pos, end + 1, keyFormat, MAX_KEY_BYTES);
  return pos;
}

/** Where a short text, or one of a format with a byte of length, ends before `end`; -1 otherwise. */
function endOfBytes(u8: Uint8Array, at: number, end: number, format: number, most: number): number {
  const head = u8[at] as number;
  let pos = at + 1 + (head & 0x1f);
  if (head === format) {
    const bytes = at + 1 < end ? (u8[at + 1] as number) : 0;
    if (bytes === 0 || bytes > most) return -1;
    pos = at + 2 + bytes;
  } else if (head <= 0xa0 || head >= 0xc0) {
    return -1;
  }
  return pos < end ? pos : -1;
}

/** Whether a number is 0, in whatever format, which is no request id: its bytes behind the format, which may be none. */
function isZero(u8: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (u8[at] !== 0) return false;
  return true;
}
