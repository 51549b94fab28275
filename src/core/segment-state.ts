import { SLOT_BITS } from '../../protocol/limits.ts';
import { HoldState } from '../../protocol/ops.ts';
import { DiscardingSink, EventWriter } from './event-writer.ts';
import { type EventSink, MAX_EXPIRED } from './events.ts';
import { Header, Hold, type SegmentOptions, SKU_COUNTED, SKU_LIMITED, Sku } from './layout.ts';
import { SegmentTables } from './segment-tables.ts';

/**
 * The changes of a segment, which keep its tables in step with each other: each kind of event is one method here, which a command
 * and the replay of its event share. What a command may do is decided in Segment, what an event may say in Replayer.
 */
export class SegmentState extends SegmentTables {
  protected readonly events: EventWriter;

  /** Holds that are ended together, so that the memory fetches their SKUs side by side and one event tells of them. */
  private readonly due = new Int32Array(MAX_EXPIRED);

  /**
   * @param sab memory of segmentBytes(options) bytes: zeroed for a new segment, or that of one to carry on
   * @param sink takes the events; before a call that may change something, the caller looks for room for MAX_COMMAND_EVENT_BYTES,
   *   or before advance() for MAX_EXPIRY_EVENT_BYTES for each hold of the budget
   */
  constructor(
    number: number,
    options: SegmentOptions,
    sab: SharedArrayBuffer,
    sink: EventSink = new DiscardingSink(),
  ) {
    super(number, options, sab);
    this.events = new EventWriter(number, this.memory, this, sink);
  }

  /**
   * Ends up to `budget` holds whose time is over, and forgets keys. Returns how much was done: less than the budget
   * when nothing is left that is due.
   */
  advance(at: number, budget: number): number {
    this.setTime(at);
    // Work that can wait gets a quarter each at first, so that a million keys or far deadlines never make holds late.
    const share = budget >> 2;
    let done = this.keys.forget(share);
    if (this.openHolds > 0) {
      done += this.wheel.cascade(share);
      while (done < budget) {
        const found = this.wheel.due(this.due, Math.min(MAX_EXPIRED, budget - done));
        if (found === 0) break;
        this.touchDue(found);
        for (let i = 0; i < found; i++) this.close(this.due[i] as number, HoldState.EXPIRED, 0);
        this.events.expiredTogether(this.due, found);
        done += found;
      }
    }
    return done + this.keys.forget(budget - done);
  }

  /** Loads the SKUs of the holds in `due`, and the holds behind them in their piles, so that their cache misses overlap. */
  private touchDue(found: number): void {
    const { i32, due } = this;
    let sum = 0;
    for (let i = 0; i < found; i++) {
      const hold = this.holds.at(due[i] as number);
      sum ^= i32[this.skus.at(i32[hold + Hold.SKU] as number)] as number;
      const next = i32[hold + Hold.PILE_NEXT] as number;
      if (next !== 0) sum ^= i32[this.holds.at(next - 1)] as number;
    }
    this.touched = sum;
  }

  /** A hold's state now: one whose deadline has come is expired on the spot, though its bucket is not past. */
  protected currentState(slot: number): number {
    const state = this.holds.state(slot);
    if (state !== HoldState.HELD || !this.holds.isOver(slot, 0)) return state;
    this.expire(slot);
    return HoldState.EXPIRED;
  }

  protected expire(slot: number): void {
    this.close(slot, HoldState.EXPIRED, 0);
    this.events.expired(slot);
  }

  /** Makes a hold in a slot that was just taken; the holder's entry, if units are counted, is there or -1. */
  protected place(
    slot: number,
    sku: number,
    holderLo: number,
    holderHi: number,
    quantity: number,
    ttlMs: number,
    holderEntry: number,
  ): void {
    const { i32, f64 } = this;
    const record = this.skus.at(sku);
    const hold = this.holds.at(slot);
    f64[hold / 2 + Hold.ENDS_F64] = (f64[Header.NOW_F64] as number) + ttlMs;
    f64[hold / 2 + Hold.CREATED_F64] = f64[Header.NOW_F64] as number;
    i32[hold + Hold.HOLDER_LO] = holderLo;
    i32[hold + Hold.HOLDER_HI] = holderHi;
    i32[hold + Hold.SKU] = sku;
    i32[hold + Hold.QUANTITY] = quantity;
    i32[hold + Hold.RETURNED] = 0;
    i32[hold + Hold.HOLDER_ENTRY] = holderEntry;
    i32[hold + Hold.KEY_ENTRY] = -1;
    i32[record + Sku.AVAILABLE] = (i32[record + Sku.AVAILABLE] as number) - quantity;
    i32[record + Sku.HELD] = (i32[record + Sku.HELD] as number) + quantity;
    if (this.openHolds === 0) this.wheel.start();
    this.schedule(record, slot);
    i32[Header.OPEN_HOLDS] = (i32[Header.OPEN_HOLDS] as number) + 1;
    if (holderEntry >= 0) this.holders.change(holderEntry, quantity);
  }

