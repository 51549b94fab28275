import type { RunHeadline, StressResult } from './result.ts';

/**
 * Several runs of one scenario as one result: the run with the median rate (the lower of the middle two), with the headlines of all, the
 * books of all added up, and the worst of what disturbed them.
 */
export function together(runs: readonly [StressResult, ...StressResult[]]): StressResult {
  const byRate = [...runs].sort((a, b) => a.acceptedPerSecond - b.acceptedPerSecond);
  const median = byRate[(byRate.length - 1) >> 1] as StressResult;
  const sum = (pick: (run: StressResult) => number): number => runs.reduce((all, run) => all + pick(run), 0);
  return {
    ...median,
    startedAt: runs[0].startedAt,
    oversold: sum(({ oversold }) => oversold),
    leaked: sum(({ leaked }) => leaked),
    lost: sum(({ lost }) => lost),
    problems: runs.flatMap(({ problems }) => problems),
    runs: runs.map(headline),
    steal: worst(runs.map(({ steal }) => steal)),
    others: worst(runs.map(({ others }) => others)),
    trusted: runs.every(({ trusted }) => trusted),
  };
}

function headline(run: StressResult): RunHeadline {
  const { offeredPerSecond, acceptedPerSecond, refusedPerSecond, unanswered, latencyMs } = run;
  return { offeredPerSecond, acceptedPerSecond, refusedPerSecond, unanswered, latencyMs };
}

function worst(shares: readonly (number | null)[]): number | null {
  return shares.includes(null) ? null : Math.max(...(shares as number[]));
}
