import { MAX_SEGMENTS, SLOT_BITS } from '../../protocol/limits.ts';
import { SkuHash, segmentOfHash } from '../base/hash.ts';
import { Event, EventType, eventGeneration, eventSlot, eventType, PayloadBytes } from '../core/events.ts';
import { decodeName, SlotBook } from './dump-slots.ts';
import { allSegments, JournalWalk, newestLsns, type Place } from './dump-walk.ts';
import type { OfflinePair } from './offline-store.ts';
import type { JournalBatch, SnapshotStore } from './store.ts';

/** One change of state as people and programs read it. What an event does not say, and nothing else tells, is left out. */
export interface DumpedEvent {
  readonly timeMs: number;
  readonly segment: number;
  readonly lsn: number;
  readonly type: keyof typeof EventType;
  /** The SKU's name; left out where it is not known. */
  readonly sku?: string;
  /** Its number in the segment. */
  readonly skuNumber?: number;
  /** The hold's id; left out where the whole generation of its slot is not known. */
  readonly hold?: number;
  readonly slot?: number;
  /** The lowest ten bits of the slot's generation. */
  readonly generationLow?: number;
  /** Units held, sold, given back or taken back. */
  readonly quantity?: number;
  readonly ttlMs?: number;
  /** The first 64 bits of the holder's keyed hash, in hexadecimal. */
  readonly holder?: string;
  /** Whether the hold has an idempotency key. */
  readonly key?: boolean;
  readonly total?: number;
  readonly maxPerHold?: number;
  readonly maxPerHolder?: number;
  readonly maxTtlMs?: number;
}

/** A bound, included: the event of a segment by its LSN, and of all others by the time of that event; or by time alone. */
export interface DumpBound {
  readonly timeMs: number;
  readonly segment?: number;
  readonly lsn?: number;
}

export interface DumpFilter {
  readonly from?: DumpBound;
  readonly to?: DumpBound;
  readonly segment?: number;
  readonly sku?: string;
  /** A hold's id. */
  readonly hold?: number;
}

const NAMES = Object.fromEntries(Object.entries(EventType).map(([name, code]) => [code, name])) as Record<
  number,
  keyof typeof EventType
>;

/** Reads a journal's events, in its order, with the names and ids that they only hint at. Memory is bounded by SKUs and slots. */
export class JournalDump {
  /** Events that may have been of the SKU asked for: whose they are is not known. */
  unknown = 0;
  /** An event that is none, at which the dump ended. */
  problem: string | undefined;
  readonly #pair: OfflinePair;
  readonly #filter: DumpFilter;
  readonly #books: (SlotBook | undefined)[] = [];

  constructor(pair: OfflinePair, filter: DumpFilter) {
    this.#pair = pair;
    this.#filter = filter;
  }

  /** The events that pass the filter, some at a time. */
  async *events(): AsyncGenerator<DumpedEvent[], void> {
    const wanted = this.#segments();
    const walk = new JournalWalk(await newestLsns(this.#pair));
    const reader = this.#pair.journal.journal();
    const snapshots = this.#pair.snapshots.snapshots();
    try {
      for await (const batch of reader.batches(wanted, () => 0)) {
        await this.#loadBooks(batch, wanted, snapshots, walk.lsns);
        const events: DumpedEvent[] = [];
        this.problem = walk.walk(batch, (i32, at, place) => {
          const book = this.#books[place.segment];
          if (book !== undefined) this.#read(i32, at, place, book, events);
        });
        if (events.length > 0) yield events;
        if (this.problem !== undefined) return;
      }
    } finally {
      await reader.close();
      await snapshots.close();
    }
  }

  #segments(): Set<number> {
    const { segment, sku, hold } = this.#filter;
    const all = allSegments(this.#pair);
    const only = [
      segment,
      sku === undefined ? undefined : segmentOfSku(sku, all.size),
      hold === undefined ? undefined : segmentOfHold(hold),
    ];
    return new Set([...all].filter((one) => only.every((which) => which === undefined || which === one)));
  }

  /** Each segment's book is read when its first event comes, so that the first line need not wait for all of them. */
  async #loadBooks(
    { bytes }: JournalBatch,
    wanted: ReadonlySet<number>,
    snapshots: SnapshotStore,
    lsns: Float64Array,
  ): Promise<void> {
    const first = new JournalWalk(lsns);
    const missing = new Map<number, number>();
    first.walk({ bytes, file: 0, where: '' }, (_i32, _at, { segment, lsn }) => {
      if (this.#books[segment] === undefined && wanted.has(segment) && !missing.has(segment))
        missing.set(segment, lsn);
    });
    for (const [segment, lsn] of missing) {
      this.#books[segment] = await SlotBook.load(snapshots, this.#pair.journal.identity.id, segment, lsn);
    }
  }

  #read(i32: Int32Array, at: number, place: Place, book: SlotBook, events: DumpedEvent[]): void {
    book.reach(place.lsn);
    const type = NAMES[eventType(i32[at + Event.TAG])];
    if (type === 'STOCKED') {
      this.#offer(events, place, 0, stocked(i32, at, book));
      return;
    }
    if (type === 'HELD') {
      const hold = i32[at + Event.HOLD];
      book.held(eventSlot(hold), eventGeneration(hold), i32[at + Event.HELD_SKU]);
    }
    for (let i = 0; i < place.lsns; i++) {
      const hold = i32[at + Event.HOLD + i];
      this.#offer(events, place, i, {
        type,
        ...holdOf(hold, place.segment, book),
        ...amounts(i32, at, type),
      });
    }
  }

  /** Takes the event with the i-th LSN of those that stand at a place, if it is wanted. */
  #offer(
    events: DumpedEvent[],
    place: Place,
    i: number,
    what: Omit<DumpedEvent, 'timeMs' | 'segment' | 'lsn'>,
  ): void {
    const { segment, timeMs } = place;
    const lsn = place.lsn + i;
    const { from, to, sku, hold } = this.#filter;
    if (from !== undefined && (from.segment === segment ? lsn < (from.lsn as number) : timeMs < from.timeMs))
      return;
    if (to !== undefined && (to.segment === segment ? lsn > (to.lsn as number) : timeMs > to.timeMs)) return;
    if (hold !== undefined && !mayBe(hold, what)) return;
    if (sku !== undefined && what.sku !== sku) {
      if (what.sku === undefined) this.unknown++;
      return;
    }
    events.push({ timeMs, segment, lsn, ...what });
  }
}

