import { extname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Status } from '../protocol/status.ts';
import { type Books, expectBooks } from './books.ts';
import type { Latency, Load, LoadResult } from './load/generator.ts';
import { stock } from './load/stock.ts';
import { loadThreads } from './load-threads.ts';
import { type Watched, watched } from './machine.ts';
import { ServerProcess } from './server-process.ts';
import { median, rounded, type Spread, spread } from './stats.ts';

/** The shapes of load. */
export const PATTERNS = {
  /** One command a frame, pipelined. */
  onePerFrame: { connections: 100, framesInFlight: 50, commandsPerFrame: 1, framesPerWrite: 50 },
  /** Many commands a frame. */
  batched: { connections: 8, framesInFlight: 2, commandsPerFrame: 400, framesPerWrite: 2 },
  /** Ask and wait. */
  oneInFlight: { connections: 100, framesInFlight: 1, commandsPerFrame: 1, framesPerWrite: 1 },
} as const satisfies Record<string, Pattern>;

/** Shapes of a sale, many commands a frame: everybody wants one SKU, and nobody gets anything since it is sold out. */
export const SALE_PATTERNS = {
  hot: { ...PATTERNS.batched, skus: 1 },
  flash: { ...PATTERNS.batched, skus: 1, soldOut: true },
} as const satisfies Record<string, Pattern>;

export type PatternName = keyof typeof PATTERNS | keyof typeof SALE_PATTERNS;

export interface Pattern
  extends Pick<Load, 'connections' | 'framesInFlight' | 'commandsPerFrame' | 'framesPerWrite'> {
  /** In place of as many as the run has. */
  readonly skus?: number;
  /** Whether the SKU has no unit, and the answers that count are SOLD_OUT. */
  readonly soldOut?: boolean;
}

export interface WireOptions {
  /** Pairs of an echo run and a Holdfast run. */
  readonly repeats: number;
  /** Measured time of one run. */
  readonly seconds: number;
  readonly skus: number;
  readonly ttlMs: number;
  readonly patterns: Readonly<Partial<Record<PatternName, Pattern>>>;
  /** Patterns that are also run with an idempotency key on every hold, next to the run without. */
  readonly keyed?: readonly PatternName[];
  /** Arguments to node that start a Holdfast server on a free port. */
  readonly server: readonly string[];
  readonly onProgress?: (text: string) => void;
}

export interface Rate {
  /** Median of the runs. */
  readonly commandsPerSecond: number;
  readonly spread: Spread;
  /** Round trips in µs, medians of the runs; null where commands are pipelined. */
  readonly latency: Latency | null;
}

export interface HoldfastRate extends Rate {
  readonly load: Pattern;
  /** Median of the ratios of each Holdfast run to the echo run just before it. */
  readonly shareOfEcho: number;
  /** The same load with an idempotency key on every hold, if it was run: its rate, and the median of its ratios to the run before it. */
  readonly keyed?: KeyedRate;
  /** Commands of all runs that did not become holds, by status, and those that no answer came to. */
  readonly refused: number;
  readonly refusedBy: Readonly<Record<string, number>>;
  readonly unanswered: number;
}

export interface KeyedRate extends Rate {
  readonly shareOfKeyless: number;
}

export interface WireResult {
  readonly echo: Readonly<Partial<Record<PatternName, Rate & Watched>>>;
  readonly wire: Readonly<Partial<Record<PatternName, HoldfastRate & Watched>>>;
  readonly books: Books;
}

/** As scripts/holdfast has it; the echo server gets the same. */
const NODE_FLAGS = [
  '--max-semi-space-size=64',
  '--no-memory-reducer',
  '--max-inlined-bytecode-size=2000',
  '--max-inlined-bytecode-size-cumulative=6000',
];

/** Arguments to node that start `holdfast serve` on a free port, with further options, of which the last of a kind counts. */
export function holdfastServer(...options: readonly string[]): string[] {
  const main = fileURLToPath(new URL(`../src/cli/main${extname(import.meta.filename)}`, import.meta.url));
  return [...NODE_FLAGS, main, 'serve', '--port', '0', '--json', ...options];
}

/** Options for the engine alone, which is measured with all that comes; what the gate costs, and what it does with too much, are parts of their own. */
export const ENGINE: readonly string[] = ['--gate', 'off'];

/** A server that keeps everything in memory: nothing is written. */
export const HOLDFAST_SERVER = holdfastServer('--store', 'none');
export const ECHO_SERVER = [...NODE_FLAGS, fileURLToPath(new URL('./echo-server.ts', import.meta.url))];

/** So much of every SKU that it is never sold out, and few enough for the sums to stay exact. */
export const UNITS_PER_SKU = 1_000_000_000;
export const DRAIN_MS = 20_000;
/** After the last deadline everything has to be back within this, however late the expiry. */
export const BOOKS_MS = 6_000;
/** A load that takes so much longer than it was to take is given up. */
export const STUCK_MS = 60_000;
/** A server that broke its connections has so long to be seen ending. */
const BLAME_MS = 10_000;

/**
 * Throughput over real sockets: Holdfast and a plain echo server under the same load, in turns. Both servers and the
 * load generator (a pool thread) share the machine. Rejects when a server fails or stops other than asked, or when
 * Holdfast's books are not what they must be after the last hold has ended.
 */
