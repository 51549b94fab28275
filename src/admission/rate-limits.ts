import { Layer } from '../../protocol/status.ts';
import { mix } from '../base/hash.ts';
import { Head } from './entry-layout.ts';
import { allocateTable, KeyedTable, type TableMemory } from './keyed-table.ts';
import { type AdmissionRules, OFF } from './rules.ts';
import { SkuSieve } from './sku-sieve.ts';
import { SlidingWindow } from './sliding-window.ts';
import { TokenBucket } from './token-bucket.ts';

/**
 * Layers 2 and 3 of admission: how much one client may ask for, and how often one SKU may be held. Counted in memory that all fronts
 * share, so that a client gains nothing by many connections.
 *
 * A command is counted in the windows when all of them let it in, and only then. A token is taken by every command that the bucket lets
 * in, also where a window refuses it: who knocks at a full window again and again uses its rate up. What the bucket refuses is counted
 * nowhere. A command that a later layer refuses stays counted, since it has been let in here.
 */
export class RateLimits {
  /** How long to wait, where the last command was refused: to the millisecond, if nobody else comes first. */
  retryMs = 0;
  /** Entries that had to go for others, and commands let through uncounted because another front had their entry. */
  get evictions(): number {
    return this.holders.evictions + this.skus.evictions + this.pairs.evictions;
  }

  get uncounted(): number {
    return this.holders.uncounted + this.skus.uncounted + this.pairs.uncounted;
  }

  private readonly holders: KeyedTable;
  private readonly skus: KeyedTable;
  private readonly pairs: KeyedTable;
  private readonly holderRate: TokenBucket;
  private readonly addressRate: TokenBucket;
  private readonly holderWindow: SlidingWindow;
  private readonly skuWindow: SlidingWindow;
  private readonly pairWindow: SlidingWindow;
  /** Entries of the command at hand, or -1. */
  private holder = -1;
  private pair = -1;
  private sku = -1;
  /** Whether no other front counts in the same memory. */
  private readonly alone: boolean;
  /**
   * A run of HOLDs of one holder within a millisecond, as clients send that send many at once: the holder's entry, and how many more pass and
   * only have to be counted. For a lone front, since another could count for the holder in between.
   */
  private run = -1;
  private runMs = 0;
  private runLeft = 0;
  private runAnonymous = false;
  /** Before the windows of SKUs. */
  private readonly sieve: SkuSieve;

  /** @param fronts that use the same memory */
  constructor(memory: RateMemory, fronts: number, rules: AdmissionRules) {
    const shared = fronts > 1;
    this.alone = !shared;
    this.sieve = new SkuSieve(fronts);
    this.holders = new KeyedTable(memory.holders, shared);
    this.skus = new KeyedTable(memory.skus, shared);
    this.pairs = new KeyedTable(memory.pairs, shared);
    this.holderRate = new TokenBucket(this.holders);
    this.addressRate = new TokenBucket(this.holders);
    this.holderWindow = new SlidingWindow(this.holders);
    this.skuWindow = new SlidingWindow(this.skus);
    this.pairWindow = new SlidingWindow(this.pairs);
    this.setRules(rules);
  }

  /** Other rules from now on. What was counted so far stays counted. */
  setRules(rules: AdmissionRules): void {
    this.holderRate.setRule(rules.holderRate);
    this.addressRate.setRule(rules.addressRate);
    this.holderWindow.setRule(rules.holderWindow);
    const { skuWindow } = rules;
    this.sieve.setRule(skuWindow);
    this.skuWindow.setRule(
      skuWindow === OFF ? OFF : { ...skuWindow, limit: skuWindow.limit - this.sieve.slack },
    );
    this.runLeft = 0;
    this.pairWindow.setRule(rules.holderSkuWindow);
  }

  /**
   * Layer 2, for a command that places no hold.
   *
   * @param lo, hi who asks: the holder's words, or the address's where the connection is anonymous
   * @param nowMs low 32 bits of a monotonic clock
   * @returns 0, or the layer that refuses, with `retryMs`
   */
  admit(lo: number, hi: number, anonymous: boolean, nowMs: number): number {
    const rate = anonymous ? this.addressRate : this.holderRate;
    if (!rate.on) return 0;
    this.runLeft = 0;
    const entry = this.holders.claim(lo, hi, nowMs);
    const wait = entry < 0 ? 0 : rate.take(entry, nowMs);
    this.holders.release();
    if (wait === 0) return 0;
    this.retryMs = wait;
    return anonymous ? Layer.ADDRESS_RATE : Layer.HOLDER_RATE;
  }

