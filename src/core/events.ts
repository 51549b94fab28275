import { MAX_SKU_BYTES, SLOT_BITS } from '../../protocol/limits.ts';
import { assert } from '../base/assert.ts';

/**
 * What happened to a segment, as the journal keeps it. An event is a record of 32-bit words, little-endian, a multiple of 8 bytes
 * long. The same bytes lie in the event ring, whose records have just this head, in the journal, and in what is read from it:
 *
 *     word 0  bytes behind word 1 (without the padding to a multiple of 8)
 *     word 1  type (4 bits) | segment (10 bits) << 4 | bits 32 to 47 of the time << 16
 *     word 2  bits 0 to 31 of the time: the segment's time, ms since the epoch
 *     word 3  bits 0 to 31 of the LSN; of an EXPIRED for several holds, that of the first
 *     word 4  on: what the type says
 *
 *     STOCKED    4 SKU's number   5 total   6 maxPerHold   7 maxPerHolder   8 maxTtlMs   9 bytes of the name   10 on: the name
 *     HELD       4 hold   5 SKU's number   6, 7 holder   8 quantity   9 ttlMs   10 to 13, with a key only: its print
 *     CONFIRMED  4 hold   5 units sold
 *     RELEASED   4 hold   5 units given back: all that were held end the hold
 *     EXPIRED    4 on: holds, each with an LSN of its own
 *     EXTENDED   4 hold   5 ttlMs from the event's time
 *     RETURNED   4 hold   5 units taken back
 *
 * A hold is its slot and, above, the lowest ten bits of its generation. A SKU's number is its place in the segment; STOCKED tells
 * its name. Every event of a segment raises its LSN by one, so that a gap shows.
 */
export const EventType = {
  STOCKED: 1,
  HELD: 2,
  CONFIRMED: 3,
  RELEASED: 4,
  EXPIRED: 5,
  EXTENDED: 6,
  RETURNED: 7,
} as const;

/** Word offsets from an event's first word. */
export const Event = {
  BYTES: 0,
  TAG: 1,
  TIME: 2,
  LSN: 3,
  /** The hold, or the first of several; the SKU's number of a STOCKED. */
  HOLD: 4,
  /** Units of a CONFIRMED, RELEASED or RETURNED; ttlMs of an EXTENDED. */
  AMOUNT: 5,
  HELD_SKU: 5,
  HELD_HOLDER: 6,
  HELD_QUANTITY: 8,
  HELD_TTL: 9,
  HELD_PRINT: 10,
  STOCKED_SKU: 4,
  STOCKED_TOTAL: 5,
  STOCKED_MAX_PER_HOLD: 6,
  STOCKED_MAX_PER_HOLDER: 7,
  STOCKED_MAX_TTL: 8,
  STOCKED_NAME_BYTES: 9,
  STOCKED_NAME: 10,
} as const;

/** Bytes of the head that the ring and the journal know: words 0 and 1. */
export const EVENT_HEAD_BYTES = 8;

/** Bytes behind the head. STOCKED has the name's bytes besides, EXPIRED a word for each further hold. */
export const PayloadBytes = {
  STOCKED: (Event.STOCKED_NAME - Event.TIME) * 4,
  HELD: (Event.HELD_PRINT - Event.TIME) * 4,
  HELD_WITH_KEY: (Event.HELD_PRINT + 4 - Event.TIME) * 4,
  /** CONFIRMED, RELEASED, EXTENDED, RETURNED. */
  CHANGE: (Event.AMOUNT + 1 - Event.TIME) * 4,
  EXPIRED: (Event.HOLD + 1 - Event.TIME) * 4,
} as const;

/** Holds of one EXPIRED at most. */
export const MAX_EXPIRED = 16;

/** Most events of expiry that one command causes: HOLD looks twice for holds that are due, and ends up to 16 each time. */
export const MAX_OVERDUE = 16;

/** Most bytes of events for each hold that Segment.advance() ends: those of an EXPIRED for one. */
export const MAX_EXPIRY_EVENT_BYTES = eventBytes(PayloadBytes.EXPIRED);

/** Most bytes of events that one command causes: a HOLD with a key for which as many holds as possible are ended. */
export const MAX_COMMAND_EVENT_BYTES =
  2 * MAX_OVERDUE * MAX_EXPIRY_EVENT_BYTES + eventBytes(PayloadBytes.HELD_WITH_KEY);

/** Where a segment writes its events. A RingProducer is one. */
export interface EventSink {
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
  /** Room for a record: the byte index, in the views, of what lies behind the head, which is written. */
  claim(payloadBytes: number, tag: number): number;
}

/** Bytes from the start of one event to the start of the next. */
export function eventBytes(payloadBytes: number): number {
  return (EVENT_HEAD_BYTES + payloadBytes + 7) & ~7;
}

export function eventType(tag: number): number {
  return tag & 0x0f;
}

export function eventSegment(tag: number): number {
  return (tag >>> 4) & 0x3ff;
}

/** Time of an event from its words 1 and 2, ms. */
export function eventTime(tag: number, low: number): number {
  return (tag >>> 16) * 0x100000000 + (low >>> 0);
}

/** A hold as events name it. */
export function eventHold(slot: number, generation: number): number {
  return slot | (generation << SLOT_BITS);
}

export function eventSlot(hold: number): number {
  return hold & ((1 << SLOT_BITS) - 1);
}

/** The lowest ten bits of a hold's generation. */
export function eventGeneration(hold: number): number {
  return hold >>> SLOT_BITS;
}

/** How many LSNs the event at a word index covers: one, or one for each hold of an EXPIRED. */
export function eventLsns(i32: Int32Array, at: number): number {
  if (eventType(i32[at + Event.TAG] as number) !== EventType.EXPIRED) return 1;
  return ((i32[at + Event.BYTES] as number) - PayloadBytes.EXPIRED) / 4 + 1;
}

/**
 * How far the (first) LSN of the event at a word index is ahead of a segment's: 1 is the next, and 0 and less are in the segment's
 * state already. An event has the low 32 bits only, so that the true distance must be less than 2^31 either way.
 */
export function lsnDistance(i32: Int32Array, at: number, lsn: number): number {
  return ((i32[at + Event.LSN] as number) - (lsn | 0)) | 0;
}

const longest = eventBytes(PayloadBytes.STOCKED + MAX_SKU_BYTES);
assert(longest <= MAX_COMMAND_EVENT_BYTES, 'no STOCKED is longer than the events of a HOLD');
assert(
  eventBytes(PayloadBytes.EXPIRED + 4) <= 2 * MAX_EXPIRY_EVENT_BYTES,
  'holds that end together take no more than by themselves',
);
