import { MAX_QUANTITY, MAX_SKU_BYTES, MAX_TTL_MS } from '../../protocol/limits.ts';
import { HoldState } from '../../protocol/ops.ts';
import { SkuHash } from '../base/hash.ts';
import {
  Event,
  EventType,
  eventGeneration,
  eventHold,
  eventLsns,
  eventSegment,
  eventSlot,
  eventType,
  lsnDistance,
  MAX_EXPIRED,
  PayloadBytes,
} from './events.ts';
import { Header, Hold, SKU_COUNTED, SKU_LIMITED, Sku } from './layout.ts';
import { SegmentState } from './segment-state.ts';
import type { SegmentTables } from './segment-tables.ts';

/** An event cannot have happened to the segment as it is: events are missing or wrong, or a setting is too small. */
export class ReplayError extends Error {
  override readonly name = 'ReplayError';
  /** Whether only a setting is too small, and nothing wrong with the events. */
  readonly tooSmall: boolean;

  constructor(message: string, tooSmall: boolean) {
    super(message);
    this.tooSmall = tooSmall;
  }
}

/**
 * Applies a segment's events to its memory, with what the commands changed it by. Every event is checked against all that the command
 * implied, so that a journal with a gap or a fault in it ends in a ReplayError and not in wrong books.
 *
 * The expiry wheel is left alone until finish() builds it, for it would only be turned in vain: expiry follows from the events.
 * Until then nothing but apply() may be done to the segment; after a ReplayError it is of no use. apply() allocates nothing.
 *
 * Idempotency keys are forgotten when others come, which may be later than live. Apart from that, replay
 * leaves the tables as live execution did, to the order of slots in their queues.
 */
export class Replayer extends SegmentState {
  private readonly hash = new SkuHash();
  private readonly name = new Int32Array(MAX_SKU_BYTES / 4);
  private readonly nameBytes = new Uint8Array(this.name.buffer);
  /** The event that is being applied, for messages. */
  private i32Event: Int32Array = this.name;
  private at = 0;

  /** @param segment of the same memory; in the state up to the LSN before the first event that will be applied */
  constructor(segment: SegmentTables) {
    super(segment.number, segment.options, segment.memory.u8.buffer as SharedArrayBuffer);
  }

  /**
   * Applies the event whose first word is at an index. The caller passes over events that the segment has already (see lsnDistance).
   * Throws ReplayError when it does not follow.
   */
  apply(i32: Int32Array, at: number): void {
    this.i32Event = i32;
    this.at = at;
    this.checkHead(i32, at);
    switch (eventType(i32[at + Event.TAG] as number)) {
      case EventType.STOCKED:
        this.stocked(i32, at);
        break;
      case EventType.HELD:
        this.held(i32, at);
        break;
      case EventType.CONFIRMED:
        this.confirmed(i32, at);
        break;
      case EventType.RELEASED:
        this.released(i32, at);
        break;
      case EventType.EXPIRED:
        this.expired(i32, at);
        break;
      case EventType.EXTENDED:
        this.extended(i32, at);
        break;
      default:
        this.returned(i32, at);
    }
    this.f64[Header.LSN_F64] = (this.f64[Header.LSN_F64] as number) + eventLsns(i32, at);
  }

  /**
   * Makes the segment fit for use: builds the wheel at the given time (ms), from which the first advance() goes on, so that it need not
   * turn through the time since. A time before that of the last event counts as that.
   */
  finish(now: number): void {
    this.setTime(now);
    this.wheel.rebuild();
  }

  /** Length, segment, LSN and time; moves the segment's time on to the event's. */
  private checkHead(i32: Int32Array, at: number): void {
    const tag = i32[at + Event.TAG] as number;
    const bytes = i32[at + Event.BYTES] as number;
    if (!fits(i32, at, eventType(tag), bytes))
      this.fail(`an event of a known type and its length, found type ${eventType(tag)} of ${bytes} bytes`);
    if (eventSegment(tag) !== this.number)
      this.fail(`an event of segment ${this.number}, found one of segment ${eventSegment(tag)}`);
    if (lsnDistance(i32, at, this.lsn) !== 1)
      this.fail(`LSN ${this.lsn + 1}, found ${(i32[at + Event.LSN] as number) >>> 0} (low 32 bits)`);
    // As in eventTime(), which would return a new number object.
    const time = (tag >>> 16) * 0x100000000 + ((i32[at + Event.TIME] as number) >>> 0);
    if (time < (this.f64[Header.NOW_F64] as number))
      this.fail(`a time not before ${this.f64[Header.NOW_F64]} ms, found ${time}`);
    this.f64[Header.NOW_F64] = time;
  }

