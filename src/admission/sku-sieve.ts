import { OFF, type WindowRule } from './rules.ts';

/** A window that lets in fewer has no part set aside, and is exact to the last command. */
const LEAST_LIMIT = 1024;
/** Of a window's limit, so much is set aside for SKUs that few ask for, over all fronts. */
const PART = 16;
/** SKUs share counters by hash; more lie in a counter than in a SKU, never fewer. 128 KiB stay in a core's own cache. */
const COUNTERS = 1 << 14;

/**
 * Lets SKUs pass that few ask for, so that only what is much asked for is counted one by one in the table of all fronts. Looking a SKU up
 * there costs a cache miss, which is a tenth of all that a front spends on a command, and in a sale nearly all SKUs are far from
 * their limit.
 *
 * Counts in two periods, each as long as the window: whatever passed in any stretch of that length lies within two that follow each other,
 * so what is let past in it is no more than was set aside.
 */
export class SkuSieve {
  /** How many of a window's commands pass uncounted at most; 0 where all are counted. */
  private few = 0;
  private windowMs = 1;
  /** For each counter, one for periods of even and one for those of odd number. */
  private readonly counts = new Int32Array(2 * COUNTERS);
  private odd = 0;
  private periodMs = 0;

  /**
   * Goes by a window's rule from now on, of which each of so many fronts sets its part aside. Returns the rule for what is counted one by
   * one: the limit less all those parts.
   */
  setRule(rule: WindowRule | typeof OFF, fronts: number): WindowRule | typeof OFF {
    if (rule === OFF) return OFF;
    const few = rule.limit < LEAST_LIMIT ? 0 : Math.floor(rule.limit / PART / fronts);
    // What has passed stays counted where it can.
    if (rule.windowMs !== this.windowMs) this.counts.fill(0);
    this.few = few;
    this.windowMs = rule.windowMs;
    return { windowMs: rule.windowMs, limit: rule.limit - few * fronts };
  }

  /** Whether a command on a SKU passes uncounted. `nowMs`: int32 of a clock. */
  passes(skuLo: number, nowMs: number): boolean {
    if (this.few === 0) return false;
    const elapsedMs = (nowMs - this.periodMs) | 0;
    if (elapsedMs >= this.windowMs || elapsedMs < 0) this.turn(nowMs, elapsedMs);
    const { counts } = this;
    const at = (skuLo & (COUNTERS - 1)) << 1;
    if ((counts[at] as number) + (counts[at + 1] as number) >= this.few) return false;
    counts[at + this.odd] = (counts[at + this.odd] as number) + 1;
    return true;
  }

  /** Begins a period. The one before last is forgotten; so is the last when nobody came for a whole one. */
  private turn(nowMs: number, elapsedMs: number): void {
    const { counts } = this;
    this.odd = 1 - this.odd;
    if (elapsedMs >= 2 * this.windowMs || elapsedMs < 0) counts.fill(0);
    else for (let at = this.odd; at < counts.length; at += 2) counts[at] = 0;
    this.periodMs = nowMs;
  }
}
