import { Event, EventType, eventBytes, eventLsns, eventSegment, eventType } from '../core/events.ts';
import { crc32cWords } from './crc32c.ts';

/** Of the shortest event: time, LSN and one word more. */
const MIN_PAYLOAD_BYTES = 12;

/** CRC32C of an entry's events, as it stands beside them: eight hexadecimal digits. Nothing else would notice a damaged file of Redis'. */
export function entryChecksum(i32: Int32Array, from: number, words: number): string {
  return (crc32cWords(i32, from, words) >>> 0).toString(16).padStart(8, '0');
}

/** What is wrong with an entry of a segment's journal, or where it begins. */
export interface EntryCheck {
  /** LSN of its first event. */
  readonly first: number;
  /** In words; undefined when all is well. */
  readonly problem: string | undefined;
}

/**
 * Looks through an entry from word `from` to `to`: whole events of the segment, with LSNs that rise without a gap up to `last`.
 */
export function checkEntry(
  i32: Int32Array,
  from: number,
  to: number,
  segment: number,
  last: number,
): EntryCheck {
  let lsns = 0;
  for (let at = from; at < to; ) {
    const payload = to - at < 6 ? -1 : (i32[at + Event.BYTES] as number);
    const tag = i32[at + Event.TAG] as number;
    const next = at + (eventBytes(payload) >> 2);
    const offset = `byte ${(at - from) * 4}`;
    if (payload < MIN_PAYLOAD_BYTES || next > to) return { first: 0, problem: `no whole event at ${offset}` };
    if (eventType(tag) < EventType.STOCKED || eventType(tag) > EventType.RETURNED) {
      return { first: 0, problem: `an event of an unknown type at ${offset}` };
    }
    if (eventSegment(tag) !== segment) {
      return { first: 0, problem: `an event of segment ${eventSegment(tag)} at ${offset}` };
    }
    const since = ((i32[at + Event.LSN] as number) - (i32[from + Event.LSN] as number)) | 0;
    if (since !== (lsns | 0)) return { first: 0, problem: `LSNs that do not follow each other at ${offset}` };
    lsns += eventLsns(i32, at);
    at = next;
  }
  const first = last - lsns + 1;
  if (lsns === 0) return { first: 0, problem: 'no event in it' };
  if (((i32[from + Event.LSN] as number) | 0) !== (first | 0)) {
    return { first: 0, problem: `an id that is not the LSN of its last event` };
  }
  return { first, problem: undefined };
}