  private stocked(i32: Int32Array, at: number): void {
    const sku = i32[at + Event.STOCKED_SKU] as number;
    const total = i32[at + Event.STOCKED_TOTAL] as number;
    const maxPerHold = i32[at + Event.STOCKED_MAX_PER_HOLD] as number;
    const maxPerHolder = i32[at + Event.STOCKED_MAX_PER_HOLDER] as number;
    const maxTtlMs = i32[at + Event.STOCKED_MAX_TTL] as number;
    this.atLeast(0, total, 'a total');
    this.atLeast(0, maxPerHold, 'most units per hold');
    this.atLeast(0, maxPerHolder, 'most units per holder');
    this.within(0, MAX_TTL_MS, maxTtlMs, 'a longest time to live');
    this.checkName(i32, at, sku);
    if (sku < this.skus.count) {
      const record = this.skus.at(sku);
      const taken = (this.i32[record + Sku.TOTAL] as number) - (this.i32[record + Sku.AVAILABLE] as number);
      this.within(taken, MAX_QUANTITY, total, 'a total of what is held and sold at least,');
      if (maxPerHolder > 0 && !this.countHolders(sku)) this.tooSmall('holders', this.options.holders);
    } else {
      const bytes = i32[at + Event.STOCKED_NAME_BYTES] as number;
      const added = this.skus.add(this.hash.lo, this.hash.hi, this.nameBytes, 0, bytes);
      if (added < 0) this.tooSmall('skus', this.options.skus);
    }
    this.setStock(sku, total, maxPerHold, maxPerHolder, maxTtlMs);
  }

  /** The name must be that of the SKU's number, or new with the next number. Leaves its hash and its bytes. */
  private checkName(i32: Int32Array, at: number, sku: number): void {
    const bytes = i32[at + Event.STOCKED_NAME_BYTES] as number;
    const { name, nameBytes, hash, skus } = this;
    for (let i = 0; i * 4 < bytes; i++) name[i] = i32[at + Event.STOCKED_NAME + i] as number;
    hash.run(nameBytes, 0, bytes);
    const known = skus.find(hash.lo, hash.hi, nameBytes, 0, bytes);
    const expected = known < 0 ? skus.count : known;
    if (sku !== expected)
      this.fail(
        `number ${expected} for SKU ${JSON.stringify(String.fromCharCode(...nameBytes.subarray(0, bytes)))}, found ${sku}`,
      );
  }

  private held(i32: Int32Array, at: number): void {
    const sku = i32[at + Event.HELD_SKU] as number;
    const holderLo = i32[at + Event.HELD_HOLDER] as number;
    const holderHi = i32[at + Event.HELD_HOLDER + 1] as number;
    const quantity = i32[at + Event.HELD_QUANTITY] as number;
    const ttlMs = i32[at + Event.HELD_TTL] as number;
    this.within(0, this.skus.count - 1, sku, 'the number of a SKU');
    const record = this.skus.at(sku);
    this.within(1, MAX_TTL_MS, ttlMs, 'a time to live');
    this.within(1, this.i32[record + Sku.AVAILABLE] as number, quantity, 'a quantity of what is available');
    const flags = this.i32[record + Sku.NAME] as number;
    if ((flags & SKU_LIMITED) !== 0) this.checkLimits(record, quantity, ttlMs);
    const keyed = (i32[at + Event.BYTES] as number) === PayloadBytes.HELD_WITH_KEY;
    if (keyed) this.checkKey(i32, at + Event.HELD_PRINT);
    const counted = (flags & SKU_COUNTED) !== 0;
    const holderEntry = counted ? this.holderOf(record, sku, holderLo, holderHi, quantity) : -1;
    const slot = this.takeSlot(i32[at + Event.HOLD] as number);
    this.place(slot, sku, holderLo, holderHi, quantity, ttlMs, holderEntry);
    if (keyed) this.placeKey(slot, quantity, ttlMs);
  }

