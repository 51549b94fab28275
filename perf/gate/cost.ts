import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectBooks } from '../books.ts';
import type { Load, LoadResult } from '../load/generator.ts';
import { stock } from '../load/stock.ts';
import { loadThreads } from '../load-threads.ts';
import { ServerProcess } from '../server-process.ts';
import { median, rounded, type Spread, spread } from '../stats.ts';
import {
  BOOKS_MS,
  blaming,
  DRAIN_MS,
  holdfastServer,
  PATTERNS,
  type Pattern,
  SALE_PATTERNS,
  STUCK_MS,
  sumByStatus,
  UNITS_PER_SKU,
} from '../wire.ts';

export interface GateCostOptions {
  /** Measured pairs of a run with the gate and one without. */
  readonly repeats: number;
  /** Measured time of one run. */
  readonly seconds: number;
  readonly skus: number;
  readonly ttlMs: number;
  readonly patterns: Readonly<Record<string, Pattern>>;
  /** Further options for `holdfast serve`. */
  readonly serve: readonly string[];
  readonly onProgress?: (text: string) => void;
}

/** Holds a second with every layer in force, of rules that refuse nothing, beside those of a server whose gate is off. */
export interface GateCost {
  /** Medians of the runs. */
  readonly withGate: number;
  readonly withoutGate: number;
  readonly spread: Spread;
  /** Median of the ratios of each run with the gate to the one without next to it. */
  readonly shareOfUngated: number;
  /** Commands of all runs that did not become holds. */
  readonly refusedBy: Readonly<Record<string, number>>;
  readonly unanswered: number;
}

/** By pattern. */
export interface GateResult {
  readonly patterns: Readonly<Record<string, GateCost>>;
  /** The least share of them all, which is held against the target. */
  readonly leastShareOfUngated: number;
}

/** Many SKUs and one, one command a frame and many. */
export const GATE_PATTERNS: Readonly<Record<string, Pattern>> = {
  onePerFrame: PATTERNS.onePerFrame,
  batched: PATTERNS.batched,
  hotOnePerFrame: { ...PATTERNS.onePerFrame, skus: 1 },
  hot: SALE_PATTERNS.hot,
};
const MOST = 2 ** 30;
/**
 * Every layer is in force, with the rules of a server with authentication, and counts what it sees; what it allows is more than a machine
 * can do.
 */
const GENEROUS = {
  admission: {
    holderRate: { perSecond: 1_000_000, burst: 1_000_000 },
    addressRate: { perSecond: 1_000_000, burst: 1_000_000 },
    skuWindow: { windowMs: 5000, limit: MOST },
    holderWindow: { windowMs: 10_000, limit: MOST },
    depth: {},
    breakers: {},
    concurrency: {},
  },
};

/** Runs two servers without a store under the same load, in turns. Rejects when one ends with wrong books. */
export async function benchGateCost(options: GateCostOptions): Promise<GateResult> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-gate-'));
  const pool = loadThreads(new URL('../load/generator.ts', import.meta.url));
  const servers: ServerProcess[] = [];
  try {
    const config = join(directory, 'rules.json');
    writeFileSync(config, JSON.stringify(GENEROUS));
    const memory = ['--store', 'none', ...options.serve];
    for (const own of [
      ['--config', config],
      ['--gate', 'off'],
    ]) {
      servers.push(await ServerProcess.start('Holdfast server', holdfastServer(...memory, ...own)));
    }
    const [gated, ungated] = await Promise.all(servers.map(({ port }) => port));
    const failure = Promise.race(servers.map((server) => server.failure));
    failure.catch(() => {});
    const run = (load: Load) => {
      const signal = AbortSignal.timeout(Math.ceil(load.warmUpMs + load.measureMs + load.drainMs) + STUCK_MS);
      return blaming(failure, pool.run(load, { signal }) as Promise<LoadResult>);
    };
    for (const port of [gated, ungated]) await blaming(failure, stock(port, options.skus, UNITS_PER_SKU));
    const patterns: Record<string, GateCost> = {};
    for (const [name, pattern] of Object.entries(options.patterns)) {
      patterns[name] = await compare(name, pattern, options, run, gated, ungated);
    }
    const books = { total: options.skus * UNITS_PER_SKU, held: 0 };
    for (const port of [gated, ungated]) await expectBooks(port, books, options.ttlMs + BOOKS_MS);
    for (const server of servers) await server.stop();
    const shares = Object.values(patterns).map(({ shareOfUngated }) => shareOfUngated);
    return { patterns, leastShareOfUngated: Math.min(...shares) };
  } finally {
    await pool.destroy();
    await Promise.allSettled(servers.map((server) => server.stop()));
    rmSync(directory, { recursive: true, force: true });
  }
}

async function compare(
  name: string,
  pattern: Pattern,
  options: GateCostOptions,
  run: (load: Load) => Promise<LoadResult>,
  gated: number,
  ungated: number,
): Promise<GateCost> {
  const { repeats, seconds, ttlMs } = options;
  const { skus = options.skus, ...shape } = pattern;
  const times = { warmUpMs: 2 * ttlMs + seconds * 150, measureMs: seconds * 1000, drainMs: DRAIN_MS };
  const load: Omit<Load, 'port'> = { ...shape, skus, ttlMs, ...times, answers: 'replies' };
  const runs: Record<'gated' | 'ungated', LoadResult[]> = { gated: [], ungated: [] };
  // The first pair only warms both servers up. Who goes first changes, so that a machine that gets slower or faster favours nobody.
  for (let pair = 0; pair <= repeats; pair++) {
    options.onProgress?.(`gate ${name}: ${pair === 0 ? 'warm-up' : `pair ${pair} of ${repeats}`}`);
    const sides = [
      ['gated', gated],
      ['ungated', ungated],
    ] as const;
    for (const [side, port] of pair % 2 === 0 ? sides : [...sides].reverse()) {
      const result = await run({ ...load, port });
      if (pair > 0) runs[side].push(result);
    }
  }
  const rates = (results: readonly LoadResult[]) => results.map(({ commandsPerSecond }) => commandsPerSecond);
  const [own, other] = [rates(runs.gated), rates(runs.ungated)];
  const all = [...runs.gated, ...runs.ungated];
  return {
    withGate: Math.round(median(own)),
    withoutGate: Math.round(median(other)),
    spread: spread(own),
    shareOfUngated: rounded(median(own.map((rate, i) => rate / (other[i] as number)))),
    refusedBy: sumByStatus(all),
    unanswered: all.reduce((sum, { unanswered }) => sum + unanswered, 0),
  };
}
