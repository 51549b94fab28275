import type { LatencyMs, RunHeadline, SeriesPoint, StressResult } from './result.ts';

export interface Change {
  readonly measure: string;
  readonly unit: 'per second' | 'ms' | 'commands';
  /** Null where there is none: the latency of a run in which nothing was answered. */
  readonly before: number | null;
  readonly after: number | null;
  /** Of the value before; null where that is 0, or either is not there. */
  readonly changePercent: number | null;
  /** Changes up to this say nothing; null where there are too few readings to tell. */
  readonly noisePercent: number | null;
  readonly verdict: 'better' | 'worse' | 'within noise' | 'unknown';
}

export interface Comparison {
  readonly scenario: string;
  readonly changes: readonly Change[];
  /** What makes the comparison weaker than it looks. */
  readonly warnings: readonly string[];
}

/** Two results are not of the same load. The message is for the user. */
export class NotComparableError extends Error {}

interface Measure {
  readonly name: string;
  readonly unit: Change['unit'];
  readonly higherIsBetter: boolean;
  of(run: RunHeadline): number | null;
  /** The same in each period of a single run; undefined where a period does not tell. */
  readonly inPeriods?: (result: StressResult) => number[];
}

const LATENCIES: readonly (keyof LatencyMs)[] = ['p50', 'p99', 'p999'];
const MEASURES: readonly Measure[] = [
  {
    name: 'answered',
    unit: 'per second',
    higherIsBetter: true,
    of: ({ acceptedPerSecond, refusedPerSecond }) => acceptedPerSecond + refusedPerSecond,
    inPeriods: (result) => rates(result, ({ accepted, refused }) => accepted + refused),
  },
  {
    name: 'accepted',
    unit: 'per second',
    higherIsBetter: true,
    of: ({ acceptedPerSecond }) => acceptedPerSecond,
    inPeriods: (result) => rates(result, ({ accepted }) => accepted),
  },
  { name: 'unanswered', unit: 'commands', higherIsBetter: false, of: ({ unanswered }) => unanswered },
  ...LATENCIES.map(
    (name): Measure => ({
      name: name === 'p999' ? 'p99.9' : name,
      unit: 'ms',
      higherIsBetter: false,
      of: ({ latencyMs }) => (latencyMs.max > 0 ? latencyMs[name] : null),
      inPeriods: (result) =>
        measured(result).flatMap(({ point: { latencyMs } }) => (latencyMs === null ? [] : [latencyMs[name]])),
    }),
  ),
];

/** What makes the load: results that differ in any of it are not compared. */
const LOAD = [
  'scenario',
  'mode',
  'commandsPerFrame',
  'connections',
  'framesInFlight',
  'skus',
  'ttlMs',
] as const;
/** What may be the reason of a change, or what is to be compared. */
const CONDITIONS = ['workers', 'fronts', 'ack', 'threads'] as const;
/** Runs that a side needs for its own spread to be the noise. */
const ENOUGH_RUNS = 2;
/** Blocks of periods that stand for runs where there was one only: neighbours are too alike to be readings of their own. */
const BLOCKS = 6;
/** No machine is so steady that less than this would mean anything. */
const LEAST_NOISE_PERCENT = 1;
/** Two-sided 95 % of Student's t, by degrees of freedom from 1 on. */
const STUDENT_T = [12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];
const NORMAL = 1.96;

/**
 * What got better or worse from one result to another of the same scenario. A change counts when it is larger than what two means of so
 * many readings differ by at most in 95 of 100 cases, if nothing has changed (Student's t, pooled degrees of freedom). The readings are the
 * repeats; of a single run, blocks of its series. Throws NotComparableError for different scenarios or shapes of load.
 */
export function compare(before: StressResult, after: StressResult): Comparison {
  for (const key of LOAD) {
    if (before[key] === after[key]) continue;
    throw new NotComparableError(
      `The results are not of the same load: ${key} is ${before[key]} in the first and ${after[key]} in the second.`,
    );
  }
  return {
    scenario: before.scenario,
    changes: MEASURES.map((measure) => changeOf(measure, before, after)),
    warnings: warningsAbout(before, after),
  };
}

function changeOf(measure: Measure, before: StressResult, after: StressResult): Change {
  const [was, is] = [measure.of(before), measure.of(after)];
  const named = { measure: measure.name, unit: measure.unit, before: was, after: is };
  if (was === null || is === null) {
    return { ...named, changePercent: null, noisePercent: null, verdict: 'unknown' };
  }
  const noise = noiseOf(readings(measure, before), readings(measure, after));
  const changePercent = was === 0 ? (is === 0 ? 0 : null) : (100 * (is - was)) / was;
  const noisePercent =
    noise === null || was === 0 ? null : Math.max(LEAST_NOISE_PERCENT, (100 * noise) / was);
  return {
    ...named,
    changePercent: changePercent === null ? null : round(changePercent),
    noisePercent: noisePercent === null ? null : round(noisePercent),
    verdict: verdictOn(measure, was, is, changePercent, noisePercent),
  };
}

