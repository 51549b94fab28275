import type { ConcurrencyRule } from './rules.ts';

/** Fewer waits than this say nothing about their hundredth part. They are kept until there are so many. */
const LEAST_SAMPLES = 100;
/** Shares that may have waited longer than p95Ms and p99Ms. */
const BEYOND_P95 = 0.05;
const BEYOND_P99 = 0.01;
/** A burst makes a queue that drains by itself; one that has stood for so many readings in a row is there to stay. */
const PATIENCE = 3;
/** So many readings after a cut, the next one needs no patience. */
const ALERT = 10;
const CUT = 0.7;
const GROWTH = 4;
/** The best rate is forgotten by so much each reading: by half in some three seconds. */
const FADE = 0.98;
/** Weight of the newest reading of the time that commands take besides their wait. */
const WEIGHT = 0.2;

/**
 * How many commands may be under way to one worker, so that they wait no longer in its queue than the rule says. Nobody configures what a
 * server can do; it shows in the queue. Additive increase, multiplicative decrease, as TCP finds its share of a link
 * (Jacobson, Congestion Avoidance and Control, 1988); growth by the limit's square root is that of Netflix' concurrency-limits, and
 * telling a standing queue from a burst by how long it stands is CoDel's (Nichols and Jacobson, Controlling Queue Delay, 2012).
 *
 * Only waits in the queue count. A command that waits for the disk is under way as well, but fewer commands make no disk
 * faster: a limit that went by the whole time would starve the group commit of a slow one. A store that takes too little says so itself:
 * workers refuse what its ring has no room for, which counts as a queue that stands.
 *
 * A wait that fewer commands do not shorten is none of the queue: a worker that gets no core, since other threads have it. So the limit is
 * never less than what the worker, at the best rate of the last seconds, finishes within the wait that is allowed and the time that
 * the rest takes. Less would have it idle. (Bandwidth times delay, by a fading maximum: BBR, Cardwell et al., 2016.)
 */
export class ConcurrencyLimit {
  /** Most commands under way. */
  limit: number;
  private rule: ConcurrencyRule;
  private samples = 0;
  private beyondP95 = 0;
  private beyondP99 = 0;
  private restMs = 0;
  /** Commands a second at best; and what commands take besides their wait, ms. Both are moving. */
  private bestPerSecond = 0;
  private meanRestMs = 0;
  /** Readings in a row that were bad, and readings since the last cut. */
  private bad = 0;
  private sinceCut = ALERT;

  constructor(rule: ConcurrencyRule) {
    this.rule = rule;
    this.limit = rule.max;
  }

  /** Goes by other bounds from now on, and begins with what it has found so far. */
  change(rule: ConcurrencyRule): void {
    // A limit that was never cut has found nothing.
    this.limit = this.limit === this.rule.max ? rule.max : clamp(this.limit, rule);
    this.rule = rule;
  }

  /** A command that was timed has waited so long for its worker, and taken so long in all. */
  waited(ms: number, tookMs: number): void {
    this.samples++;
    this.restMs += tookMs - ms;
    if (ms > this.rule.p95Ms) this.beyondP95++;
    if (ms > this.rule.p99Ms) this.beyondP99++;
  }

  /**
   * Once a tick.
   *
   * @param most the most that were under way at once since the last one
   * @param perSecond how many were answered since then
   * @param storeFull whether a worker refused some since then, because the store does not keep up
   */
  tick(most: number, perSecond: number, storeFull: boolean): void {
    const { samples, rule } = this;
    this.sinceCut++;
    this.bestPerSecond = Math.max(perSecond, this.bestPerSecond * FADE);
    if (samples < LEAST_SAMPLES) {
      // Where little goes on, what was found under load may be forgotten. A worker that answers nothing gets no more.
      if (most < this.limit / 2) this.grow();
      return;
    }
    const waits = this.beyondP95 > samples * BEYOND_P95 || this.beyondP99 > samples * BEYOND_P99;
    const stands = waits || storeFull;
    this.meanRestMs += WEIGHT * (this.restMs / samples - this.meanRestMs);
    this.samples = 0;
    this.restMs = 0;
    this.beyondP95 = 0;
    this.beyondP99 = 0;
    this.bad = stands ? this.bad + 1 : 0;
    if (!stands) {
      this.grow();
    } else if (this.bad >= PATIENCE || this.sinceCut <= ALERT) {
      // A full store has enough to do with what is on its way to the disk.
      const busyMs = (storeFull ? 0 : rule.p95Ms) + this.meanRestMs;
      const least = Math.ceil((this.bestPerSecond * busyMs) / 1000);
      // From what there was: a limit far above it would take several cuts to be felt.
      this.limit = clamp(Math.max(least, Math.floor(Math.min(this.limit, most) * CUT)), rule);
      this.sinceCut = 0;
    }
  }

  private grow(): void {
    this.limit = clamp(this.limit + Math.ceil(GROWTH * Math.sqrt(this.limit)), this.rule);
  }
}

function clamp(limit: number, { min, max }: ConcurrencyRule): number {
  return Math.min(max, Math.max(min, limit));
}
