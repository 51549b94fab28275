import { Cursor } from '../../protocol/cursor.ts';
import { PUSH } from '../../protocol/ops.ts';
import { Reason, STATUS_COUNT, Status } from '../../protocol/status.ts';

/** What the other side sends: replies to be walked through, or our own frames back, of which only the number counts. */
export type Answers = 'replies' | 'echo';

/**
 * Room before the bytes that were read, into which the beginning of an unfinished value is put back. The longest value
 * is the server's hello.
 */
export const HEADROOM_BYTES = 4096;

/**
 * Counts the answers in one connection's WebSocket stream, wherever the stream is cut into reads. Replies are
 * counted by status, each walked from its array header to its last value. Frames from a server are not masked.
 */
export class Scanner {
  /** Frames with a payload that are over. */
  frames = 0;
  /** Replies of every status. */
  replies = 0;
  /** Replies with the status OK, which are also in `byStatus`. */
  accepted = 0;
  readonly byStatus = new Float64Array(STATUS_COUNT);
  pushes = 0;
  /** Called for each reply, if there is one to call. The reply lies at `at` in `u8` meanwhile. */
  onReply: ((requestId: number, status: number) => void) | undefined;
  u8: Buffer = Buffer.alloc(0);
  at = 0;
  private readonly walks: boolean;
  private readonly cursor = new Cursor();
  /** Bytes of the current frame's payload that have not been passed. */
  private payloadLeft = 0;
  private readonly tail = Buffer.alloc(HEADROOM_BYTES);
  private tailBytes = 0;

  constructor(answers: Answers) {
    this.walks = answers === 'replies';
  }

  /**
   * Takes `length` bytes that lie at HEADROOM_BYTES in `buffer`; the bytes before them may be overwritten. Throws
   * on what no server may send, and when the server closes.
   */
  read(buffer: Buffer, length: number): void {
    let pos = HEADROOM_BYTES;
    const end = pos + length;
    if (this.tailBytes > 0) {
      pos -= this.tailBytes;
      this.tail.copy(buffer, pos, 0, this.tailBytes);
      this.tailBytes = 0;
    }
    while (pos < end) {
      if (this.payloadLeft === 0) {
        const payloadStart = this.header(buffer, pos, end);
        if (payloadStart < 0) break;
        pos = payloadStart;
        continue;
      }
      const whole = this.payloadLeft <= end - pos;
      const stop = whole ? pos + this.payloadLeft : end;
      const passed = this.walks ? this.walk(buffer, pos, stop, whole) : stop;
      this.payloadLeft -= passed - pos;
      pos = passed;
      if (this.payloadLeft === 0) this.frames++;
      else if (pos < end) break;
    }
    if (pos < end) this.keep(buffer, pos, end);
  }

  /** Reads a frame's header into `payloadLeft` and returns where the payload starts, or -1 when bytes are missing. */
  private header(u8: Buffer, pos: number, end: number): number {
    if (end - pos < 2) return -1;
    const opcode = u8[pos] & 0x0f;
    const short = u8[pos + 1] & 0x7f;
    const bytes = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (end - pos < bytes) return -1;
    const length = short < 126 ? short : short === 126 ? u8.readUInt16BE(pos + 2) : u8.readUIntBE(pos + 4, 6);
    if (opcode === 0x02) {
      this.payloadLeft = length;
      return pos + bytes;
    }
    // Pings need no answer within the time that a run takes; the payload of a control frame comes in one piece.
    if (opcode !== 0x08 && opcode !== 0x09 && opcode !== 0x0a)
      throw new Error(`a frame with the opcode ${opcode} came`);
    if (end - pos < bytes + length) return -1;
    if (opcode === 0x08) throw new Error(closed(u8, pos + bytes, length));
    return pos + bytes + length;
  }

