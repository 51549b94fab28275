import { Event, EventType, eventBytes, eventSegment, eventType } from '../../src/core/events.ts';
import type { JournalReader } from '../../src/storage/store.ts';

/** Makes events as a worker would, for several segments, and remembers them. */
export class EventMaker {
  /** LSN of each segment's last event. */
  readonly lsns: Float64Array<ArrayBuffer>;
  #timeMs = 1_800_000_000_000;

  constructor(segments: number, lsns: Float64Array = new Float64Array(segments)) {
    this.lsns = new Float64Array(lsns);
  }

  /** A lot of events of one segment: HELD and CONFIRMED in turns, and every seventh an EXPIRED of three holds. */
  make(segment: number, count = 1): Uint8Array {
    const parts: Int32Array[] = [];
    for (let i = 0; i < count; i++) parts.push(this.#one(segment));
    return join(parts);
  }

  #one(segment: number): Int32Array {
    const lsn = this.lsns[segment] + 1;
    this.#timeMs++;
    if (lsn % 7 === 0) {
      this.lsns[segment] += 3;
      return this.#event(EventType.EXPIRED, segment, lsn, [lsn, lsn + 1, lsn + 2]);
    }
    this.lsns[segment]++;
    if (lsn % 2 === 0) return this.#event(EventType.CONFIRMED, segment, lsn, [lsn, 1]);
    return this.#event(EventType.HELD, segment, lsn, [lsn, 5, 0x1234, 0x5678, 2, 30_000]);
  }

  #event(type: number, segment: number, lsn: number, rest: readonly number[]): Int32Array {
    const payload = 8 + rest.length * 4;
    const words = new Int32Array(eventBytes(payload) >>> 2);
    words[Event.BYTES] = payload;
    words[Event.TAG] = type | (segment << 4) | (Math.floor(this.#timeMs / 2 ** 32) << 16);
    words[Event.TIME] = (this.#timeMs % 2 ** 32) | 0;
    words[Event.LSN] = (lsn % 2 ** 32) | 0;
    words.set(rest, Event.HOLD);
    return words;
  }
}

/** One event as the tests compare it: its bytes, in hexadecimal. */
export function splitEvents(bytes: Uint8Array): string[] {
  const i32 = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  const events: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = eventBytes(i32[(at >>> 2) + Event.BYTES]);
    events.push(Buffer.from(bytes.subarray(at, at + length)).toString('hex'));
    at += length;
  }
  return events;
}

/** All events that a reader has, segment by segment. */
export async function readEvents(reader: JournalReader, segments: number): Promise<string[][]> {
  const events: string[][] = Array.from({ length: segments }, () => []);
  const all = new Set(events.keys());
  try {
    for await (const { bytes } of reader.batches(all, () => 0)) {
      if (bytes.byteOffset % 8 !== 0) throw new Error('a batch begins at a multiple of 8');
      for (const event of splitEvents(bytes)) events[segmentOf(event)].push(event);
    }
  } finally {
    await reader.close();
  }
  return events;
}

export function segmentOf(event: string): number {
  return eventSegment(tagOf(event));
}

/** Bits 0 to 31 of the LSN of an event's last change. */
export function lastLsnOf(event: string): number {
  const words = Buffer.from(event, 'hex');
  const lsn = words.readUInt32LE(Event.LSN * 4);
  if (eventType(tagOf(event)) !== EventType.EXPIRED) return lsn;
  return lsn + (words.readUInt32LE(Event.BYTES * 4) - 8) / 4 - 1;
}

function tagOf(event: string): number {
  return Buffer.from(event, 'hex').readInt32LE(Event.TAG * 4);
}

function join(parts: readonly Int32Array[]): Uint8Array {
  const words = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    words.set(part, at);
    at += part.length;
  }
  return new Uint8Array(words.buffer);
}