  /** Remembers the key that the key table was asked for last as that of a new hold. */
  protected placeKey(slot: number, quantity: number, ttlMs: number): void {
    const { i32, holds } = this;
    i32[holds.at(slot) + Hold.KEY_ENTRY] = this.keys.add(
      quantity,
      ttlMs,
      (this.number << SLOT_BITS) | slot,
      holds.generation(slot),
    );
  }

  /** Sells `sold` units of an open hold and gives the rest back. */
  protected sell(slot: number, sold: number): void {
    const i32 = this.i32;
    const hold = this.holds.at(slot);
    const record = this.skus.at(i32[hold + Hold.SKU] as number);
    this.close(slot, HoldState.CONFIRMED, sold);
    i32[record + Sku.SOLD] = (i32[record + Sku.SOLD] as number) + sold;
    i32[record + Sku.AVAILABLE] = (i32[record + Sku.AVAILABLE] as number) - sold;
    i32[hold + Hold.QUANTITY] = sold;
  }

  /** Gives units of an open hold back; all that it has end it. */
  protected giveBack(slot: number, units: number): void {
    const i32 = this.i32;
    const hold = this.holds.at(slot);
    const has = i32[hold + Hold.QUANTITY] as number;
    if (units === has) {
      this.close(slot, HoldState.RELEASED, 0);
      return;
    }
    const record = this.skus.at(i32[hold + Hold.SKU] as number);
    i32[hold + Hold.QUANTITY] = has - units;
    i32[record + Sku.HELD] = (i32[record + Sku.HELD] as number) - units;
    i32[record + Sku.AVAILABLE] = (i32[record + Sku.AVAILABLE] as number) + units;
    this.uncount(hold, units);
  }

  /** Moves an open hold's deadline to `ttlMs` from now. */
  protected postpone(slot: number, ttlMs: number): void {
    const record = this.skus.at(this.i32[this.holds.at(slot) + Hold.SKU] as number);
    this.unschedule(record, slot);
    this.f64[this.holds.endIndex(slot)] = (this.f64[Header.NOW_F64] as number) + ttlMs;
    this.schedule(record, slot);
  }

  /** Takes sold units of a confirmed hold back. */
  protected takeBack(slot: number, units: number): void {
    const i32 = this.i32;
    const hold = this.holds.at(slot);
    const record = this.skus.at(i32[hold + Hold.SKU] as number);
    i32[hold + Hold.RETURNED] = (i32[hold + Hold.RETURNED] as number) + units;
    i32[record + Sku.SOLD] = (i32[record + Sku.SOLD] as number) - units;
    i32[record + Sku.AVAILABLE] = (i32[record + Sku.AVAILABLE] as number) + units;
    this.uncount(hold, units);
  }

  /**
   * Sets a SKU's total, which leaves something available, and its settings. Its units per holder are counted from when such a limit is
   * first set: the caller has called countHolders() then.
   */
  protected setStock(
    sku: number,
    total: number,
    maxPerHold: number,
    maxPerHolder: number,
    maxTtlMs: number,
  ): void {
    const i32 = this.i32;
    const record = this.skus.at(sku);
    const change = total - (i32[record + Sku.TOTAL] as number);
    i32[record + Sku.TOTAL] = total;
    i32[record + Sku.AVAILABLE] = (i32[record + Sku.AVAILABLE] as number) + change;
    i32[record + Sku.MAX_PER_HOLD] = maxPerHold;
    i32[record + Sku.MAX_PER_HOLDER] = maxPerHolder;
    i32[record + Sku.MAX_TTL_MS] = maxTtlMs;
    const limited = maxPerHold !== 0 || maxPerHolder !== 0 || maxTtlMs !== 0;
    const flags = (i32[record + Sku.NAME] as number) & ~SKU_LIMITED;
    i32[record + Sku.NAME] = flags | (limited ? SKU_LIMITED : 0) | (maxPerHolder > 0 ? SKU_COUNTED : 0);
  }

