import { assert } from '../base/assert.ts';
import { Event, EventType, eventBytes, eventSegment, eventType } from '../core/events.ts';

/** Segments that an event's tag can name. */
const MAX_SEGMENTS = 1024;
/** Bytes that an event has behind its head before the type's own part. */
const COMMON_BYTES = (Event.HOLD - Event.TIME) * 4;

/**
 * Follows the events that are written to the journal and knows each segment's last LSN, for trim() and for the BASE of a new file. Events carry 32 bits of it; the rest is
 * made up when it is asked for, which must be at least once in 2^32 events of a segment.
 */
export class LastLsns {
  readonly #full: Float64Array;
  readonly #low = new Int32Array(MAX_SEGMENTS);

  /** `lsns`: of each segment's last event so far. */
  constructor(lsns: Float64Array) {
    this.#full = lsns.slice();
    for (let segment = 0; segment < lsns.length; segment++) this.#low[segment] = low32(lsns[segment]);
  }

  /** Takes note of the events in words `word` to `end`. */
  follow(i32: Int32Array, word: number, end: number): void {
    const low = this.#low;
    let at = word;
    while (at < end) {
      const bytes = i32[at + Event.BYTES];
      const tag = i32[at + Event.TAG];
      let lsn = i32[at + Event.LSN];
      if (eventType(tag) === EventType.EXPIRED) lsn = (lsn + ((bytes - COMMON_BYTES) >>> 2) - 1) | 0;
      low[eventSegment(tag)] = lsn;
      at += eventBytes(bytes) >>> 2;
    }
    assert(at === end, 'a lot of events ends with an event');
  }

  /** LSN of each segment's last event by now. */
  now(): Float64Array {
    const full = this.#full;
    for (let segment = 0; segment < full.length; segment++) {
      full[segment] += (this.#low[segment] - low32(full[segment])) >>> 0;
    }
    return full.slice();
  }
}

function low32(lsn: number): number {
  return (lsn % 0x100000000) | 0;
}
