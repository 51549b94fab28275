import { rounded } from '../stats.ts';
import type { ScaleRun } from './measure.ts';
import {
  type Cost,
  type Costs,
  commandUs,
  costOf,
  type Limit,
  type Prediction,
  predict,
  rateOf,
  type Turns,
  turnsOf,
  usOf,
} from './model.ts';

/** What the measured costs say of machines that are not here. */
export interface Outlook {
  readonly costs: Costs;
  readonly generator: Cost;
  readonly checks: readonly Check[];
  /** For the smallest and the largest frames that were measured. */
  readonly frames: readonly FrameOutlook[];
}

export interface FrameOutlook {
  readonly commandsPerFrame: number;
  readonly cores: readonly Prediction[];
  readonly turns: Turns;
}

/** A measurement that the costs were not made from, beside what they predict for it on this machine. */
export interface Check {
  readonly workers: number;
  readonly commandsPerFrame: number;
  readonly predictedPerSecond: number;
  readonly limit: Limit;
  readonly measuredPerSecond: number;
  /** Predicted over measured, less 1. */
  readonly error: number;
}

/** Looked at for where a single thread takes over. */
const MOST_CORES = 64;

/**
 * Takes the costs from the runs with the first number of workers, in the smallest and the largest frames, and predicts from them: the other
 * runs, to be held against what was measured, and machines with `cores` cores whose load comes from elsewhere.
 *
 * @param here cores of this machine, and threads of its load generator
 */
export function outlookOf(
  runs: readonly ScaleRun[],
  cores: readonly number[],
  here: { readonly cores: number; readonly generators: number },
): Outlook {
  const firsts = runs
    .filter(({ workers }) => workers === runs[0].workers)
    .sort((a, b) => a.commandsPerFrame - b.commandsPerFrame);
  const [small, large] = [firsts[0], firsts.at(-1) as ScaleRun];
  const cost = (thread: keyof ScaleRun['us']): Cost => {
    const of = ({ commandsPerFrame, us }: ScaleRun) => ({ commandsPerFrame, us: us[thread] });
    const { perCommandUs, perFrameUs } = costOf(of(small), of(large));
    return { perCommandUs: rounded(perCommandUs), perFrameUs: rounded(perFrameUs) };
  };
  const costs: Costs = { front: cost('front'), shard: cost('shard'), storage: cost('storage') };
  const generator = cost('generator');
  const check = ({ workers, commandsPerFrame, commandsPerSecond }: ScaleRun): Check => {
    const us = usOf(costs, commandsPerFrame);
    const beside = { us: commandUs(generator, commandsPerFrame), threads: here.generators };
    const { limit, ...rate } = rateOf(us, { cores: here.cores, fronts: 1, workers }, beside);
    return {
      workers,
      commandsPerFrame,
      predictedPerSecond: Math.round(rate.commandsPerSecond),
      limit,
      measuredPerSecond: commandsPerSecond,
      error: rounded(rate.commandsPerSecond / commandsPerSecond - 1),
    };
  };
  return {
    costs,
    generator,
    checks: runs.filter((run) => run !== small && run !== large).map(check),
    frames: [small, large].map(({ commandsPerFrame }) => ({
      commandsPerFrame,
      cores: cores.map((count) => predict(costs, commandsPerFrame, count)),
      turns: turnsOf(costs, commandsPerFrame, MOST_CORES),
    })),
  };
}
