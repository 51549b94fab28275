import { MAX_SKU_BYTES } from '../../protocol/limits.ts';
import {
  EVENT_HEAD_BYTES,
  Event,
  type EventSink,
  EventType,
  eventBytes,
  eventHold,
  MAX_EXPIRED,
  PayloadBytes,
} from './events.ts';
import type { HoldTable } from './hold-table.ts';
import type { KeyTable } from './key-table.ts';
import { Header, Hold, type SegmentMemory, Sku } from './layout.ts';
import type { SkuTable } from './sku-table.ts';

/** Takes the events of a segment that nobody stores: every claim gives the same place. */
export class DiscardingSink implements EventSink {
  readonly u8 = new Uint8Array(
    Math.max(
      eventBytes(PayloadBytes.STOCKED + MAX_SKU_BYTES),
      eventBytes(PayloadBytes.EXPIRED + (MAX_EXPIRED - 1) * 4),
    ),
  );
  readonly i32 = new Int32Array(this.u8.buffer);

  claim(): number {
    return EVENT_HEAD_BYTES;
  }
}

/**
 * Writes a segment's events and counts them: each call is one change of state, raises the LSN and writes one event. What an event
 * says is read from the tables, so it is called when they are changed already. Whoever calls has looked for room in the sink.
 */
export class EventWriter {
  private readonly number: number;
  private readonly i32: Int32Array;
  private readonly u8: Uint8Array;
  private readonly f64: Float64Array;
  private readonly skus: SkuTable;
  private readonly holds: HoldTable;
  private readonly keys: KeyTable;
  private readonly sink: EventSink;
  private readonly words: Int32Array;

  constructor(
    number: number,
    memory: SegmentMemory,
    tables: { skus: SkuTable; holds: HoldTable; keys: KeyTable },
    sink: EventSink,
  ) {
    this.number = number;
    this.i32 = memory.i32;
    this.u8 = memory.u8;
    this.f64 = memory.f64;
    this.skus = tables.skus;
    this.holds = tables.holds;
    this.keys = tables.keys;
    this.sink = sink;
    this.words = sink.i32;
  }

  stocked(sku: number): void {
    const { i32, u8, words } = this;
    const record = this.skus.at(sku);
    const nameBytes = this.skus.nameBytes(sku);
    const at = this.begin(EventType.STOCKED, PayloadBytes.STOCKED + nameBytes, 1);
    words[at + Event.STOCKED_SKU] = sku;
    words[at + Event.STOCKED_TOTAL] = i32[record + Sku.TOTAL] as number;
    words[at + Event.STOCKED_MAX_PER_HOLD] = i32[record + Sku.MAX_PER_HOLD] as number;
    words[at + Event.STOCKED_MAX_PER_HOLDER] = i32[record + Sku.MAX_PER_HOLDER] as number;
    words[at + Event.STOCKED_MAX_TTL] = i32[record + Sku.MAX_TTL_MS] as number;
    words[at + Event.STOCKED_NAME_BYTES] = nameBytes;
    const from = this.skus.nameStart(sku);
    const to = (at + Event.STOCKED_NAME) * 4;
    for (let i = 0; i < nameBytes; i++) this.sink.u8[to + i] = u8[from + i] as number;
  }

  held(slot: number, ttlMs: number): void {
    const { i32, words } = this;
    const hold = this.holds.at(slot);
    const key = i32[hold + Hold.KEY_ENTRY] as number;
    const at = this.begin(EventType.HELD, key < 0 ? PayloadBytes.HELD : PayloadBytes.HELD_WITH_KEY, 1);
    words[at + Event.HOLD] = eventHold(slot, this.holds.generation(slot));
    words[at + Event.HELD_SKU] = i32[hold + Hold.SKU] as number;
    words[at + Event.HELD_HOLDER] = i32[hold + Hold.HOLDER_LO] as number;
    words[at + Event.HELD_HOLDER + 1] = i32[hold + Hold.HOLDER_HI] as number;
    words[at + Event.HELD_QUANTITY] = i32[hold + Hold.QUANTITY] as number;
    words[at + Event.HELD_TTL] = ttlMs;
    if (key < 0) return;
    const print = this.keys.at(key);
    for (let i = 0; i < 4; i++) words[at + Event.HELD_PRINT + i] = i32[print + i] as number;
  }

  /** A CONFIRMED, RELEASED, EXTENDED or RETURNED with its amount. */
  changed(type: number, slot: number, amount: number): void {
    const { words } = this;
    const at = this.begin(type, PayloadBytes.CHANGE, 1);
    words[at + Event.HOLD] = eventHold(slot, this.holds.generation(slot));
    words[at + Event.AMOUNT] = amount;
  }

  expired(slot: number): void {
    const at = this.begin(EventType.EXPIRED, PayloadBytes.EXPIRED, 1);
    this.words[at + Event.HOLD] = eventHold(slot, this.holds.generation(slot));
  }

  /** The first `count` of the slots, MAX_EXPIRED at most: as many changes, in one event. */
  expiredTogether(slots: Int32Array, count: number): void {
    const { words, holds } = this;
    const at = this.begin(EventType.EXPIRED, PayloadBytes.EXPIRED + (count - 1) * 4, count);
    for (let i = 0; i < count; i++) {
      const slot = slots[i] as number;
      words[at + Event.HOLD + i] = eventHold(slot, holds.generation(slot));
    }
  }

  /** Raises the LSN and claims an event. Returns the index of its first word. */
  private begin(type: number, payloadBytes: number, changes: number): number {
    const { f64, words } = this;
    const lsn = (f64[Header.LSN_F64] as number) + 1;
    const now = f64[Header.NOW_F64] as number;
    f64[Header.LSN_F64] = lsn + (changes - 1);
    const tag = type | (this.number << 4) | (((now / 0x100000000) | 0) << 16);
    const payload = this.sink.claim(payloadBytes, tag);
    if (payload < 0) noRoom();
    const at = (payload >> 2) - Event.TIME;
    words[at + Event.TIME] = now | 0;
    words[at + Event.LSN] = lsn | 0;
    return at;
  }
}

/** The tables are ahead of the journal then, and the segment has to be rebuilt from it. */
function noRoom(): never {
  throw new Error('assertion failed: there is room for the event');
}
