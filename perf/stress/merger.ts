import { decodeFromCompressedBase64, type Histogram, type JsHistogram } from 'hdr-histogram-js';
import { STATUS_COUNT, Status, statusName } from '../../protocol/status.ts';
import { rounded } from '../stats.ts';
import { newHistogram } from './latencies.ts';
import type { Period } from './meter.ts';
import type { LatencyMs, SeriesPoint } from './result.ts';
import type { Outcome } from './traffic.ts';

/** Steps of the distribution for plots: each so much longer than the one before. */
const STEP = 1.05;
const FIRST_STEP_US = 10;
const NOTHING_ANSWERED: LatencyMs = { p50: 0, p90: 0, p99: 0, p999: 0, p9999: 0, max: 0 };

/** Puts together what the threads of a run tell. */
export class Merger {
  readonly series: SeriesPoint[] = [];
  /** Called when all threads have told of a period. */
  onPoint: (point: SeriesPoint) => void = () => {};
  /** Periods at the beginning that are in the series only. */
  private readonly warmUps: number;
  private measuredFromMs = 0;
  private readonly counted = { offered: 0, accepted: 0, refused: 0, behindEnd: 0 };
  /** Of each thread, what was not put together yet. */
  private readonly told: Period[][];
  private readonly all = newHistogram();
  private readonly accepted = newHistogram();

  constructor(threads: number, periodMs: number, warmUpMs: number) {
    this.warmUps = Math.round(warmUpMs / periodMs);
    this.told = Array.from({ length: threads }, () => []);
  }

  take(thread: number, period: Period): void {
    this.told[thread].push(period);
    while (this.told.every(({ length }) => length > 0)) {
      this.add(this.told.map((periods) => periods.shift() as Period));
    }
  }

  /** Rates and latencies behind the warm-up; what was unanswered, refused and counted in the whole run. */
  headline(outcomes: readonly Outcome[]) {
    // Threads may have told a period more or less.
    for (const rest of this.told.splice(0).flat()) {
      this.count([rest], decode(rest.acceptedUs), decode(rest.refusedUs));
    }
    const byStatus = (status: number): number =>
      outcomes.reduce((sum, outcome) => sum + (outcome.byStatus[status] as number), 0);
    const refusedBy: Record<string, number> = {};
    for (let status = Status.OK + 1; status < STATUS_COUNT; status++) {
      if (byStatus(status) > 0) refusedBy[statusName(status)] = byStatus(status);
    }
    const counts: Record<string, number> = {};
    for (const outcome of outcomes) {
      for (const [name, count] of Object.entries(outcome.counts)) counts[name] = (counts[name] ?? 0) + count;
    }
    const tookMs = Math.max(...outcomes.map((outcome) => outcome.tookMs));
    // A thread that comes to its turn too late may see the end of the warm-up behind the end of the run: nothing was measured then.
    const seconds = Math.max(0, tookMs - this.measuredFromMs) / 1000;
    const perSecond = (count: number): number => (seconds === 0 ? 0 : Math.round(count / seconds));
    const { offered, accepted, refused, behindEnd } = this.counted;
    if (behindEnd > 0) counts.answeredBehindTheEnd = behindEnd;
    return {
      offeredPerSecond: perSecond(offered),
      acceptedPerSecond: perSecond(accepted),
      refusedPerSecond: perSecond(refused),
      unanswered: outcomes.reduce((sum, outcome) => sum + outcome.unanswered, 0),
      latencyMs: latencyOf(this.all) ?? NOTHING_ANSWERED,
      acceptedLatencyMs: latencyOf(this.accepted),
      seconds: rounded(seconds),
      refusedBy,
      counts,
    };
  }

  /** The distribution of all latencies, [up to so many ms, commands]. */
  distribution(): [number, number][] {
    const found: [number, number][] = [];
    let upperUs = FIRST_STEP_US;
    const values = (this.all as JsHistogram).recordedValuesIterator;
    values.reset();
    while (values.hasNext()) {
      const { valueIteratedTo, countAddedInThisIterationStep } = values.next();
      while (upperUs < valueIteratedTo) upperUs = Math.ceil(upperUs * STEP);
      const last = found.at(-1);
      if (last !== undefined && last[0] === upperUs / 1000) last[1] += countAddedInThisIterationStep;
      else found.push([upperUs / 1000, countAddedInThisIterationStep]);
    }
    return found;
  }

  private add(periods: readonly Period[]): void {
    const sum = (pick: (period: Period) => number): number =>
      periods.reduce((total, period) => total + pick(period), 0);
    const [accepted, refused] = [newHistogram(), newHistogram()];
    for (const { acceptedUs, refusedUs } of periods) {
      accepted.add(decode(acceptedUs));
      refused.add(decode(refusedUs));
    }
    const counted = this.series.length >= this.warmUps;
    if (counted) this.count(periods, accepted, refused);
    accepted.add(refused);
    const point: SeriesPoint = {
      atMs: Math.max(...periods.map(({ endMs }) => endMs)),
      offered: sum((period) => period.offered),
      accepted: sum((period) => period.accepted),
      refused: sum((period) => period.refused),
      waiting: sum((period) => period.waiting),
      latencyMs: latencyOf(accepted),
    };
    this.series.push(point);
    if (this.series.length === this.warmUps) this.measuredFromMs = point.atMs;
    this.onPoint(point);
  }

  private count(periods: readonly Period[], acceptedUs: Histogram, refusedUs: Histogram): void {
    this.accepted.add(acceptedUs);
    this.all.add(acceptedUs);
    this.all.add(refusedUs);
    for (const { offered, accepted, refused, behindEnd } of periods) {
      if (behindEnd) {
        this.counted.behindEnd += accepted + refused;
      } else {
        this.counted.offered += offered;
        this.counted.accepted += accepted;
        this.counted.refused += refused;
      }
    }
  }
}

function decode(histogram: string): Histogram {
  return decodeFromCompressedBase64(histogram, 32, false);
}

function latencyOf(histogram: Histogram): LatencyMs | null {
  if (histogram.totalCount === 0) return null;
  // A percentile is the upper end of a bucket, the largest value is itself.
  const at = (percentile: number): number =>
    Math.min(histogram.getValueAtPercentile(percentile), histogram.maxValue) / 1000;
  const [p50, p90, p99, p999, p9999] = [50, 90, 99, 99.9, 99.99].map(at) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { p50, p90, p99, p999, p9999, max: histogram.maxValue / 1000 };
}
