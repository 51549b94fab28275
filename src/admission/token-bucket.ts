import { ageMs, type EntryViews, Head } from './entry-layout.ts';
import { OFF, type RateRule } from './rules.ts';

/** Commands by which a level may be wrong from rounding. */
const ROUNDING = 1e-6;
/** Some twelve days: where a rule has become far stricter, a wait would be longer than fits 32 bits. */
const LONGEST_MS = 2 ** 30;

/**
 * A steady rate with a burst: the generic cell rate algorithm in its form of a continuous-state leaky bucket (ITU-T I.371, annex A), which
 * decides as the one with a theoretical arrival time does. The level rises by one with each command that is let in and falls with
 * time; it is kept in commands, so that it means the same when the rule changes. What is refused changes nothing.
 */
export class TokenBucket {
  on = false;
  private perMs = 1;
  private burst = 1;
  private readonly i32: Int32Array;
  private readonly f64: Float64Array;

  constructor({ i32, f64 }: EntryViews) {
    this.i32 = i32;
    this.f64 = f64;
  }

  setRule(rule: RateRule | typeof OFF): void {
    this.on = rule !== OFF;
    if (rule === OFF) return;
    this.perMs = rule.perSecond / 1000;
    this.burst = rule.burst;
  }

  /** Takes a token: 0, or in how many ms there will be one. */
  take(entry: number, nowMs: number): number {
    const { i32, f64, perMs } = this;
    const at = (entry + Head.LEVEL) >> 1;
    const elapsed = ageMs(nowMs, i32[entry + Head.LEVEL_MS] as number);
    const level = Math.max(0, (f64[at] as number) - elapsed * perMs);
    const over = level + 1 - this.burst - ROUNDING;
    if (over > 0) return Math.min(Math.ceil(over / perMs), LONGEST_MS) | 0;
    f64[at] = level + 1;
    // A front whose clock is behind another's does not turn the time back.
    if (elapsed > 0 || level === 0) i32[entry + Head.LEVEL_MS] = nowMs;
    return 0;
  }

  /** How many more it would give at the time at which it gave one last. */
  left(entry: number): number {
    return (this.burst + ROUNDING - (this.f64[(entry + Head.LEVEL) >> 1] as number)) | 0;
  }

  /** Takes another token at the same time, one of those left. */
  takeAnother(entry: number): void {
    const at = (entry + Head.LEVEL) >> 1;
    this.f64[at] = (this.f64[at] as number) + 1;
  }
}
