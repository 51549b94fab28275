import {
  EVENT_HEAD_BYTES,
  Event,
  type EventSink,
  EventType,
  eventBytes,
  eventSegment,
  eventTime,
  eventType,
  lsnDistance,
} from '../../src/core/events.ts';
import { Replayer } from '../../src/core/replay.ts';
import type { Segment } from '../../src/core/segment.ts';
import { T0 } from './fixtures.ts';

const BYTES = 1 << 17;

/** Keeps every event that a segment writes, one behind the other. */
export class RecordingSink implements EventSink {
  readonly u8 = new Uint8Array(BYTES);
  readonly i32 = new Int32Array(this.u8.buffer);
  /** Word index of each event. */
  readonly starts: number[] = [];
  bytes = 0;

  claim(payloadBytes: number, tag: number): number {
    const at = this.bytes;
    if (at + eventBytes(payloadBytes) > BYTES) throw new Error('the recording is full');
    this.starts.push(at / 4);
    this.i32[at / 4] = payloadBytes;
    this.i32[at / 4 + 1] = tag;
    this.bytes += eventBytes(payloadBytes);
    return at + EVENT_HEAD_BYTES;
  }

  /** Words of an event, without padding behind its length. */
  words(index: number): Int32Array {
    const start = this.starts[index] as number;
    return this.i32.slice(start, start + Math.ceil(((this.i32[start] as number) + EVENT_HEAD_BYTES) / 4));
  }

  /** Events in words: type, LSN, ms since T0, then all that stands behind. */
  rows(): string[] {
    return this.starts.map((_, index) => rowOf(this.words(index)));
  }
}

function rowOf(words: Int32Array): string {
  const tag = words[Event.TAG] as number;
  const type = Object.entries(EventType).find(([, code]) => code === eventType(tag))?.[0];
  const time = eventTime(tag, words[Event.TIME] as number) - T0;
  const head = `${type} ${words[Event.LSN]} @${time}`;
  const rest =
    type === 'STOCKED'
      ? [
          ...words.slice(Event.HOLD, Event.STOCKED_NAME),
          Buffer.from(words.buffer, Event.STOCKED_NAME * 4, words[Event.STOCKED_NAME_BYTES]).toString(),
        ]
      : [...words.slice(Event.HOLD)];
  return `${head} | ${eventSegment(tag)} | ${rest.join(' ')}`;
}

/** Applies all recorded events that a segment does not have yet, and makes it fit for use. */
export function replay(journal: RecordingSink, segment: Segment, now: number): void {
  const replayer = new Replayer(segment);
  for (const start of journal.starts) {
    if (lsnDistance(journal.i32, start, segment.lsn) > 0) replayer.apply(journal.i32, start);
  }
  replayer.finish(now);
}
