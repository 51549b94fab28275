import type { Cursor } from '../../protocol/cursor.ts';
import { MAX_KEY_BYTES, MAX_QUANTITY, MAX_SKU_BYTES, MAX_TTL_MS, MIN_TTL_MS } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Reason, Status } from '../../protocol/status.ts';
import type { Writer } from '../../protocol/writer.ts';
import { inspectSegment } from './invariant.ts';
import type { Segment } from './segment.ts';

/** What the front knows of a command already. One object serves every command. */
export class CommandHead {
  op = 0;
  /** Elements of the command's array, with op and request id. */
  count = 0;
  /** The SKU's hash, or the hold's id, as words. */
  lo = 0;
  hi = 0;
  holderLo = 0;
  holderHi = 0;
  /** The encoded request id, in the cursor's buffer. */
  requestStart = 0;
  requestBytes = 0;
  /** Index of the element that is being read. */
  element = 0;
}

/**
 * Runs one command on the segment that it belongs to: reads the arguments behind the request id from the cursor,
 * applies them, writes one reply of at most MAX_REPLY_BYTES. Returns the reply's status.
 */
export function executeCommand(
  segment: Segment,
  head: CommandHead,
  cursor: Cursor,
  writer: Writer,
  nowMs: number,
): number {
  head.element = 2;
  if (segment.fenced) return unavailable(segment, head, cursor, writer);
  switch (head.op) {
    case Op.HOLD:
      return executeHold(segment, head, cursor, writer, nowMs);
    case Op.CONFIRM:
    case Op.RELEASE:
    case Op.RETURN:
      return executeEnd(segment, head, cursor, writer, nowMs);
    case Op.EXTEND:
      return executeExtend(segment, head, cursor, writer, nowMs);
    case Op.STOCK:
      return executeStock(segment, head, cursor, writer, nowMs);
    case Op.READ:
      return executeRead(segment, head, cursor, writer, nowMs);
    case Op.READ_HOLD:
      return executeReadHold(segment, head, cursor, writer, nowMs);
    case Op.INSPECT:
      return executeInspect(segment, head, cursor, writer);
    default:
      cursor.fail(Reason.UNKNOWN_OP);
      return malformed(head, cursor, writer);
  }
}

function executeHold(
  segment: Segment,
  head: CommandHead,
  cursor: Cursor,
  writer: Writer,
  nowMs: number,
): number {
  const skuBytes = cursor.text(MAX_SKU_BYTES);
  const skuStart = cursor.start;
  const quantity = integer(head, cursor, 1, MAX_QUANTITY);
  const ttlMs = integer(head, cursor, MIN_TTL_MS, MAX_TTL_MS);
  let keyBytes = 0;
  if (head.count > 5 && !cursor.nil()) {
    if (cursor.fault === 0) head.element++;
    keyBytes = cursor.bytes(MAX_KEY_BYTES);
    if (keyBytes === 0) cursor.fail(Reason.OUT_OF_BOUNDS);
  }
  if (cursor.fault !== 0) return malformed(head, cursor, writer);
  const status = segment.hold(
    head.lo,
    head.hi,
    cursor.u8,
    skuStart,
    skuBytes,
    head.holderLo,
    head.holderHi,
    quantity,
    ttlMs,
    cursor.start,
    keyBytes,
    nowMs,
  );
  const out = segment.out;
  switch (status) {
    case Status.OK:
      begin(head, cursor, writer, status, 2);
      writer.uint64(segment.holdHi, segment.holdLo);
      writeTime(writer, out, 0);
      return status;
    case Status.KEY_CONFLICT:
      begin(head, cursor, writer, status, 1);
      writer.uint64(segment.holdHi, segment.holdLo);
      return status;
    case Status.HOLDER_LIMIT:
    case Status.HELD_OUT:
      return answerOut(segment, head, cursor, writer, status, 2);
    case Status.HOLD_LIMIT:
    case Status.TTL_LIMIT:
    case Status.SOLD_OUT:
      return answerOut(segment, head, cursor, writer, status, 1);
    default:
      return begin(head, cursor, writer, status, 0);
  }
}

/** CONFIRM, RELEASE and RETURN: a hold, how much of it, and for the last two how much the client thinks there is. */
function executeEnd(
  segment: Segment,
  head: CommandHead,
  cursor: Cursor,
  writer: Writer,
  nowMs: number,
): number {
  cursor.skip(1);
  const { lo, hi, holderLo, holderHi } = head;
  const quantity = optional(head, cursor, 4, 1, MAX_QUANTITY, 0);
  const of = optional(head, cursor, 5, 1, MAX_QUANTITY, 0);
  if (cursor.fault !== 0) return malformed(head, cursor, writer);
  let status: number;
  if (head.op === Op.CONFIRM) status = segment.confirm(lo, hi, holderLo, holderHi, quantity, nowMs);
  else if (head.op === Op.RELEASE) status = segment.release(lo, hi, holderLo, holderHi, quantity, of, nowMs);
  else status = segment.returnSold(lo, hi, holderLo, holderHi, quantity, of, nowMs);
  return answerHold(segment, head, cursor, writer, status);
}

function executeExtend(
  segment: Segment,
  head: CommandHead,
  cursor: Cursor,
  writer: Writer,
  nowMs: number,
): number {
  cursor.skip(1);
  const ttlMs = integer(head, cursor, MIN_TTL_MS, MAX_TTL_MS);
  if (cursor.fault !== 0) return malformed(head, cursor, writer);
  const status = segment.extend(head.lo, head.hi, head.holderLo, head.holderHi, ttlMs, nowMs);
  return answerHold(segment, head, cursor, writer, status);
}

