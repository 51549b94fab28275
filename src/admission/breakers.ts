import type { BreakerRule } from './rules.ts';

/** Sampled commands count for so long; a window of so many slots, of which the oldest is dropped as time goes on. */
const WINDOW_MS = 10_000;
const SLOTS = 10;
const SLOT_MS = WINDOW_MS / SLOTS;
/** Words of a slot: commands, those that were slow, those that failed. */
const COUNTS = 3;

export const BreakerState = { CLOSED: 0, OPEN: 1, HALF_OPEN: 2 } as const;

/**
 * A row of circuit breakers (Nygard, Release It!, 2007), pure: time is passed in, in ms of any clock that does not go back. What a
 * breaker guards is given a rest when too large a share of the last ten seconds' commands failed or was slow. Behind the rest a few
 * probes are let through, and their outcomes decide: closed again, or another rest.
 *
 * Only commands that were timed are noted, which are a sample; a probe is always timed.
 */
export class Breakers {
  /** How many are not closed: while this is 0, nobody has to ask. */
  tripped = 0;
  /** How often one has opened. */
  opened = 0;
  /** A BreakerState each, for whoever watches. */
  readonly states: Uint8Array;
  private rule: BreakerRule;
  private readonly counts: Int32Array;
  /** Sums over the slots of each window. */
  private readonly sums: Int32Array;
  /** Which stretch of time a breaker's newest slot is. */
  private readonly newest: Float64Array;
  /** When a rest ends, or the time is over that probes have to come back. */
  private readonly untilMs: Float64Array;
  private readonly probesLeft: Int32Array;

  constructor(count: number, rule: BreakerRule) {
    this.rule = rule;
    this.states = new Uint8Array(count);
    this.counts = new Int32Array(count * SLOTS * COUNTS);
    this.sums = new Int32Array(count * COUNTS);
    this.newest = new Float64Array(count);
    this.untilMs = new Float64Array(count);
    this.probesLeft = new Int32Array(count);
  }

  /** Goes by other bounds from now on. Rests that have begun end as they would have. */
  change(rule: BreakerRule): void {
    this.rule = rule;
  }

  /** Whether a breaker lets a command through. A rest that is over makes it half-open. */
  admits(breaker: number, nowMs: number): boolean {
    const state = this.states[breaker];
    if (state === BreakerState.CLOSED) return true;
    if (state === BreakerState.OPEN) {
      if (nowMs < (this.untilMs[breaker] as number)) return false;
      this.states[breaker] = BreakerState.HALF_OPEN;
      this.empty(breaker, nowMs);
      this.handOut(breaker, nowMs);
    } else if (nowMs >= (this.untilMs[breaker] as number)) {
      // Probes whose outcome never came, or nobody sent any: others are let through in their place.
      this.handOut(breaker, nowMs);
    }
    return (this.probesLeft[breaker] as number) > 0;
  }

  /** Notes that a command that was let through goes its way. Returns whether it is a probe, which has to be timed. */
  take(breaker: number): boolean {
    if (this.states[breaker] !== BreakerState.HALF_OPEN) return false;
    this.probesLeft[breaker] = (this.probesLeft[breaker] as number) - 1;
    return true;
  }

  /** How long a client had better wait, ms: until the rest is over, or until probes have told. */
  retryMs(breaker: number, nowMs: number): number {
    return Math.max(1, Math.ceil((this.untilMs[breaker] as number) - nowMs));
  }

  /** Notes the outcome of a command that was timed. */
  note(breaker: number, tookMs: number, failed: boolean, probe: boolean, nowMs: number): void {
    const state = this.states[breaker];
    // What was under way when the rest began tells nothing of how things are behind it.
    if (state === BreakerState.OPEN || (state === BreakerState.HALF_OPEN && !probe)) return;
    const slot = this.slotAt(breaker, nowMs);
    const sum = breaker * COUNTS;
    this.add(slot, sum, 0);
    if (tookMs > this.rule.slowMs) this.add(slot, sum, 1);
    if (failed) this.add(slot, sum, 2);
    const { minimumSamples, probes } = this.rule;
    const total = this.sums[sum] as number;
    if (total < (state === BreakerState.CLOSED ? minimumSamples : probes)) return;
    if ((this.sums[sum + 2] as number) >= this.rule.errorShare * total) {
      this.open(breaker, this.rule.openErrorMs, nowMs);
    } else if ((this.sums[sum + 1] as number) >= this.rule.slowShare * total) {
      this.open(breaker, this.rule.openSlowMs, nowMs);
    } else if (state === BreakerState.HALF_OPEN) {
      this.states[breaker] = BreakerState.CLOSED;
      this.tripped--;
      this.empty(breaker, nowMs);
    }
  }

  private open(breaker: number, restMs: number, nowMs: number): void {
    if (this.states[breaker] === BreakerState.CLOSED) this.tripped++;
    this.opened++;
    this.states[breaker] = BreakerState.OPEN;
    this.untilMs[breaker] = nowMs + restMs;
  }

  /** So many probes as there are outcomes missing. They have as long as the shorter rest to come back. */
  private handOut(breaker: number, nowMs: number): void {
    const { probes, openSlowMs, openErrorMs } = this.rule;
    this.probesLeft[breaker] = Math.max(1, probes - (this.sums[breaker * COUNTS] as number));
    this.untilMs[breaker] = nowMs + Math.min(openSlowMs, openErrorMs);
  }

  /** The slot for now, after those that have become too old were taken out of the sums. */
  private slotAt(breaker: number, nowMs: number): number {
    const { counts, sums, newest } = this;
    const now = Math.floor(nowMs / SLOT_MS);
    const behind = Math.min(SLOTS, now - (newest[breaker] as number));
    const first = breaker * SLOTS * COUNTS;
    for (let i = 0; i < behind; i++) {
      const slot = first + ((now - i) % SLOTS) * COUNTS;
      for (let kind = 0; kind < COUNTS; kind++) {
        const sum = breaker * COUNTS + kind;
        sums[sum] = (sums[sum] as number) - (counts[slot + kind] as number);
        counts[slot + kind] = 0;
      }
    }
    if (behind > 0) newest[breaker] = now;
    return first + (now % SLOTS) * COUNTS;
  }

  private add(slot: number, sum: number, kind: number): void {
    this.counts[slot + kind] = (this.counts[slot + kind] as number) + 1;
    this.sums[sum + kind] = (this.sums[sum + kind] as number) + 1;
  }

  private empty(breaker: number, nowMs: number): void {
    const first = breaker * SLOTS * COUNTS;
    this.counts.fill(0, first, first + SLOTS * COUNTS);
    this.sums.fill(0, breaker * COUNTS, (breaker + 1) * COUNTS);
    this.newest[breaker] = Math.floor(nowMs / SLOT_MS);
  }
}
