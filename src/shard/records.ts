import { MAX_COMMAND_BYTES, MAX_REPLY_BYTES } from '../../protocol/limits.ts';

/**
 * What the rings between front and workers carry. A record's tag is the index of its connection.
 *
 *     command   word 0      info: op (4 bits) | count (4) | mode (2) | request id bytes (4) | stage slot (8) | segment (10)
 *               words 1, 2  holder
 *               words 3, 4  the SKU's hash, or the hold's id: low word, high word
 *               byte 20 on  the command's MessagePack from its request id on
 *
 *     reply     word 0      info: op (4 bits) | mode << 8 (2) | gated << 10 (1) | stage slot << 14 (8) | status << 24 (8)
 *               word 1      when gated: position in the event ring that must be durable before the reply may leave
 *               byte 8 on   the reply's MessagePack, whole
 */
export const COMMAND_HEAD_BYTES = 20;
export const REPLY_HEAD_BYTES = 8;

/**
 * A command on a SKU with commands on holds before it has ~index for its tag, and one more word before all others: the position of its front's
 * settle ring (see lanes.ts) behind those. What follows in its ring, up to the next such word, waits for the same.
 */
export const STAMP_BYTES = 4;

/** Most payload bytes of either record. */
export const COMMAND_RECORD_BYTES = STAMP_BYTES + COMMAND_HEAD_BYTES + MAX_COMMAND_BYTES;
export const REPLY_RECORD_BYTES = REPLY_HEAD_BYTES + MAX_REPLY_BYTES;

/** How a reply is to be said: as it is, as JSON with numbers or names, or to a request of the server's own. */
export const Mode = { BINARY: 0, JSON: 1, JSON_NAMES: 2, INTERNAL: 3 } as const;

export function commandInfo(
  op: number,
  count: number,
  mode: number,
  requestBytes: number,
  segment: number,
  slot = 0,
): number {
  return op | (count << 4) | (mode << 8) | (requestBytes << 10) | (slot << 14) | (segment << 22);
}

export function infoOp(info: number): number {
  return info & 0x0f;
}

export function infoCount(info: number): number {
  return (info >> 4) & 0x0f;
}

export function infoMode(info: number): number {
  return (info >> 8) & 0x03;
}

export function infoRequestBytes(info: number): number {
  return (info >> 10) & 0x0f;
}

export function infoSegment(info: number): number {
  return info >>> 22;
}

/** Of a command and of its reply: where its times are written down, see stage-memory.ts; 0 for most, which are not timed. */
export function infoSlot(info: number): number {
  return (info >> 14) & 0xff;
}

/** Set in the info of a reply that waits for durability. */
export const GATED = 1 << 10;

/** A reply's info from its command's, and its status. */
export function replyInfo(info: number, status: number): number {
  return (info & 0x3fc30f) | (status << 24);
}

export function infoStatus(info: number): number {
  return info >>> 24;
}