function executeStock(
  segment: Segment,
  head: CommandHead,
  cursor: Cursor,
  writer: Writer,
  nowMs: number,
): number {
  const skuBytes = cursor.text(MAX_SKU_BYTES);
  const skuStart = cursor.start;
  const mode = integer(head, cursor, StockMode.DELTA, StockMode.TOTAL);
  const amount = integer(head, cursor, mode === StockMode.TOTAL ? 0 : -MAX_QUANTITY, MAX_QUANTITY);
  const maxPerHold = optional(head, cursor, 6, 0, MAX_QUANTITY, -1);
  const maxPerHolder = optional(head, cursor, 7, 0, MAX_QUANTITY, -1);
  const maxTtlMs = optional(head, cursor, 8, 0, MAX_TTL_MS, -1);
  if (cursor.fault !== 0) return malformed(head, cursor, writer);
  const status = segment.stock(
    head.lo,
    head.hi,
    cursor.u8,
    skuStart,
    skuBytes,
    mode,
    amount,
    maxPerHold,
    maxPerHolder,
    maxTtlMs,
    nowMs,
  );
  const counts = status === Status.OK || status === Status.STOCK_LIMIT ? 4 : 0;
  return answerOut(segment, head, cursor, writer, status, counts);
}

function executeRead(
  segment: Segment,
  head: CommandHead,
  cursor: Cursor,
  writer: Writer,
  nowMs: number,
): number {
  const skuBytes = cursor.text(MAX_SKU_BYTES);
  const status = segment.read(head.lo, head.hi, cursor.u8, cursor.start, skuBytes, nowMs);
  return answerOut(segment, head, cursor, writer, status, status === Status.OK ? 8 : 0);
}

function executeReadHold(
  segment: Segment,
  head: CommandHead,
  cursor: Cursor,
  writer: Writer,
  nowMs: number,
): number {
  const status = segment.readHold(head.lo, head.hi, head.holderLo, head.holderHi, nowMs);
  if (status !== Status.OK) return begin(head, cursor, writer, status, 0);
  const out = segment.out;
  const sku = out[1] as number;
  begin(head, cursor, writer, status, 6);
  writeOut(writer, out, 0);
  writer.textFrom(segment.memory.u8, segment.skus.nameStart(sku), segment.skus.nameBytes(sku));
  for (let i = 2; i < 6; i++) writeOut(writer, out, i);
  return status;
}

function executeInspect(segment: Segment, head: CommandHead, cursor: Cursor, writer: Writer): number {
  const found = inspectSegment(segment);
  const results = [
    found.skus,
    found.openHolds,
    found.available,
    found.held,
    found.sold,
    found.total,
    found.keys,
    found.violations.length,
  ];
  begin(head, cursor, writer, Status.OK, results.length);
  for (const result of results) writer.uint53(Math.max(0, result));
  return Status.OK;
}

/** The next argument, an integer within bounds. 0 when it is not, with the cursor's fault set. */
function integer(head: CommandHead, cursor: Cursor, least: number, most: number): number {
  if (cursor.fault !== 0) return 0;
  head.element++;
  const value = cursor.int32();
  if (value < least || value > most) return cursor.fail(Reason.OUT_OF_BOUNDS) & 0;
  return value;
}

/** The same for argument number `place` of the array, counted from 1, which may be left out or nil. */
function optional(
  head: CommandHead,
  cursor: Cursor,
  place: number,
  least: number,
  most: number,
  missing: number,
): number {
  if (head.count < place || cursor.fault !== 0) return missing;
  if (cursor.nil()) {
    head.element++;
    return missing;
  }
  return integer(head, cursor, least, most);
}

/** Writes the head of a reply with `results` results to follow. Returns the status. */
function begin(head: CommandHead, cursor: Cursor, writer: Writer, status: number, results: number): number {
  writer.array(2 + results);
  writer.copy(cursor.u8, head.requestStart, head.requestBytes);
  writer.int32(status);
  return status;
}

/** The answer to a command on a hold: all statuses have one result, but for those that know of no units. */
function answerHold(
  segment: Segment,
  head: CommandHead,
  cursor: Cursor,
  writer: Writer,
  status: number,
): number {
  const bare = status === Status.UNKNOWN_HOLD || status === Status.NOT_CONFIRMED;
  return answerOut(segment, head, cursor, writer, status, bare ? 0 : 1);
}

function answerOut(
  segment: Segment,
  head: CommandHead,
  cursor: Cursor,
  writer: Writer,
  status: number,
  results: number,
): number {
  begin(head, cursor, writer, status, results);
  for (let i = 0; i < results; i++) writeOut(writer, segment.out, i);
  return status;
}

/**
 * A result in the shortest format. Taken from the array here rather than passed on: a time does not fit a small integer, and as
 * an argument it would be a new object.
 */
function writeOut(writer: Writer, out: Float64Array, index: number): void {
  const value = out[index] as number;
  if (value <= MAX_QUANTITY) writer.int32(value | 0);
  else writeTime(writer, out, index);
}

function writeTime(writer: Writer, out: Float64Array, index: number): void {
  const value = out[index] as number;
  writer.uint64((value / 0x100000000) | 0, value | 0);
}

function unavailable(segment: Segment, head: CommandHead, cursor: Cursor, writer: Writer): number {
  begin(head, cursor, writer, Status.UNAVAILABLE, 1);
  writer.int32(segment.retryAfterMs);
  return Status.UNAVAILABLE;
}

function malformed(head: CommandHead, cursor: Cursor, writer: Writer): number {
  begin(head, cursor, writer, Status.MALFORMED, 2);
  writer.int32(cursor.fault);
  writer.int32(head.element);
  return Status.MALFORMED;
}