export async function benchWire(options: WireOptions): Promise<WireResult> {
  const echo = await ServerProcess.start('echo server', ECHO_SERVER);
  let holdfast: ServerProcess | undefined;
  const pool = loadThreads(new URL('./load/generator.ts', import.meta.url));
  try {
    holdfast = await ServerProcess.start('Holdfast server', options.server);
    const [echoPort, holdfastPort] = await Promise.all([echo.port, holdfast.port]);
    const failure = Promise.race([echo.failure, holdfast.failure]);
    failure.catch(() => {});
    const run = (load: Load) => {
      const signal = AbortSignal.timeout(Math.ceil(load.warmUpMs + load.measureMs + load.drainMs) + STUCK_MS);
      return blaming(failure, pool.run(load, { signal }) as Promise<LoadResult>);
    };
    await blaming(failure, stock(holdfastPort, options.skus, UNITS_PER_SKU));
    await blaming(failure, stock(holdfastPort, 1, 0, options.skus));
    const rates = await runPatterns(options, run, echoPort, holdfastPort);
    const total = options.skus * UNITS_PER_SKU;
    const books = await expectBooks(holdfastPort, { total, held: 0 }, options.ttlMs + BOOKS_MS);
    await Promise.all([holdfast.stop(), echo.stop()]);
    return { ...rates, books };
  } finally {
    await pool.destroy();
    await Promise.allSettled([echo.stop(), holdfast?.stop()]);
  }
}

/** The outcome of `work`, unless a server ended: its connections break first, but its own account says why. */
export async function blaming<T>(failure: Promise<never>, work: Promise<T>): Promise<T> {
  try {
    return await Promise.race([work, failure]);
  } catch (error) {
    await Promise.race([failure, sleep(BLAME_MS)]);
    throw error;
  }
}

type RunLoad = (load: Load) => Promise<LoadResult>;

async function runPatterns(options: WireOptions, run: RunLoad, echoPort: number, holdfastPort: number) {
  const echo: Partial<Record<PatternName, Rate & Watched>> = {};
  const wire: Partial<Record<PatternName, HoldfastRate & Watched>> = {};
  for (const [name, pattern] of Object.entries(options.patterns) as [PatternName, Pattern][]) {
    const pair = await watched(() => runPattern(name, pattern, options, run, echoPort, holdfastPort));
    const { echo: ceiling, wire: own, ...watch } = pair;
    echo[name] = { ...ceiling, ...watch };
    wire[name] = { ...own, ...watch };
  }
  return { echo, wire };
}

async function runPattern(
  name: PatternName,
  pattern: Pattern,
  options: WireOptions,
  run: RunLoad,
  echoPort: number,
  holdfastPort: number,
): Promise<{ echo: Rate; wire: HoldfastRate }> {
  const { ttlMs, repeats } = options;
  const { soldOut = false, skus = options.skus, ...shape } = pattern;
  // Steady means that the holds of the first moments have ended before counting begins.
  const times = {
    warmUpMs: 2 * ttlMs + options.seconds * 150,
    measureMs: options.seconds * 1000,
    drainMs: DRAIN_MS,
  };
  // The SKU without units lies behind the others.
  const wanted = soldOut ? { skus, firstSku: options.skus, counts: Status.SOLD_OUT } : { skus };
  const load: Omit<Load, 'port'> = { ...shape, ...wanted, ttlMs, ...times, answers: 'replies' };
  const echoRuns: LoadResult[] = [];
  const holdfastRuns: LoadResult[] = [];
  const keyedRuns: LoadResult[] = [];
  // The first round only warms up both servers and is not counted.
  for (let i = 0; i <= repeats; i++) {
    options.onProgress?.(`wire ${name}: ${i === 0 ? 'warm-up' : `pair ${i} of ${repeats}`}`);
    const echoRun = await run({ ...load, port: echoPort, answers: 'echo' });
    const holdfastRun = await run({ ...load, port: holdfastPort });
    if (i > 0) {
      echoRuns.push(echoRun);
      holdfastRuns.push(holdfastRun);
    }
    if (!options.keyed?.includes(name)) continue;
    const keyedRun = await run({ ...load, port: holdfastPort, keyed: true });
    if (i > 0) keyedRuns.push(keyedRun);
  }
  const refusedBy = sumByStatus([...holdfastRuns, ...keyedRuns]);
  const refused = Object.values(refusedBy).reduce((sum, count) => sum + count, 0);
  const unanswered = [...holdfastRuns, ...keyedRuns].reduce((sum, run) => sum + run.unanswered, 0);
  const wire = {
    load: pattern,
    ...rate(holdfastRuns),
    shareOfEcho: shareOf(holdfastRuns, echoRuns),
    ...(keyedRuns.length > 0 && {
      keyed: { ...rate(keyedRuns), shareOfKeyless: shareOf(keyedRuns, holdfastRuns) },
    }),
    refused,
    refusedBy,
    unanswered,
  };
  return { echo: rate(echoRuns), wire };
}

/** Median of the ratios of runs to those just before them. */
function shareOf(runs: readonly LoadResult[], others: readonly LoadResult[]): number {
  return rounded(median(runs.map((run, i) => run.commandsPerSecond / others[i].commandsPerSecond)));
}

function rate(runs: readonly LoadResult[]): Rate {
  const rates = runs.map((run) => run.commandsPerSecond);
  const latencies = runs.flatMap((run) => (run.latency === null ? [] : [run.latency]));
  return {
    commandsPerSecond: Math.round(median(rates)),
    spread: spread(rates),
    latency: latencies.length === 0 ? null : medianLatency(latencies),
  };
}

export function medianLatency(latencies: readonly Latency[]): Latency {
  const of = (key: keyof Latency) => median(latencies.map((latency) => latency[key]));
  return { p50: of('p50'), p90: of('p90'), p99: of('p99'), p999: of('p999'), max: of('max') };
}

export function sumByStatus(runs: readonly Pick<LoadResult, 'refused'>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const run of runs) {
    for (const [status, count] of Object.entries(run.refused)) sums[status] = (sums[status] ?? 0) + count;
  }
  return sums;
}
