import { ageMs } from './entry-layout.ts';
import { OFF, type WindowRule } from './rules.ts';

/** Counters, 32 KiB of them: they stay in a core's cache, where the windows of as many SKUs as a sale may have do not. */
export const GROUPS = 8192;
/** Of a limit, what may pass the sieve in any stretch of its window, over all fronts. */
const SHARE = 1 / 64;
/** The window in parts; a stretch as long as the window touches one more. */
const PARTS = 5;
/** A sieve that lets fewer through in a part is not worth the limit's share. */
const LEAST = 64;

/**
 * Lets HOLDs of SKUs that few ask for pass without a look at the SKU's own window. SKUs fall into groups by their hash. In each part of the window
 * the first few HOLDs of a group pass uncounted, and all others are for the windows. The windows then allow what passes here less,
 * whosoever it was: so a limit is never exceeded, and a SKU may be refused when it is short of its limit by that share of it.
 *
 * Each front has a sieve of its own, which lets its part of the share through.
 */
export class SkuSieve {
  /** What passes uncounted in the worst case: the windows have to keep it free. */
  slack = 0;
  private readonly counts = new Int32Array(GROUPS);
  private readonly fronts: number;
  private partMs = 0;
  private sinceMs = 0;
  /** HOLDs of a group that pass in a part; 0 where none do. */
  private most = 0;

  /** @param fronts that count for the same windows */
  constructor(fronts: number) {
    this.fronts = fronts;
  }

  /** What has passed in earlier parts was by the rule of that time: for one length of the window, it may come on top of a limit that is lower now. */
  setRule(rule: WindowRule | typeof OFF): void {
    const most = rule === OFF ? 0 : Math.floor((rule.limit * SHARE) / (PARTS + 1) / this.fronts);
    this.most = most < LEAST ? 0 : most;
    this.slack = this.most * (PARTS + 1) * this.fronts;
    this.partMs = rule === OFF ? 0 : Math.ceil(rule.windowMs / PARTS);
  }

  /** Whether a HOLD of a SKU passes, which counts it. `nowMs`: low 32 bits of a monotonic clock. */
  passes(skuLo: number, nowMs: number): boolean {
    const { counts, most } = this;
    if (most === 0) return false;
    if (ageMs(nowMs, this.sinceMs) >= this.partMs) {
      this.sinceMs = nowMs;
      counts.fill(0);
    }
    const at = skuLo & (GROUPS - 1);
    const count = counts[at] as number;
    if (count >= most) return false;
    counts[at] = count + 1;
    return true;
  }
}
