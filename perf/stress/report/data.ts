import { STAGES, type Stage, type StageReport, stagesBetween } from '../../../src/shard/stage-report.ts';
import type { StressResult } from '../result.ts';

/** Figures over time: one entry for each point of `seconds`. */
type Line = (number | null)[];

/** What the page draws of one run. Plain data: it travels as JSON inside the page. */
export interface RunPlots {
  readonly scenario: string;
  /** Commands a second, by the end of each period. */
  readonly rates: {
    readonly seconds: number[];
    readonly offered: Line;
    readonly accepted: Line;
    readonly refused: Line;
  };
  /** ms; null in a period without answers. */
  readonly latencies: {
    readonly seconds: number[];
    readonly p50: Line;
    readonly p99: Line;
    readonly p999: Line;
    readonly max: Line;
  };
  /** The latency, ms, that all but one in so many commands stay within: a plot with the tail spread out. Empty when nothing was answered. */
  readonly distribution: { readonly oneIn: number[]; readonly ms: number[] };
  /** Null when the server has no stage clocks. */
  readonly stages: StagePlots | null;
}

export interface StagePlots {
  readonly seconds: number[];
  /** Mean time in each stage, µs; null in a period without samples. */
  readonly meanUs: Readonly<Record<Stage, Line>>;
  /** Busy share of each thread, 0 to 1, and of storage what it waits for its store. */
  readonly threads: readonly { readonly name: string; readonly share: Line }[];
  /** For each worker, p99 of the wait in its queue in each period, µs; null without samples. */
  readonly queueUs: readonly { readonly worker: number; readonly p99: Line; readonly waiting: Line }[];
}

/** The tail is drawn up to one command in so many: p99.99. */
const LAST_ONE_IN = 10_000;
const STEPS_PER_DECADE = 60;

export function plotsOf(result: StressResult): RunPlots {
  const { scenario, series, periodMs } = result;
  const seconds = series.map(({ atMs }) => atMs / 1000);
  const rate = (of: 'offered' | 'accepted' | 'refused') =>
    series.map((point) => (point[of] * 1000) / periodMs);
  const latency = (of: 'p50' | 'p99' | 'p999' | 'max') =>
    series.map(({ latencyMs }) => (latencyMs === null ? null : latencyMs[of]));
  return {
    scenario,
    rates: { seconds, offered: rate('offered'), accepted: rate('accepted'), refused: rate('refused') },
    latencies: {
      ...{ seconds, p50: latency('p50'), p99: latency('p99') },
      ...{ p999: latency('p999'), max: latency('max') },
    },
    distribution: distributionOf(result.latencyHistogram),
    stages: result.stages.length < 2 ? null : stagePlots(result.stages),
  };
}

/**
 * Percentiles at even steps of the logarithm of the share that is slower, after HdrHistogram's plots.
 *
 * @param histogram [up to so many ms, commands], ascending
 */
export function distributionOf(histogram: StressResult['latencyHistogram']): RunPlots['distribution'] {
  const total = histogram.reduce((sum, [, count]) => sum + count, 0);
  const oneIn: number[] = [];
  const ms: number[] = [];
  if (total === 0) return { oneIn, ms };
  const steps = Math.round(Math.log10(LAST_ONE_IN) * STEPS_PER_DECADE);
  let seen = histogram[0][1];
  for (let step = 0, at = 0; step <= steps; step++) {
    const slower = 10 ** (-step / STEPS_PER_DECADE);
    // Rounded, so that the p90 of ten commands is the ninth of them.
    const rank = Math.ceil(Number((total * (1 - slower)).toFixed(6)));
    while (seen < rank) seen += histogram[++at][1];
    oneIn.push(1 / slower);
    ms.push(histogram[at][0]);
  }
  return { oneIn, ms };
}

function stagePlots(readings: readonly StageReport[]): StagePlots {
  const startMs = readings[0].atMs;
  const steps = readings.slice(1).map((reading, i) => stagesBetween(readings[i], reading));
  const threads = readings[readings.length - 1].threads;
  const workers = readings[readings.length - 1].workers;
  const busy = threads.map(({ name }) => ({
    name,
    share: steps.map((step) => step.threads.find((thread) => thread.name === name)?.busy ?? null),
  }));
  const waits = threads
    .filter(({ ioUs }) => ioUs !== undefined)
    .map(({ name, waitsFor }) => ({
      name: `${name}, waiting for the ${waitsFor ?? 'store'}`,
      share: steps.map((step) => step.threads.find((thread) => thread.name === name)?.io ?? null),
    }));
  const mean = (stage: Stage): Line =>
    steps.map(({ stages }) => (stages[stage].count === 0 ? null : stages[stage].meanUs));
  return {
    seconds: steps.map(({ toMs }) => (toMs - startMs) / 1000),
    meanUs: Object.fromEntries(STAGES.map((stage) => [stage, mean(stage)])) as Record<Stage, Line>,
    threads: [...busy, ...waits],
    queueUs: workers.map(({ worker }) => {
      const own = steps.map((step) => step.workers.find((other) => other.worker === worker));
      return {
        worker,
        p99: own.map((of) =>
          of === undefined || of.stages.queue.count === 0 ? null : of.stages.queue.p99Us,
        ),
        waiting: own.map((of) => of?.waitingCommands ?? null),
      };
    }),
  };
}