  private checkLimits(record: number, quantity: number, ttlMs: number): void {
    const perHold = this.i32[record + Sku.MAX_PER_HOLD] as number;
    if (perHold !== 0) this.within(1, perHold, quantity, 'a quantity within the limit per hold');
    const longest = this.i32[record + Sku.MAX_TTL_MS] as number;
    if (longest !== 0) this.within(1, longest, ttlMs, 'a time to live within the limit of the SKU');
  }

  /** The print must be unknown. Live execution had forgotten one that waits for that, and all before it; so does this. */
  private checkKey(i32: Int32Array, print: number): void {
    const known = this.keys.findAgain(
      i32[print] as number,
      i32[print + 1] as number,
      i32[print + 2] as number,
      i32[print + 3] as number,
    );
    if (known >= 0) {
      if (!this.keys.isRetired(known)) this.fail('a new key, found that of an open hold');
      this.keys.forgetThrough(known);
    }
    // More than one for each that comes, so that no more are kept than live.
    this.keys.forget(2);
    if (this.keys.full()) {
      const { keys, keyRetentionMs } = this.options;
      this.fail(
        `room for a key, found all ${keys} places taken: the setting "keys" is too small, or "keyRetentionMs", ${keyRetentionMs}, too long`,
        true,
      );
    }
  }

  /** Entry of a holder who can take so many units more. */
  private holderOf(record: number, sku: number, lo: number, hi: number, quantity: number): number {
    const { holders } = this;
    const entry = holders.find(sku, lo, hi);
    const perHolder = this.i32[record + Sku.MAX_PER_HOLDER] as number;
    if (perHolder !== 0) {
      const has = entry < 0 ? 0 : holders.units(entry);
      this.within(1, perHolder - has, quantity, 'a quantity within the limit per holder');
    }
    if (entry >= 0) return entry;
    if (holders.full) this.tooSmall('holders', this.options.holders);
    return holders.add(sku, lo, hi);
  }

  private takeSlot(hold: number): number {
    const { holds } = this;
    const slot = eventSlot(hold);
    if (slot === holds.used && slot >= this.options.holds) this.tooSmall('holds', this.options.holds);
    const known = slot <= holds.used;
    if (known && eventGeneration(hold) !== (holds.nextGeneration(slot) & GENERATION_MASK))
      this.fail(
        `generation ${holds.nextGeneration(slot) & GENERATION_MASK} of slot ${slot}, found ${eventGeneration(hold)}`,
      );
    if (!known || !holds.takeAgain(slot)) this.failSlot(slot);
    return slot;
  }

  private confirmed(i32: Int32Array, at: number): void {
    const slot = this.openSlot(i32[at + Event.HOLD] as number, false);
    const sold = i32[at + Event.AMOUNT] as number;
    this.within(1, this.quantityOf(slot), sold, 'units to sell');
    this.sell(slot, sold);
  }

  private released(i32: Int32Array, at: number): void {
    const slot = this.openSlot(i32[at + Event.HOLD] as number, false);
    const units = i32[at + Event.AMOUNT] as number;
    this.within(1, this.quantityOf(slot), units, 'units to give back');
    this.giveBack(slot, units);
  }

  private expired(i32: Int32Array, at: number): void {
    const count = eventLsns(i32, at);
    for (let i = 0; i < count; i++) {
      const slot = this.openSlot(i32[at + Event.HOLD + i] as number, true);
      this.close(slot, HoldState.EXPIRED, 0);
    }
  }

  private extended(i32: Int32Array, at: number): void {
    const slot = this.openSlot(i32[at + Event.HOLD] as number, false);
    const ttlMs = i32[at + Event.AMOUNT] as number;
    this.within(1, MAX_TTL_MS, ttlMs, 'a time to live');
    const before = this.f64[this.holds.endIndex(slot)] as number;
    if ((this.f64[Header.NOW_F64] as number) + ttlMs <= before)
      this.fail(`a deadline after ${before}, found ${(this.f64[Header.NOW_F64] as number) + ttlMs}`);
    this.postpone(slot, ttlMs);
  }

