import { SEGMENT_BITS, SLOT_BITS } from '../../protocol/limits.ts';
import { HoldState } from '../../protocol/ops.ts';
import type { SegmentOptions } from '../../src/core/layout.ts';

export interface SkuRecord {
  name: string;
  total: number;
  sold: number;
  maxPerHold: number;
  maxPerHolder: number;
  maxTtlMs: number;
  /** Whether units per holder are counted, from the first limit on. */
  counted: boolean;
  /** Times to live that holds were placed for. */
  readonly ttls: Set<number>;
  /** False once a hold was extended: then deadlines may come in any order. */
  orderly: boolean;
  /** Units, by holder, of confirmed holds that are forgotten and yet count. */
  readonly forgotten: Map<string, number>;
}

export interface HoldRecord {
  readonly id: number;
  readonly sku: SkuRecord;
  readonly holder: string;
  readonly key: string | undefined;
  readonly createdAt: number;
  /** Units held; once it is confirmed, units sold. */
  quantity: number;
  returned: number;
  state: number;
  /** Deadline, then time of the end. */
  endsAt: number;
}

export interface KeyRecord {
  readonly quantity: number;
  readonly ttlMs: number;
  readonly id: number;
  readonly endsAt: number;
  /** Set when the hold has ended: from then on the key may be forgotten. */
  forgetAt: number | undefined;
}

type NewHold = Omit<HoldRecord, 'state' | 'returned'>;

/** So many times to live may be mixed on a SKU before its earliest end becomes an estimate. */
const EXACT_TTLS = 2;
/** Ended holds are kept for their time as long as they are no more than this part of all places. */
const ENDED_SHARE = 8;

/** The tables of a segment's model. Every sum is made from the records when it is asked for. */
export class Shelf {
  readonly skus = new Map<string, SkuRecord>();
  readonly holds = new Map<number, HoldRecord>();
  readonly keys = new Map<string, KeyRecord>();
  /** Id of the hold that was last put into each slot. */
  private readonly slots = new Map<number, number>();
  private readonly number: number;
  private readonly options: SegmentOptions;
  private readonly complain: (what: string) => void;

  constructor(number: number, options: SegmentOptions, complain: (what: string) => void) {
    this.number = number;
    this.options = options;
    this.complain = complain;
  }

  holdIn(slot: number): HoldRecord | undefined {
    const id = this.slots.get(slot);
    return id === undefined ? undefined : this.holds.get(id);
  }

  /** Slots that ever held something. */
  get slotCount(): number {
    return this.slots.size;
  }

  held(sku: SkuRecord): number {
    let held = 0;
    for (const hold of this.holds.values()) {
      if (hold.sku === sku && hold.state === HoldState.HELD) held += hold.quantity;
    }
    return held;
  }

  openHolds(): number {
    return [...this.holds.values()].filter((hold) => hold.state === HoldState.HELD).length;
  }

  /** When the earliest hold of a SKU ends, or 0. Where that may be an estimate, `told` will do unless it is nonsense. */
  earliestEnd(sku: SkuRecord, told: unknown): number {
    const least = this.leastEnd(sku);
    if (least === 0 || isExact(sku) || typeof told !== 'number') return least;
    return told > 0 ? told : least;
  }

  /** Whether a SKU whose holds are all in view has one that should have been ended by now. */
  isOverdue(sku: SkuRecord, now: number): boolean {
    const least = this.leastEnd(sku);
    return isExact(sku) && least !== 0 && least <= now;
  }

  private leastEnd(sku: SkuRecord): number {
    let least = 0;
    for (const hold of this.holds.values()) {
      if (hold.sku !== sku || hold.state !== HoldState.HELD) continue;
      if (least === 0 || hold.endsAt < least) least = hold.endsAt;
    }
    return least;
  }

  /** Units that a holder has of a SKU, held and bought, as far as they count. */
  unitsOf(sku: SkuRecord, holder: string): number {
    let units = sku.forgotten.get(holder) ?? 0;
    for (const hold of this.holds.values()) {
      if (hold.sku === sku && hold.holder === holder) units += unitsIn(hold);
    }
    return sku.counted ? units : 0;
  }

  /** Holders with units of a SKU that counts them, over all SKUs. */
  holderCount(): number {
    let count = 0;
    for (const sku of this.skus.values()) if (sku.counted) count += this.holdersOf(sku).size;
    return count;
  }

  /** Starts to count a SKU's units per holder. False when there is no room for the holders. */
  count(sku: SkuRecord): boolean {
    if (this.holderCount() + this.holdersOf(sku).size > this.options.holders) return false;
    sku.counted = true;
    return true;
  }

