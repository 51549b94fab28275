import { MAX_SEGMENTS } from '../../protocol/limits.ts';
import {
  Event,
  EventType,
  eventBytes,
  eventLsns,
  eventSegment,
  eventTime,
  eventType,
  lsnDistance,
  PayloadBytes,
} from '../core/events.ts';
import type { OfflinePair } from './offline-store.ts';
import type { JournalBatch } from './store.ts';

/** Where an event stands; one object is filled again and again. */
export interface Place {
  segment: number;
  /** Whole; of an EXPIRED for several holds, that of the first, which `lsns` counts. */
  lsn: number;
  lsns: number;
  timeMs: number;
}

export type OnEvent = (i32: Int32Array, at: number, place: Place, where: string) => void;

/** Follows a journal's events, and makes whole LSNs of the 32 bits that they carry. */
export class JournalWalk {
  readonly #lsns: Float64Array;
  readonly #place: Place = { segment: 0, lsn: 0, lsns: 0, timeMs: 0 };

  /** `lsns`: for each segment, one that is less than 2^31 from that of its first event, such as that of a snapshot. */
  constructor(lsns: Float64Array) {
    this.#lsns = lsns.slice();
  }

  /** LSN of each segment's last event by now; as given, where there was none. */
  get lsns(): Float64Array {
    return this.#lsns.slice();
  }

  /** Tells of all events of a batch. Returns what is wrong with one, in words, at which it stops. */
  walk(batch: JournalBatch, onEvent: OnEvent): string | undefined {
    const { bytes, where } = batch;
    const i32 = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
    const place = this.#place;
    for (let at = 0; at < i32.length; ) {
      const next = endOf(i32, at);
      const tag = i32[at + Event.TAG];
      const segment = eventSegment(tag);
      if (next < 0 || segment >= this.#lsns.length)
        return `${where}: at byte ${at * 4} of the events there is no whole event`;
      place.segment = segment;
      place.lsn = this.#lsns[segment] + lsnDistance(i32, at, this.#lsns[segment]);
      place.lsns = eventLsns(i32, at);
      place.timeMs = eventTime(tag, i32[at + Event.TIME]);
      this.#lsns[segment] = place.lsn + place.lsns - 1;
      onEvent(i32, at, place, where);
      at = next;
    }
    return undefined;
  }
}

/** Index behind the event at `at`; -1 when it is none of a known type that ends within the words. */
function endOf(i32: Int32Array, at: number): number {
  const bytes = i32[at + Event.BYTES];
  const end = at + (eventBytes(bytes) >> 2);
  const type = eventType(i32[at + Event.TAG]);
  const known = type >= EventType.STOCKED && type <= EventType.RETURNED;
  return known && bytes >= PayloadBytes.EXPIRED && end <= i32.length ? end : -1;
}

/** LSN of each segment's newest snapshot, 0 without one. */
export async function newestLsns({ journal, snapshots }: OfflinePair): Promise<Float64Array> {
  const store = snapshots.snapshots();
  try {
    const lsns = new Float64Array(Math.min(journal.identity.segments, MAX_SEGMENTS));
    for (let segment = 0; segment < lsns.length; segment++) {
      const [newest] = await store.list(segment);
      lsns[segment] = newest?.lsn ?? 0;
    }
    return lsns;
  } finally {
    await store.close();
  }
}

/** All segments of a store. */
export function allSegments({ journal }: OfflinePair): Set<number> {
  return new Set(Array.from({ length: journal.identity.segments }, (_, segment) => segment));
}