  /** Ends an open hold, of whose units `kept` stay with the holder. */
  protected close(slot: number, state: number, kept: number): void {
    const i32 = this.i32;
    const hold = this.holds.at(slot);
    const has = i32[hold + Hold.QUANTITY] as number;
    const record = this.skus.at(i32[hold + Hold.SKU] as number);
    this.unschedule(record, slot);
    i32[record + Sku.HELD] = (i32[record + Sku.HELD] as number) - has;
    i32[record + Sku.AVAILABLE] = (i32[record + Sku.AVAILABLE] as number) + has;
    if (kept < has) this.uncount(hold, has - kept);
    const key = i32[hold + Hold.KEY_ENTRY] as number;
    if (key >= 0) {
      this.keys.retire(key);
      i32[hold + Hold.KEY_ENTRY] = -1;
    }
    this.holds.end(slot, state);
    i32[Header.OPEN_HOLDS] = (i32[Header.OPEN_HOLDS] as number) - 1;
  }

  /** Puts an open hold where its deadline belongs. */
  protected schedule(record: number, slot: number): void {
    this.linkPile(record, slot);
    this.wheel.add(slot);
  }

  protected unschedule(record: number, slot: number): void {
    this.unlinkPile(record, slot);
    this.wheel.remove(slot);
  }

  protected linkPile(record: number, slot: number): void {
    const pile = this.piles.add(record, slot);
    const meta = this.holds.at(slot) + Hold.META;
    this.i32[meta] = ((this.i32[meta] as number) & ~0xf0) | (pile << 4);
  }

  protected unlinkPile(record: number, slot: number): void {
    const meta = this.i32[this.holds.at(slot) + Hold.META] as number;
    this.piles.remove(record, slot, (meta >> 4) & 0x0f);
  }

  private uncount(hold: number, units: number): void {
    const entry = this.i32[hold + Hold.HOLDER_ENTRY] as number;
    if (entry >= 0) this.holders.change(entry, -units);
  }

  /**
   * Starts to count a SKU's units per holder, if it is not yet done, from its holds in the table: those that are open, and what
   * confirmed ones have not returned. Walks the whole table, once in a SKU's life. False, and nothing is changed, when the holders do
   * not fit.
   */
  protected countHolders(sku: number): boolean {
    const i32 = this.i32;
    if (((i32[this.skus.at(sku) + Sku.NAME] as number) & SKU_COUNTED) !== 0) return true;
    const counted: number[] = [];
    for (let slot = 0; slot < this.holds.used; slot++) {
      const hold = this.holds.at(slot);
      const state = this.holds.state(slot);
      if (i32[hold + Hold.SKU] !== sku || (state !== HoldState.HELD && state !== HoldState.CONFIRMED))
        continue;
      const units = (i32[hold + Hold.QUANTITY] as number) - (i32[hold + Hold.RETURNED] as number);
      if (units === 0) continue;
      const lo = i32[hold + Hold.HOLDER_LO] as number;
      const hi = i32[hold + Hold.HOLDER_HI] as number;
      let entry = this.holders.find(sku, lo, hi);
      if (entry < 0) {
        if (this.holders.full) {
          for (const undo of counted) this.uncountSlot(undo);
          return false;
        }
        entry = this.holders.add(sku, lo, hi);
      }
      this.holders.change(entry, units);
      i32[hold + Hold.HOLDER_ENTRY] = entry;
      counted.push(slot);
    }
    return true;
  }

  private uncountSlot(slot: number): void {
    const hold = this.holds.at(slot);
    const i32 = this.i32;
    this.uncount(hold, (i32[hold + Hold.QUANTITY] as number) - (i32[hold + Hold.RETURNED] as number));
    i32[hold + Hold.HOLDER_ENTRY] = -1;
  }
}
