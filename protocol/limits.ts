/**
 * Every bound of the protocol in one place. Bytes are bytes on the wire, times are milliseconds.
 * The relations between the bounds are asserted below when the module loads.
 */
export const PROTOCOL_VERSION = 1;

/** Largest quantity, and largest total of one SKU. */
export const MAX_QUANTITY = 2 ** 31 - 1;
/** Length of a SKU's name in bytes of UTF-8, from 1. */
export const MAX_SKU_BYTES = 64;
/** Length of an idempotency key in bytes, from 1. */
export const MAX_KEY_BYTES = 64;
/** Length of a holder's name in bytes of UTF-8, from 1. */
export const MAX_HOLDER_BYTES = 64;
/** A hold lives at least this long when it is placed. */
export const MIN_TTL_MS = 1;
/** No hold is placed, or extended, for longer than this at a time: a day. */
export const MAX_TTL_MS = 86_400_000;
/** The longest whole life that a server can be set to allow a hold: a week. */
export const MAX_HOLD_LIFE_MS = 7 * 86_400_000;

/** One command, from its array header to its last argument. The longest valid one has 161 bytes. */
export const MAX_COMMAND_BYTES = 256;
/** A token, in bytes. AUTH alone may be longer than MAX_COMMAND_BYTES, by it. */
export const MAX_TOKEN_BYTES = 8192;
/** One reply. The longest, READ_HOLD's, has 114 bytes at most. */
export const MAX_REPLY_BYTES = 192;
/** A traceparent of a client; version 00 has 55. A longer one is ignored. */
export const MAX_TRACEPARENT_BYTES = 128;
/** One binary or text frame from a client. A longer one is answered MALFORMED and the connection closes. */
export const MAX_FRAME_BYTES = 65_536;
/** A frame that announces more than this is cut off by the socket layer before it is read. */
export const MAX_FRAME_CUT_BYTES = 1_048_576;
/** Replies that wait for a client that does not read. Past this the connection is closed. */
export const MAX_BACKPRESSURE_BYTES = 1_048_576;
/** Commands of one connection that are under way at once. One more is answered BUSY. */
export const MAX_IN_FLIGHT = 16_384;
/** A client that is told UNAVAILABLE had better wait this long: for a server that starts anew, a store that comes back, a segment that is rebuilt. */
export const RETRY_LATER_MS = 1000;
/** Frames in a row that cannot be read to their end, after which the connection is closed. */
export const MAX_BROKEN_FRAMES = 16;

/** Parts of a hold's id: generation (21 bits) | segment (10 bits) | slot (22 bits), a safe integer. */
export const SLOT_BITS = 22;
export const SEGMENT_BITS = 10;
export const GENERATION_BITS = 21;
export const MAX_SEGMENTS = 2 ** SEGMENT_BITS;
export const MAX_SLOTS = 2 ** SLOT_BITS;
export const MAX_GENERATION = 2 ** GENERATION_BITS - 1;

/** Largest request id: every safe integer from 1. Zero marks a push. */
export const MAX_REQUEST_ID = Number.MAX_SAFE_INTEGER;

const relations: [string, boolean][] = [
  ['a hold id is a safe integer', SLOT_BITS + SEGMENT_BITS + GENERATION_BITS <= 53],
  ['slot and segment fill the low word of a hold id', SLOT_BITS + SEGMENT_BITS === 32],
  [
    'the longest HOLD fits a command',
    1 + 1 + 9 + 2 + MAX_SKU_BYTES + 9 + 9 + 2 + MAX_KEY_BYTES <= MAX_COMMAND_BYTES,
  ],
  ['the longest READ_HOLD answer fits a reply', 1 + 9 + 1 + 1 + 2 + MAX_SKU_BYTES + 4 * 9 <= MAX_REPLY_BYTES],
  ['a time to live fits an int32', MAX_TTL_MS <= MAX_QUANTITY && MAX_HOLD_LIFE_MS <= MAX_QUANTITY],
  ['a frame holds at least one command', MAX_COMMAND_BYTES <= MAX_FRAME_BYTES],
  ['the socket cuts only what is over the limit', MAX_FRAME_BYTES < MAX_FRAME_CUT_BYTES],
];
for (const [what, holds] of relations) {
  if (!holds) throw new Error(`protocol limits contradict each other: ${what}`);
}