  /** Whether there is a place for another hold, if need be that of one that may be forgotten. */
  hasRoom(now: number): boolean {
    if (this.slots.size < this.options.holds) return true;
    return [...this.holds.values()].some((hold) => this.mayBeForgotten(hold, now));
  }

  /** Whether a new hold may have this id: of this segment, in a place that is free, and never given away before. */
  admits(id: number, now: number): boolean {
    const slot = id % 2 ** SLOT_BITS;
    const segment = Math.floor(id / 2 ** SLOT_BITS) % 2 ** SEGMENT_BITS;
    const generation = Math.floor(id / 2 ** (SLOT_BITS + SEGMENT_BITS));
    const before = this.slots.get(slot);
    if (segment !== this.number || slot >= this.options.holds) return false;
    if (before === undefined) return generation === 1;
    if (!this.mayBeForgotten(this.holds.get(before) as HoldRecord, now)) return false;
    return generation === Math.floor(before / 2 ** (SLOT_BITS + SEGMENT_BITS)) + 1;
  }

  /** Puts a hold into its slot, in place of the one that was there. */
  place(hold: NewHold): void {
    const slot = hold.id % 2 ** SLOT_BITS;
    const before = this.holdIn(slot);
    if (before !== undefined) this.forget(before);
    this.slots.set(slot, hold.id);
    this.holds.set(hold.id, { ...hold, state: HoldState.HELD, returned: 0 });
  }

  /** Ends a hold. What is not sold of it goes back by no longer being held. */
  end(hold: HoldRecord, state: number, endsAt: number, now: number): void {
    hold.state = state;
    hold.endsAt = endsAt;
    const key = hold.key === undefined ? undefined : this.keys.get(hold.key);
    if (key === undefined) return;
    if (key.id !== hold.id) this.complain(`the key of hold ${hold.id} was forgotten while it was held`);
    key.forgetAt = now + this.options.keyRetentionMs;
  }

  /** Keys that must still be known. */
  keysInUse(now: number): number {
    let count = 0;
    for (const key of this.keys.values()) if (key.forgetAt === undefined || key.forgetAt > now) count++;
    return count;
  }

  /**
   * A released or expired hold may be forgotten when its time is over, when there is no other place, and when there are
   * many of them; a confirmed one only when its time is over.
   */
  private mayBeForgotten(hold: HoldRecord, now: number): boolean {
    const { endedRetentionMs, soldRetentionMs, holds } = this.options;
    if (hold.state === HoldState.HELD) return false;
    if (hold.state === HoldState.CONFIRMED) return hold.endsAt + soldRetentionMs <= now;
    const full = this.slots.size === holds;
    return (
      full || hold.endsAt + endedRetentionMs <= now || this.endedCount() > Math.floor(holds / ENDED_SHARE)
    );
  }

  private endedCount(): number {
    let count = 0;
    for (const { state } of this.holds.values()) {
      if (state === HoldState.RELEASED || state === HoldState.EXPIRED) count++;
    }
    return count;
  }

  private forget(hold: HoldRecord): void {
    this.holds.delete(hold.id);
    const { sku, holder } = hold;
    if (sku.counted) sku.forgotten.set(holder, (sku.forgotten.get(holder) ?? 0) + unitsIn(hold));
  }

  private holdersOf(sku: SkuRecord): Set<string> {
    const holders = new Set<string>();
    for (const [holder, units] of sku.forgotten) if (units > 0) holders.add(holder);
    for (const hold of this.holds.values()) {
      if (hold.sku === sku && unitsIn(hold) > 0) holders.add(hold.holder);
    }
    return holders;
  }
}

/** Whether the earliest end of a SKU's holds is known exactly. */
function isExact(sku: SkuRecord): boolean {
  return sku.orderly && sku.ttls.size <= EXACT_TTLS;
}

/** Units that a hold's holder has by it. */
function unitsIn(hold: HoldRecord): number {
  if (hold.state === HoldState.HELD) return hold.quantity;
  return hold.state === HoldState.CONFIRMED ? hold.quantity - hold.returned : 0;
}

/** A SKU that was never stocked. */
export function newSku(name: string): SkuRecord {
  return {
    name,
    total: 0,
    sold: 0,
    maxPerHold: 0,
    maxPerHolder: 0,
    maxTtlMs: 0,
    counted: false,
    ttls: new Set(),
    orderly: true,
    forgotten: new Map(),
  };
}