function verdictOn(
  { higherIsBetter }: Measure,
  was: number,
  is: number,
  changePercent: number | null,
  noisePercent: number | null,
): Change['verdict'] {
  if (is === was) return 'within noise';
  const better = is > was === higherIsBetter ? 'better' : 'worse';
  // Something where there was nothing, or nothing any more, needs no spread to be noticed.
  if (changePercent === null || is === 0) return better;
  if (noisePercent === null) return 'unknown';
  return Math.abs(changePercent) > noisePercent ? better : 'within noise';
}

/** What a value was read as, several times over. */
function readings(measure: Measure, result: StressResult): number[] {
  if (result.runs.length >= ENOUGH_RUNS) {
    return result.runs.map((run) => measure.of(run)).filter((value) => value !== null);
  }
  return blocks(measure.inPeriods?.(result) ?? []);
}

/** Largest difference of two means that chance explains; null with fewer than two readings on a side. */
function noiseOf(before: readonly number[], after: readonly number[]): number | null {
  if (before.length < 2 || after.length < 2) return null;
  const freedom = before.length + after.length - 2;
  const t = STUDENT_T[freedom - 1] ?? NORMAL;
  return t * Math.sqrt(variance(before) / before.length + variance(after) / after.length);
}

function variance(values: readonly number[]): number {
  const mean = average(values);
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function blocks(values: readonly number[]): number[] {
  if (values.length < BLOCKS) return [...values];
  return Array.from({ length: BLOCKS }, (_, i) =>
    average(
      values.slice(Math.floor((i * values.length) / BLOCKS), Math.floor(((i + 1) * values.length) / BLOCKS)),
    ),
  );
}

function rates(result: StressResult, pick: (point: SeriesPoint) => number): number[] {
  return measured(result).map(({ point, tookMs }) => (pick(point) * 1000) / tookMs);
}

/** The periods behind the warm-up in which commands were offered, without the short one at the end. */
function measured({ series, warmUpMs, periodMs }: StressResult): { point: SeriesPoint; tookMs: number }[] {
  return series
    .map((point, i) => ({ point, tookMs: point.atMs - (series[i - 1]?.atMs ?? 0) }))
    .filter(
      ({ point, tookMs }) =>
        point.atMs > warmUpMs + periodMs / 2 && point.offered > 0 && tookMs > periodMs / 2,
    );
}

function warningsAbout(before: StressResult, after: StressResult): string[] {
  const warnings: string[] = [];
  for (const [which, { trusted, steal, others }] of [
    ['first', before],
    ['second', after],
  ] as const) {
    if (trusted) continue;
    const share = (percent: number | null) => (percent === null ? 'unknown' : `${percent} %`);
    warnings.push(
      `The ${which} result is not to be trusted: steal was ${share(steal)}, other processes took ${share(others)} of the CPU.`,
    );
  }
  for (const key of ['cpu', 'cores', 'memoryGiB', 'kernel', 'node'] as const) {
    if (before.machine[key] === after.machine[key]) continue;
    warnings.push(`Different machines: ${key} was ${before.machine[key]} and is ${after.machine[key]}.`);
  }
  for (const key of CONDITIONS) {
    if (before[key] !== after[key]) warnings.push(`${key} was ${before[key]} and is ${after[key]}.`);
  }
  const [kindBefore, kindAfter] = [before, after].map(({ store }) => store?.split(':', 1)[0] ?? 'none');
  if (kindBefore !== kindAfter) warnings.push(`store was ${kindBefore} and is ${kindAfter}.`);
  if (before.mode === 'open' && differs(before.offeredPerSecond, after.offeredPerSecond, 0.05)) {
    warnings.push(
      `Different rates were offered: ${before.offeredPerSecond} and ${after.offeredPerSecond} a second.`,
    );
  }
  if (differs(before.seconds, after.seconds, 0.2))
    warnings.push(`The runs took ${before.seconds} s and ${after.seconds} s.`);
  if (Math.min(before.runs.length, after.runs.length) < ENOUGH_RUNS) {
    warnings.push(
      'The noise is that within single runs; --repeats 5 also shows what differs from run to run.',
    );
  }
  for (const [which, { latencyMs, oversold, leaked, lost }] of [
    ['first', before],
    ['second', after],
  ] as const) {
    if (latencyMs.max === 0) warnings.push(`Nothing was answered in the ${which} result.`);
    if (oversold + leaked + lost > 0) warnings.push(`The books of the ${which} result are wrong.`);
  }
  return warnings;
}

function differs(a: number, b: number, share: number): boolean {
  return Math.abs(a - b) > share * Math.max(a, b);
}

function round(percent: number): number {
  return Math.round(percent * 10) / 10;
}
