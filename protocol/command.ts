import type { Cursor } from './cursor.ts';
import {
  MAX_COMMAND_BYTES,
  MAX_SEGMENTS,
  MAX_SKU_BYTES,
  MAX_TOKEN_BYTES,
  MAX_TRACEPARENT_BYTES,
} from './limits.ts';
import { ClientPush, OP_SHAPES, Op, type OpShape, PUSH, Route } from './ops.ts';
import { Reason } from './status.ts';

/** Instead of a Reason: what was read is a traceparent. */
export const TRACE = -1;

/**
 * What has to be known of a command to route it: where it ends, its request id, and its first argument. One
 * object is used again for every command, and the other arguments are passed over unread.
 *
 * read() returns 0, a Reason, or TRACE for a push that is no command: a traceparent, or what may once be one, with
 * `skuBytes` 0, to be ignored. After a Reason, `resumable` says whether the next command's start is known,
 * `requestBytes` is 0 when the request id could not be told, and `element` is the index of what was wrong
 * (0 the op, 1 the request id, 2 the first argument).
 */
export class CommandPeek {
  op = 0;
  /** Elements of the array, with op and request id. */
  count = 0;
  /** The request id as it came: an encoded MessagePack integer, sent back as it is. */
  requestStart = 0;
  requestBytes = 0;
  /** The rest of the command behind the request id. */
  end = 0;
  /** First argument, where the op routes by SKU; a token or a traceparent likewise. */
  skuStart = 0;
  skuBytes = 0;
  /** First argument, where the op routes by hold: the words of the hold's id; by segment: its number in `lo`. */
  hi = 0;
  lo = 0;
  resumable = true;
  element = 0;

  read(cursor: Cursor): number {
    const start = cursor.pos;
    this.requestBytes = 0;
    this.resumable = true;
    const count = cursor.array();
    if (count < 0) {
      this.resumable = false;
      this.element = 0;
      return cursor.fault === Reason.WRONG_TYPE ? Reason.NOT_A_COMMAND : cursor.fault;
    }
    const afterHeader = cursor.pos;
    this.count = count;
    const reason = this.readElements(cursor, count);
    if (reason === TRACE) return TRACE;
    if (reason !== 0) return this.recover(cursor, afterHeader, count, reason);
    this.end = cursor.pos;
    // A token has a bound of its own, and is not passed on.
    if (this.end - start > MAX_COMMAND_BYTES && this.op !== Op.AUTH) {
      this.element = count - 1;
      return Reason.OUT_OF_BOUNDS;
    }
    return 0;
  }

  private readElements(cursor: Cursor, count: number): number {
    this.element = 0;
    if (count < 2) return Reason.WRONG_COUNT;
    this.op = cursor.int32();
    if (cursor.fault !== 0) return cursor.fault === Reason.OUT_OF_BOUNDS ? Reason.UNKNOWN_OP : cursor.fault;
    if (!this.readRequest(cursor)) {
      this.element = 1;
      return Reason.BAD_REQUEST_ID;
    }
    if (this.op < 1 || this.op >= OP_SHAPES.length) {
      const trace = this.op === PUSH && cursor.hi === 0 && cursor.lo === ClientPush.TRACE;
      return trace ? this.readTrace(cursor, count) : Reason.UNKNOWN_OP;
    }
    const shape = OP_SHAPES[this.op] as OpShape;
    if (count < shape.minElements || count > shape.maxElements) return Reason.WRONG_COUNT;
    if (shape.route === Route.NONE) return 0;
    this.element = 2;
    if (!this.readRoute(cursor, shape.route)) return cursor.fault;
    return cursor.skip(count - 3) ? 0 : cursor.fault;
  }

  /** The rest of `[0, TRACE, traceparent]`. Whatever else stands there is no error, as Trace Context has it. */
  private readTrace(cursor: Cursor, count: number): number {
    const { pos } = cursor;
    this.skuBytes = count === 3 ? cursor.text(MAX_TRACEPARENT_BYTES) : 0;
    this.skuStart = cursor.start;
    if (count === 3 && cursor.fault === 0) return TRACE;
    this.skuBytes = 0;
    cursor.pos = pos;
    cursor.fault = 0;
    return cursor.skip(count - 2) ? TRACE : cursor.fault;
  }

  private readRequest(cursor: Cursor): boolean {
    this.requestStart = cursor.pos;
    if (!cursor.uint53() || (cursor.hi === 0 && cursor.lo === 0)) return false;
    this.requestBytes = cursor.pos - this.requestStart;
    return true;
  }

  private readRoute(cursor: Cursor, route: number): boolean {
    if (route === Route.SKU || route === Route.TOKEN) {
      this.skuBytes = cursor.text(route === Route.SKU ? MAX_SKU_BYTES : MAX_TOKEN_BYTES);
      this.skuStart = cursor.start;
      return this.skuBytes > 0 || cursor.fail(Reason.OUT_OF_BOUNDS) === 0;
    }
    if (!cursor.uint53()) return false;
    this.hi = cursor.hi;
    this.lo = cursor.lo;
    if (route === Route.HOLD) return true;
    return (this.hi === 0 && this.lo >>> 0 < MAX_SEGMENTS) || cursor.fail(Reason.OUT_OF_BOUNDS) === 0;
  }

  /** Looks for the command's end although something in it was wrong, so that those behind it can be read. */
  private recover(cursor: Cursor, afterHeader: number, count: number, reason: number): number {
    cursor.pos = afterHeader;
    cursor.fault = 0;
    if (this.requestBytes === 0 && count >= 2) {
      // The op could not be read; the request id behind it still tells the client which command this was.
      if (cursor.skip(1)) this.readRequest(cursor);
      cursor.pos = afterHeader;
      cursor.fault = 0;
    }
    if (cursor.skip(count)) {
      this.end = cursor.pos;
      return reason;
    }
    this.resumable = false;
    return cursor.fault;
  }
}
