import { MAX_QUANTITY, SLOT_BITS } from '../../protocol/limits.ts';
import { HoldState, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { EventType, MAX_OVERDUE } from './events.ts';
import { Header, Hold, Key, SKU_COUNTED, SKU_LIMITED, Sku } from './layout.ts';
import { SegmentState } from './segment-state.ts';

/** More than a SKU can have, so that expireOverdue() does not stop at enough. */
const ALL_OVERDUE = MAX_QUANTITY + 1;

/**
 * A slice of all SKUs with everything that belongs to them. Pure: no clock, no I/O, no randomness, no threads; the same calls
 * give the same bytes. Whoever owns the segment calls it, one thread at a time, and gives the time in ms.
 *
 * Every operation first looks for what forbids it, in the order of the statuses, and returns that status having
 * changed nothing; what follows is done whole. Results are left in `out` (numbers, in the order of the protocol)
 * and, where they name a hold, in `holdLo` and `holdHi`.
 */
export class Segment extends SegmentState {
  /**
   * HOLD. `hashLo` and `hashHi` are the SkuHash of the name at `skuStart`; a key of no bytes is none. OK leaves the hold's
   * id and, in out[0], its deadline.
   */
  hold(
    hashLo: number,
    hashHi: number,
    u8: Uint8Array,
    skuStart: number,
    skuBytes: number,
    holderLo: number,
    holderHi: number,
    quantity: number,
    ttlMs: number,
    keyStart: number,
    keyBytes: number,
    at: number,
  ): number {
    this.setTime(at);
    const i32 = this.i32;
    const out = this.out;
    const sku = this.skus.find(hashLo, hashHi, u8, skuStart, skuBytes);
    if (sku < 0) return Status.UNKNOWN_SKU;
    const record = this.skus.at(sku);
    if (keyBytes > 0) {
      const entry = this.keys.find(sku, holderLo, holderHi, u8, keyStart, keyBytes);
      if (entry >= 0) return this.answerAgain(entry, quantity, ttlMs);
    }
    const flags = i32[record + Sku.NAME] as number;
    // The limits lie on the record's second cache line, which a SKU without any is spared.
    if ((flags & SKU_LIMITED) !== 0) {
      const perHold = i32[record + Sku.MAX_PER_HOLD] as number;
      if (perHold !== 0 && quantity > perHold) return this.refuse(Status.HOLD_LIMIT, perHold);
    }
    const longest = (flags & SKU_LIMITED) !== 0 ? this.longestTtl(record) : this.options.maxHoldLifeMs;
    if (ttlMs > longest) return this.refuse(Status.TTL_LIMIT, longest);
    if ((i32[record + Sku.AVAILABLE] as number) < quantity) this.expireOverdue(record, quantity);
    const counted = (flags & SKU_COUNTED) !== 0;
    let holderEntry = -1;
    if (counted) {
      holderEntry = this.holders.find(sku, holderLo, holderHi);
      const perHolder = i32[record + Sku.MAX_PER_HOLDER] as number;
      if (perHolder !== 0 && quantity > perHolder - this.unitsOf(holderEntry)) {
        // What stands in the way may be over.
        this.expireOverdue(record, ALL_OVERDUE);
        holderEntry = this.holders.find(sku, holderLo, holderHi);
        const units = this.unitsOf(holderEntry);
        if (quantity > perHolder - units) {
          out[1] = units;
          return this.refuse(Status.HOLDER_LIMIT, perHolder);
        }
      }
    }
    const available = i32[record + Sku.AVAILABLE] as number;
    const held = i32[record + Sku.HELD] as number;
    if (available < quantity) {
      if (quantity - available > held) return this.refuse(Status.SOLD_OUT, available);
      this.piles.earliestEnd(record, out, 1);
      return this.refuse(Status.HELD_OUT, available);
    }
    if (!this.holds.hasRoom()) return Status.HOLD_CAPACITY;
    if (keyBytes > 0 && this.keys.full()) return Status.KEY_CAPACITY;
    if (counted && holderEntry < 0) {
      if (this.holders.full) return Status.HOLDER_CAPACITY;
      holderEntry = this.holders.add(sku, holderLo, holderHi);
    }

    const slot = this.holds.take();
    this.place(slot, sku, holderLo, holderHi, quantity, ttlMs, holderEntry);
    if (keyBytes > 0) this.placeKey(slot, quantity, ttlMs);
    this.events.held(slot, ttlMs);
    this.nameHold(slot);
    out[0] = this.f64[this.holds.endIndex(slot)] as number;
    return Status.OK;
  }

  /** CONFIRM: sells `quantity` units (0: all) and gives the rest back. out[0]: units sold. */
  confirm(lo: number, hi: number, holderLo: number, holderHi: number, quantity: number, at: number): number {
    this.setTime(at);
    const slot = this.find(lo, hi, holderLo, holderHi);
    if (slot < 0) return Status.UNKNOWN_HOLD;
    const hold = this.holds.at(slot);
    const i32 = this.i32;
    const has = i32[hold + Hold.QUANTITY] as number;
    const state = this.currentState(slot);
    if (state === HoldState.CONFIRMED) {
      this.out[0] = has;
      return quantity === 0 || quantity === has ? Status.OK : Status.CONFIRMED;
    }
    if (state !== HoldState.HELD) return this.refuseEnded(slot, state);
    if (quantity > has) return this.refuse(Status.EXCEEDS_HOLD, has);
    const sold = quantity === 0 ? has : quantity;
    this.sell(slot, sold);
    this.events.changed(EventType.CONFIRMED, slot, sold);
    this.out[0] = sold;
    return Status.OK;
  }

  /**
   * RELEASE: gives `quantity` units back (0: all, which ends the hold). `of` (0: not said) is what the holder believes
   * is held; when just those units are gone already, the command was done before. out[0]: units still held.
   */
  release(
    lo: number,
    hi: number,
    holderLo: number,
    holderHi: number,
    quantity: number,
    of: number,
    at: number,
  ): number {
    this.setTime(at);
    const slot = this.find(lo, hi, holderLo, holderHi);
    if (slot < 0) return Status.UNKNOWN_HOLD;
    const hold = this.holds.at(slot);
    const i32 = this.i32;
    const has = i32[hold + Hold.QUANTITY] as number;
    const state = this.currentState(slot);
    if (state === HoldState.RELEASED) {
      this.out[0] = 0;
      if (quantity === 0 || quantity === has) return Status.OK;
    }
    if (state !== HoldState.HELD) return this.refuseEnded(slot, state);
    this.out[0] = has;
    if (of !== 0 && quantity !== 0 && has === of - quantity) return Status.OK;
    if (quantity > has) return Status.EXCEEDS_HOLD;
    if (of !== 0 && has !== of) return Status.CHANGED;
    const units = quantity === 0 ? has : quantity;
    this.giveBack(slot, units);
    this.events.changed(EventType.RELEASED, slot, units);
    this.out[0] = has - units;
    return Status.OK;
  }

  /** EXTEND: the deadline becomes `ttlMs` from now, unless it is later already. out[0]: the deadline. */
  extend(lo: number, hi: number, holderLo: number, holderHi: number, ttlMs: number, at: number): number {
    this.setTime(at);
    const slot = this.find(lo, hi, holderLo, holderHi);
    if (slot < 0) return Status.UNKNOWN_HOLD;
    const hold = this.holds.at(slot);
    const record = this.skus.at(this.i32[hold + Hold.SKU] as number);
    const longest = this.longestTtl(record);
    if (ttlMs > longest) return this.refuse(Status.TTL_LIMIT, longest);
    const state = this.currentState(slot);
    if (state !== HoldState.HELD) return this.refuseEnded(slot, state);
    const before = this.f64[hold / 2 + Hold.ENDS_F64] as number;
    const latest = (this.f64[hold / 2 + Hold.CREATED_F64] as number) + this.options.maxHoldLifeMs;
    const endsAt = (this.f64[Header.NOW_F64] as number) + ttlMs;
    this.out[0] = latest;
    if (endsAt > latest) return Status.LIFE_LIMIT;
    this.out[0] = before;
    if (endsAt <= before) return Status.OK;
    this.postpone(slot, ttlMs);
    this.events.changed(EventType.EXTENDED, slot, ttlMs);
    this.out[0] = endsAt;
    return Status.OK;
  }

  /**
   * RETURN: takes back `quantity` sold units of a confirmed hold (0: all that are left). `of` (0: not said) as in
   * release(). out[0]: units still sold.
   */
  returnSold(
    lo: number,
    hi: number,
    holderLo: number,
    holderHi: number,
    quantity: number,
    of: number,
    at: number,
  ): number {
    this.setTime(at);
    const slot = this.find(lo, hi, holderLo, holderHi);
    if (slot < 0) return Status.UNKNOWN_HOLD;
    const hold = this.holds.at(slot);
    const i32 = this.i32;
    const state = this.currentState(slot);
    if (state === HoldState.HELD) return Status.NOT_CONFIRMED;
    if (state !== HoldState.CONFIRMED) return this.refuseEnded(slot, state);
    const returned = i32[hold + Hold.RETURNED] as number;
    const left = (i32[hold + Hold.QUANTITY] as number) - returned;
    this.out[0] = left;
    if (of !== 0 && left === (quantity === 0 ? 0 : of - quantity)) return Status.OK;
    if (quantity > left) return Status.EXCEEDS_HOLD;
    if (of !== 0 && left !== of) return Status.CHANGED;
    const back = quantity === 0 ? left : quantity;
    if (back === 0) return Status.OK;
    this.takeBack(slot, back);
    this.events.changed(EventType.RETURNED, slot, back);
    this.out[0] = left - back;
    return Status.OK;
  }

  /**
   * STOCK: adds to the total, or sets it; makes the SKU when there is none. Settings below 0 stay as they are, 0 is no
   * limit. out: available, held, sold, total.
   */
  stock(
    hashLo: number,
    hashHi: number,
    u8: Uint8Array,
    skuStart: number,
    skuBytes: number,
    mode: number,
    amount: number,
    maxPerHold: number,
    maxPerHolder: number,
    maxTtlMs: number,
    at: number,
  ): number {
    this.setTime(at);
    const i32 = this.i32;
    let sku = this.skus.find(hashLo, hashHi, u8, skuStart, skuBytes);
    const before = sku < 0 ? 0 : (i32[this.skus.at(sku) + Sku.TOTAL] as number);
    const total = mode === StockMode.TOTAL ? amount : before + amount;
    const change = total - before;
    const available = sku < 0 ? 0 : (i32[this.skus.at(sku) + Sku.AVAILABLE] as number);
    if (total > MAX_QUANTITY || total < 0 || available + change < 0) {
      if (sku < 0) this.out.fill(0, 0, 4);
      else this.counts(sku);
      return Status.STOCK_LIMIT;
    }
    if (sku >= 0 && maxPerHolder > 0 && !this.countHolders(sku)) return Status.HOLDER_CAPACITY;
    if (sku < 0) sku = this.skus.add(hashLo, hashHi, u8, skuStart, skuBytes);
    if (sku < 0) return Status.SKU_CAPACITY;
    const record = this.skus.at(sku);
    this.setStock(
      sku,
      total,
      maxPerHold < 0 ? (i32[record + Sku.MAX_PER_HOLD] as number) : maxPerHold,
      maxPerHolder < 0 ? (i32[record + Sku.MAX_PER_HOLDER] as number) : maxPerHolder,
      maxTtlMs < 0 ? (i32[record + Sku.MAX_TTL_MS] as number) : maxTtlMs,
    );
    this.events.stocked(sku);
    this.counts(sku);
    return Status.OK;
  }

  /** READ. out: available, held, sold, total, most per hold, most per holder, longest ttl, earliest end of a hold. */
  read(
    hashLo: number,
    hashHi: number,
    u8: Uint8Array,
    skuStart: number,
    skuBytes: number,
    at: number,
  ): number {
    this.setTime(at);
    const sku = this.skus.find(hashLo, hashHi, u8, skuStart, skuBytes);
    if (sku < 0) return Status.UNKNOWN_SKU;
    const record = this.skus.at(sku);
    this.counts(sku);
    this.out[4] = this.i32[record + Sku.MAX_PER_HOLD] as number;
    this.out[5] = this.i32[record + Sku.MAX_PER_HOLDER] as number;
    this.out[6] = this.i32[record + Sku.MAX_TTL_MS] as number;
    this.piles.earliestEnd(record, this.out, 7);
    return Status.OK;
  }

  /**
   * READ_HOLD. out: state, SKU's record number, quantity, sold, returned, time of the end. A hold whose deadline has come is told as
   * expired, and ended later: what is read changes nothing.
   */
  readHold(lo: number, hi: number, holderLo: number, holderHi: number, at: number): number {
    this.setTime(at);
    const slot = this.find(lo, hi, holderLo, holderHi);
    if (slot < 0) return Status.UNKNOWN_HOLD;
    const hold = this.holds.at(slot);
    let state = this.holds.state(slot);
    if (state === HoldState.HELD && this.holds.isOver(slot, 0)) state = HoldState.EXPIRED;
    const quantity = this.i32[hold + Hold.QUANTITY] as number;
    const returned = this.i32[hold + Hold.RETURNED] as number;
    this.out[0] = state;
    this.out[1] = this.i32[hold + Hold.SKU] as number;
    this.out[2] = state === HoldState.HELD ? quantity : 0;
    this.out[3] = state === HoldState.CONFIRMED ? quantity - returned : 0;
    this.out[4] = returned;
    this.out[5] = this.f64[this.holds.endIndex(slot)] as number;
    return Status.OK;
  }

  private answerAgain(entry: number, quantity: number, ttlMs: number): number {
    const at = this.keys.at(entry);
    this.holdLo = this.i32[at + Key.HOLD_LO] as number;
    this.holdHi = this.i32[at + Key.HOLD_HI] as number;
    this.out[0] = this.f64[at / 2 + Key.EXPIRES_F64] as number;
    const same = this.i32[at + Key.QUANTITY] === quantity && this.i32[at + Key.TTL_MS] === ttlMs;
    return same ? Status.OK : Status.KEY_CONFLICT;
  }

  private unitsOf(holderEntry: number): number {
    return holderEntry < 0 ? 0 : this.holders.units(holderEntry);
  }

  /** Before a HOLD is refused: ends holds of the SKU that are due until `quantity` units are there, a few at most; the wheel ends the rest. */
  private expireOverdue(record: number, quantity: number): void {
    for (let i = 0; i < MAX_OVERDUE; i++) {
      if ((this.i32[record + Sku.AVAILABLE] as number) >= quantity) return;
      const slot = this.piles.earliest(record);
      if (slot < 0 || !this.holds.isOver(slot, 0)) return;
      this.expire(slot);
    }
  }

  private counts(sku: number): void {
    const record = this.skus.at(sku);
    this.out[0] = this.i32[record + Sku.AVAILABLE] as number;
    this.out[1] = this.i32[record + Sku.HELD] as number;
    this.out[2] = this.i32[record + Sku.SOLD] as number;
    this.out[3] = this.i32[record + Sku.TOTAL] as number;
  }

  private nameHold(slot: number): void {
    this.holdLo = (this.number << SLOT_BITS) | slot;
    this.holdHi = this.holds.generation(slot);
  }

  private refuse(status: number, result: number): number {
    this.out[0] = result;
    return status;
  }

  /** The status of a hold that ended otherwise than the command assumes. out[0]: units sold, or when it ended. */
  private refuseEnded(slot: number, state: number): number {
    if (state === HoldState.CONFIRMED) {
      return this.refuse(Status.CONFIRMED, this.i32[this.holds.at(slot) + Hold.QUANTITY] as number);
    }
    this.out[0] = this.f64[this.holds.endIndex(slot)] as number;
    return state === HoldState.RELEASED ? Status.RELEASED : Status.EXPIRED;
  }
}
