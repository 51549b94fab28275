import { readFileSync } from 'node:fs';
import type { Pass } from '../load/pass.ts';
import { expectDescriptors, tailored, type Wishes } from './options.ts';
import { together } from './repeats.ts';
import type { StressResult } from './result.ts';
import { type LiveState, runScenario } from './run.ts';
import type { Scenario } from './scenario.ts';
import { findTarget, startTarget } from './target.ts';

export interface StressOptions {
  readonly wishes: Wishes;
  /** Runs of each scenario. */
  readonly repeats: number;
  /** Generator threads. */
  readonly threads: number;
  readonly seed: number;
  /** Port of a server that runs; without one, every run starts its own, with these options for `holdfast serve`. */
  readonly port: number | undefined;
  readonly serve: readonly string[];
  /** Into a server that runs. */
  readonly pass: Pass;
  /** Of this package. */
  readonly version: string;
  readonly onRun?: (scenario: Scenario, run: number) => void;
  readonly onLive?: (state: LiveState) => void;
}

/** Servers of runs have few segments' worth of journal in them, and SKUs of every run have names of their own on a server that goes on. */
const PREFIX_LETTERS = 5;

/** Runs one scenario as often as asked for, each time on a fresh server unless one was named. Throws WishError before it starts anything. */
export async function stress(scenario: Scenario, options: StressOptions): Promise<StressResult> {
  const wanted = runnable(scenario, options.wishes);
  const runs: StressResult[] = [];
  for (let run = 1; run <= options.repeats; run++) {
    options.onRun?.(wanted, run);
    runs.push(await runOnce(wanted, options));
  }
  return together(runs as [StressResult, ...StressResult[]]);
}

/** The scenario as it will run. Throws WishError when it cannot be run like that on this machine. */
export function runnable(scenario: Scenario, wishes: Wishes): Scenario {
  const wanted = tailored(scenario, wishes);
  expectDescriptors(wanted);
  return wanted;
}

async function runOnce(scenario: Scenario, options: StressOptions): Promise<StressResult> {
  const { port, pass, serve, threads, seed, version, onLive } = options;
  const target = port === undefined ? await startTarget(serve) : await findTarget(port, pass);
  try {
    const skuPrefix = port === undefined ? 'sku-' : `st${ownLetters()}-`;
    const running = runScenario({
      scenario,
      target,
      threads,
      seed,
      skuPrefix,
      version,
      ...(onLive && { onLive }),
    });
    return await Promise.race([running, target.failure]);
  } finally {
    await target.stop();
  }
}

/** Letters that hardly any other run has, so that no SKU of an earlier run on the same server is met again. */
function ownLetters(): string {
  return Math.floor(Math.random() * 36 ** PREFIX_LETTERS)
    .toString(36)
    .padStart(PREFIX_LETTERS, '0');
}

/** Results from a file that `--json` wrote, one a line. Throws when it has none. */
export function readResults(path: string): StressResult[] {
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const results = lines.map((line) => JSON.parse(line) as StressResult);
  const isResult = ({ scenario, runs, series }: StressResult) =>
    typeof scenario === 'string' && Array.isArray(runs) && Array.isArray(series);
  if (results.length === 0 || !results.every(isResult))
    throw new Error('no results of holdfast stress in it');
  return results;
}
