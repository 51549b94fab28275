import { Layer } from '../../protocol/status.ts';
import { mix } from '../base/hash.ts';
import { allocateTable, KeyedTable, type TableMemory } from './keyed-table.ts';
import type { AdmissionRules } from './rules.ts';
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

  /** @param shared whether other fronts use the same memory */
  constructor(memory: RateMemory, shared: boolean, rules: AdmissionRules) {
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
    this.skuWindow.setRule(rules.skuWindow);
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
    const layer = this.ask(lo, hi, anonymous, skuLo, skuHi, nowMs);
    if (layer === 0) {
      if (this.holder >= 0 && this.holderWindow.on) this.holderWindow.count(this.holder, nowMs);
      if (this.pair >= 0) this.pairWindow.count(this.pair, nowMs);
      if (this.sku >= 0) this.skuWindow.count(this.sku, nowMs);
    }
    this.holders.release();
    this.pairs.release();
    this.skus.release();
    return layer;
  }

  /** Claims the entries that have a say, one after the other, until one refuses. They are let go by the caller. */
  private ask(
    lo: number,
    hi: number,
    anonymous: boolean,
    skuLo: number,
    skuHi: number,
    nowMs: number,
  ): number {
    const rate = anonymous ? this.addressRate : this.holderRate;
    const { holderWindow, pairWindow, skuWindow } = this;
    let wait = 0;
    if (rate.on || holderWindow.on) {
      const entry = this.holders.claim(lo, hi, nowMs);
      this.holder = entry;
      if (entry >= 0 && rate.on) wait = rate.take(entry, nowMs);
      if (wait > 0) return this.refuse(anonymous ? Layer.ADDRESS_RATE : Layer.HOLDER_RATE, wait);
      if (entry >= 0 && holderWindow.on) wait = holderWindow.waitMs(entry, nowMs);
      if (wait > 0) return this.refuse(Layer.HOLDER_WINDOW, wait);
    }
    if (pairWindow.on) {
      this.pair = this.pairs.claim(mix(lo ^ skuHi), mix(hi ^ skuLo), nowMs);
      if (this.pair >= 0) wait = pairWindow.waitMs(this.pair, nowMs);
      if (wait > 0) return this.refuse(Layer.HOLDER_WINDOW, wait);
    }
    if (skuWindow.on) {
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