  /** Walks values from `pos` to `stop` and returns the end of the last whole one. */
  private walk(u8: Buffer, pos: number, stop: number, frameIsWhole: boolean): number {
    let at = pos;
    this.u8 = u8;
    while (at < stop) {
      this.at = at;
      // Nearly all answers have one of two shapes: an accepted hold's, and a refusal's with a number or two.
      if (stop - at >= 25 && isAcceptedHold(u8, at)) {
        if (this.onReply !== undefined) this.onReply(u8.readUInt32BE(at + 2), Status.OK);
        at += 25;
        this.replies++;
        this.accepted++;
        this.byStatus[Status.OK]++;
        continue;
      }
      const refusedTo = refusalEnd(u8, at, stop);
      if (refusedTo > 0) {
        const status = u8[at + 6];
        if (this.onReply !== undefined) this.onReply(u8.readUInt32BE(at + 2), status);
        at = refusedTo;
        this.replies++;
        this.byStatus[status]++;
        continue;
      }
      const next = this.value(u8, at, stop);
      if (next < 0) {
        if (frameIsWhole) throw new Error('a frame ended within a reply');
        return at;
      }
      at = next;
    }
    return at;
  }

  /** Counts the value at `pos` and returns its end, or -1 when it is not whole. */
  private value(u8: Buffer, pos: number, end: number): number {
    const cursor = this.cursor;
    cursor.reset(u8, pos, end);
    const count = cursor.array();
    if (cursor.fault === 0 && count < 2)
      throw new Error(`an array of ${count} is neither a reply nor a push`);
    cursor.uint53();
    const isPush = cursor.hi === 0 && cursor.lo === PUSH;
    const requestId = cursor.hi * 2 ** 32 + (cursor.lo >>> 0);
    const status = cursor.int32();
    cursor.skip(count - 2);
    if (cursor.fault === Reason.TRUNCATED) return -1;
    if (cursor.fault !== 0) throw new Error('what came is neither a reply nor a push');
    if (isPush) {
      this.pushes++;
    } else {
      if (status < 0 || status >= STATUS_COUNT) throw new Error(`a reply with the status ${status} came`);
      this.replies++;
      this.byStatus[status]++;
      if (status === Status.OK) this.accepted++;
      this.onReply?.(requestId, status);
    }
    return cursor.pos;
  }

  private keep(buffer: Buffer, pos: number, end: number): void {
    if (end - pos > HEADROOM_BYTES) throw new Error(`a value of more than ${HEADROOM_BYTES} bytes came`);
    this.tailBytes = buffer.copy(this.tail, 0, pos, end);
  }
}

/** [0x94, request id as uint32, 0, hold id as uint64, end as uint64]: the bytes that cannot differ. */
function isAcceptedHold(u8: Buffer, at: number): boolean {
  return (
    u8[at] === 0x94 &&
    u8[at + 1] === 0xce &&
    u8[at + 6] === Status.OK &&
    u8[at + 7] === 0xcf &&
    u8[at + 16] === 0xcf
  );
}

/**
 * [0x92 to 0x94, request id as uint32, status, results that are unsigned integers], of a status that is not OK. Returns its end, or -1 when
 * it is another value or not whole.
 */
function refusalEnd(u8: Buffer, at: number, stop: number): number {
  const results = u8[at] - 0x92;
  if (stop - at < 7 || results < 0 || results > 2 || u8[at + 1] !== 0xce) return -1;
  const status = u8[at + 6];
  if (status === Status.OK || status >= STATUS_COUNT) return -1;
  let end = at + 7;
  for (let i = 0; i < results; i++) {
    if (end >= stop) return -1;
    const head = u8[end];
    // A small number is its own byte; uint8 to uint64 are a byte and one, two, four or eight more.
    if (head < 0x80) end++;
    else if (head >= 0xcc && head <= 0xcf) end += 1 + (1 << (head - 0xcc));
    else return -1;
  }
  return end <= stop ? end : -1;
}

function closed(u8: Buffer, start: number, length: number): string {
  if (length < 2) return 'the server closed the connection';
  const reason = u8.toString('utf8', start + 2, start + length);
  return `the server closed the connection with ${u8.readUInt16BE(start)} ${reason}`;
}