  private returned(i32: Int32Array, at: number): void {
    const slot = this.slotOfEvent(i32[at + Event.HOLD] as number);
    if (this.holds.state(slot) !== HoldState.CONFIRMED)
      this.fail(`a confirmed hold in slot ${slot}, found it ${stateName(this.holds.state(slot))}`);
    const units = i32[at + Event.AMOUNT] as number;
    const left = this.quantityOf(slot) - (this.i32[this.holds.at(slot) + Hold.RETURNED] as number);
    this.within(1, left, units, 'units to take back');
    this.takeBack(slot, units);
  }

  private quantityOf(slot: number): number {
    return this.i32[this.holds.at(slot) + Hold.QUANTITY] as number;
  }

  /** Slot of a hold that must be open, and whose deadline must have come, or not. */
  private openSlot(hold: number, over: boolean): number {
    const slot = this.slotOfEvent(hold);
    const state = this.holds.state(slot);
    if (state !== HoldState.HELD) this.fail(`an open hold in slot ${slot}, found it ${stateName(state)}`);
    if (this.holds.isOver(slot, 0) !== over)
      this.fail(
        `a deadline ${over ? 'up to' : 'after'} ${this.f64[Header.NOW_F64]}, found ${this.holds.endsAt(slot)}`,
      );
    return slot;
  }

  private slotOfEvent(hold: number): number {
    const slot = eventSlot(hold);
    if (slot >= this.holds.used) this.fail(`a slot below ${this.holds.used}, found ${slot}`);
    const generation = this.holds.generation(slot);
    if (eventHold(slot, generation) !== hold)
      this.fail(`generation ${generation & GENERATION_MASK} of slot ${slot}, found ${eventGeneration(hold)}`);
    return slot;
  }

  private failSlot(slot: number): never {
    const first = (head: number): string => (this.i32[head] === 0 ? 'none' : String(this.i32[head] - 1));
    const free = `${this.holds.used} unused, ${first(Header.ENDED_HEAD)} ended, ${first(Header.SOLD_HEAD)} sold`;
    this.fail(`a slot that is free (${free}), found ${slot}`);
  }

  private atLeast(least: number, found: number, what: string): void {
    if (found < least) this.fail(`${what} from ${least}, found ${found}`);
  }

  private within(least: number, most: number, found: number, what: string): void {
    if (found < least || found > most) this.fail(`${what} from ${least} to ${most}, found ${found}`);
  }

  private tooSmall(setting: string, capacity: number): never {
    this.fail(`room, found all ${capacity} places taken: the setting "${setting}" is too small`, true);
  }

  private fail(expected: string, tooSmall = false): never {
    const tag = this.i32Event[this.at + Event.TAG] as number;
    const type = Object.entries(EventType).find(([, code]) => code === eventType(tag))?.[0] ?? 'an event';
    throw new ReplayError(
      `segment ${this.number}, LSN ${this.lsn + 1}: ${type} does not follow from what was before; expected ${expected}`,
      tooSmall,
    );
  }

  protected override schedule(record: number, slot: number): void {
    this.linkPile(record, slot);
  }

  protected override unschedule(record: number, slot: number): void {
    this.unlinkPile(record, slot);
  }
}

const GENERATION_MASK = 0x3ff;

/** Whether an event lies whole in the words, and its length is one of its type. */
function fits(i32: Int32Array, at: number, type: number, bytes: number): boolean {
  if (bytes < 0 || at + Event.TIME + bytes / 4 > i32.length) return false;
  switch (type) {
    case EventType.STOCKED: {
      const nameBytes = i32[at + Event.STOCKED_NAME_BYTES] as number;
      return nameBytes >= 1 && nameBytes <= MAX_SKU_BYTES && bytes === PayloadBytes.STOCKED + nameBytes;
    }
    case EventType.HELD:
      return bytes === PayloadBytes.HELD || bytes === PayloadBytes.HELD_WITH_KEY;
    case EventType.EXPIRED: {
      const more = bytes - PayloadBytes.EXPIRED;
      return more >= 0 && more % 4 === 0 && more / 4 < MAX_EXPIRED;
    }
    case EventType.CONFIRMED:
    case EventType.RELEASED:
    case EventType.EXTENDED:
    case EventType.RETURNED:
      return bytes === PayloadBytes.CHANGE;
    default:
      return false;
  }
}

function stateName(state: number): string {
  return (
    Object.entries(HoldState)
      .find(([, code]) => code === state)?.[0]
      .toLowerCase() ?? `in state ${state}`
  );
}