function stocked(
  i32: Int32Array,
  at: number,
  book: SlotBook,
): Omit<DumpedEvent, 'timeMs' | 'segment' | 'lsn'> {
  const u8 = new Uint8Array(i32.buffer, i32.byteOffset, i32.byteLength);
  const skuNumber = i32[at + Event.STOCKED_SKU];
  const sku = decodeName(u8, (at + Event.STOCKED_NAME) * 4, i32[at + Event.STOCKED_NAME_BYTES]);
  book.stocked(skuNumber, sku);
  return {
    type: 'STOCKED',
    sku,
    skuNumber,
    total: i32[at + Event.STOCKED_TOTAL],
    maxPerHold: i32[at + Event.STOCKED_MAX_PER_HOLD],
    maxPerHolder: i32[at + Event.STOCKED_MAX_PER_HOLDER],
    maxTtlMs: i32[at + Event.STOCKED_MAX_TTL],
  };
}

/** Which hold an event is about, and of which SKU. */
function holdOf(hold: number, segment: number, book: SlotBook): Partial<DumpedEvent> {
  const slot = eventSlot(hold);
  const generationLow = eventGeneration(hold);
  const skuNumber = book.sku(slot);
  const sku = skuNumber === undefined ? undefined : book.name(skuNumber);
  const generation = book.generation(slot, generationLow);
  return {
    ...(sku !== undefined && { sku }),
    ...(skuNumber !== undefined && { skuNumber }),
    ...(generation !== undefined && { hold: generation * 2 ** 32 + segment * 2 ** SLOT_BITS + slot }),
    slot,
    generationLow,
  };
}

function amounts(i32: Int32Array, at: number, type: keyof typeof EventType): Partial<DumpedEvent> {
  if (type === 'EXPIRED') return {};
  if (type === 'EXTENDED') return { ttlMs: i32[at + Event.AMOUNT] };
  if (type !== 'HELD') return { quantity: i32[at + Event.AMOUNT] };
  const holder = Buffer.alloc(8);
  holder.writeInt32LE(i32[at + Event.HELD_HOLDER], 0);
  holder.writeInt32LE(i32[at + Event.HELD_HOLDER + 1], 4);
  return {
    quantity: i32[at + Event.HELD_QUANTITY],
    ttlMs: i32[at + Event.HELD_TTL],
    holder: holder.toString('hex'),
    key: i32[at + Event.BYTES] === PayloadBytes.HELD_WITH_KEY,
  };
}

/** Whether an event may be about the hold of this id: by the whole generation, or by as much of it as is known. */
function mayBe(id: number, { hold, slot, generationLow }: Partial<DumpedEvent>): boolean {
  if (hold !== undefined) return hold === id;
  return slot === id % 2 ** SLOT_BITS && generationLow === Math.floor(id / 2 ** 32) % 1024;
}

function segmentOfSku(sku: string, segments: number): number {
  const name = Buffer.from(sku);
  const hash = new SkuHash();
  hash.run(name, 0, name.length);
  return segmentOfHash(hash.hi, segments);
}

function segmentOfHold(id: number): number {
  return Math.floor(id / 2 ** SLOT_BITS) % MAX_SEGMENTS;
}