  /** Layers 2 and 3, for a HOLD on a SKU. */
  admitHold(lo: number, hi: number, anonymous: boolean, skuLo: number, skuHi: number, nowMs: number): number {
    this.holder = -1;
    this.pair = -1;
    this.sku = -1;
    const another = this.goesOn(lo, hi, anonymous, nowMs);
    const layer =
      (another ? 0 : this.askHolder(lo, hi, anonymous, nowMs)) || this.askSku(lo, hi, skuLo, skuHi, nowMs);
    if (layer === 0) {
      if (another) this.countAnother();
      else if (this.holder >= 0) this.countFirst(anonymous, nowMs);
      if (this.pair >= 0) this.pairWindow.count(this.pair, nowMs);
      if (this.sku >= 0) this.skuWindow.count(this.sku, nowMs);
    }
    this.holders.release();
    this.pairs.release();
    this.skus.release();
    return layer;
  }

  /** Whether the HOLD is one more of a run, which takes its token. */
  private goesOn(lo: number, hi: number, anonymous: boolean, nowMs: number): boolean {
    if (this.runLeft <= 0 || nowMs !== this.runMs || anonymous !== this.runAnonymous) return false;
    const { run } = this;
    const { i32 } = this.holders;
    // Another holder may have got its entry.
    if (i32[run] !== lo || i32[run + Head.KEY_HI] !== hi) return false;
    this.runLeft--;
    const rate = anonymous ? this.addressRate : this.holderRate;
    if (rate.on) rate.takeAnother(run);
    return true;
  }

  private countAnother(): void {
    if (this.holderWindow.on) this.holderWindow.countAnother(this.run);
  }

  /** Counts the HOLD and begins a run. */
  private countFirst(anonymous: boolean, nowMs: number): void {
    const { holder, holderWindow } = this;
    const rate = anonymous ? this.addressRate : this.holderRate;
    if (holderWindow.on) holderWindow.count(holder, nowMs);
    if (!this.alone) return;
    this.run = holder;
    this.runMs = nowMs;
    this.runAnonymous = anonymous;
    const tokens = rate.on ? rate.left(holder) : MANY;
    this.runLeft = Math.min(tokens, holderWindow.on ? holderWindow.left(holder) : MANY);
  }

  /** Claims the holder's entry, if it has a say. All entries are let go by the caller. */
  private askHolder(lo: number, hi: number, anonymous: boolean, nowMs: number): number {
    const rate = anonymous ? this.addressRate : this.holderRate;
    const { holderWindow } = this;
    this.runLeft = 0;
    if (!rate.on && !holderWindow.on) return 0;
    const entry = this.holders.claim(lo, hi, nowMs);
    this.holder = entry;
    if (entry < 0) return 0;
    let wait = rate.on ? rate.take(entry, nowMs) : 0;
    if (wait > 0) return this.refuse(anonymous ? Layer.ADDRESS_RATE : Layer.HOLDER_RATE, wait);
    if (holderWindow.on) wait = holderWindow.waitMs(entry, nowMs);
    return wait > 0 ? this.refuse(Layer.HOLDER_WINDOW, wait) : 0;
  }

  /** Claims the entries of the holder with the SKU and of the SKU, if they have a say, one after the other, until one refuses. */
  private askSku(lo: number, hi: number, skuLo: number, skuHi: number, nowMs: number): number {
    const { pairWindow, skuWindow } = this;
    let wait = 0;
    if (pairWindow.on) {
      this.pair = this.pairs.claim(mix(lo ^ skuHi), mix(hi ^ skuLo), nowMs);
      if (this.pair >= 0) wait = pairWindow.waitMs(this.pair, nowMs);
      if (wait > 0) return this.refuse(Layer.HOLDER_WINDOW, wait);
    }
    if (skuWindow.on && !this.sieve.passes(skuLo, nowMs)) {
      this.sku = this.skus.claim(skuLo, skuHi, nowMs);
      if (this.sku >= 0) wait = skuWindow.waitMs(this.sku, nowMs);
      if (wait > 0) return this.refuse(Layer.SKU_WINDOW, wait);
    }
    return 0;
  }

  private refuse(layer: number, waitMs: number): number {
    this.retryMs = waitMs;
    return layer;
  }
}

const MANY = 2 ** 30;

/** Can be handed to a thread as it is. */
export interface RateMemory {
  /** Holders, and addresses of clients that have no name. */
  readonly holders: TableMemory;
  readonly skus: TableMemory;
  /** Holders with SKUs. */
  readonly pairs: TableMemory;
}

/** Memory for so many holders and SKUs at once; of those that come on top, the ones seen last are remembered. */
export function allocateRates(holders: number, skus: number, seed: number): RateMemory {
  return {
    holders: allocateTable(holders, seed),
    skus: allocateTable(skus, seed),
    pairs: allocateTable(holders, seed),
  };
}
