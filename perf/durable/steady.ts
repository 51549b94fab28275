import { expectBooks } from '../books.ts';
import type { Latency } from '../load/generator.ts';
import type { OpenLoad, OpenLoadResult } from '../load/open-loop.ts';
import { fill, stock } from '../load/stock.ts';
import { loadThreads } from '../load-threads.ts';
import { ServerProcess } from '../server-process.ts';
import { median, rounded } from '../stats.ts';
import {
  BOOKS_MS,
  blaming,
  DRAIN_MS,
  ECHO_SERVER,
  medianLatency,
  STUCK_MS,
  sumByStatus,
  UNITS_PER_SKU,
} from '../wire.ts';

export interface SteadyOptions {
  readonly repeats: number;
  readonly seconds: number;
  readonly ratePerSecond: number;
  readonly connections: number;
  /** SKUs; on each of them one hold is open the whole time, besides those that come and go. */
  readonly skus: number;
  readonly ttlMs: number;
  /** Arguments to node that start a durable Holdfast server whose snapshots are further apart than the run is long. */
  readonly server: readonly string[];
  /** The same for one that takes snapshots all the time. */
  readonly snapshotting: readonly string[];
  readonly onProgress?: (text: string) => void;
}

/** From the time at which a command was due to its answer, µs: medians of the runs. */
export interface SteadyLatency extends Latency {
  /** By how much commands left too late, which is part of it. */
  readonly lateSendP99: number;
  /** Commands of all runs that did not become holds. */
  readonly refusedBy: Readonly<Record<string, number>>;
  readonly unanswered: number;
}

/** An open loop: commands leave on a schedule, whatever the answers do. */
export interface SteadyResult {
  readonly ratePerSecond: number;
  readonly openHolds: number;
  readonly echo: SteadyLatency;
  readonly durable: SteadyLatency;
  readonly whileSnapshotting: SteadyLatency;
  /** Medians of the ratios of the percentiles of each run to those of the echo run just before it. */
  readonly p99TimesEcho: number;
  readonly p999TimesEcho: number;
  /** Whether every command became a hold. */
  readonly complete: boolean;
}

const WARM_UP_MS = 700;
/** Holds that stay for the whole benchmark. */
const STAY_MS = 3_600_000;

/** Latency at a steady rate: an echo server, a durable server, and one that takes snapshots meanwhile, in turns. */
export async function benchSteady(options: SteadyOptions): Promise<SteadyResult> {
  const pool = loadThreads(new URL('../load/open-loop.ts', import.meta.url));
  const servers: ServerProcess[] = [];
  const start = async (name: string, args: readonly string[]) => {
    const server = await ServerProcess.start(name, args);
    servers.push(server);
    return server;
  };
  try {
    const echo = await start('echo server', ECHO_SERVER);
    const durable = await start('Holdfast server', options.server);
    const snapshotting = await start('Holdfast server that takes snapshots', options.snapshotting);
    const failure = Promise.race(servers.map((server) => server.failure));
    failure.catch(() => {});
    const within = <T>(work: Promise<T>) => blaming(failure, work);
    for (const server of [durable, snapshotting]) await within(prepare(await server.port, options.skus));
    const run = (load: OpenLoad) => {
      const limitMs = load.warmUpMs + load.measureMs + load.drainMs + STUCK_MS;
      return within(pool.run(load, { signal: AbortSignal.timeout(limitMs) }) as Promise<OpenLoadResult>);
    };
    const result = await takeTurns(options, run, [echo, durable, snapshotting]);
    const books = { total: options.skus * UNITS_PER_SKU, held: options.skus };
    for (const server of [durable, snapshotting]) {
      await within(expectBooks(await server.port, books, options.ttlMs + BOOKS_MS));
    }
    for (const server of servers) await server.stop();
    return result;
  } finally {
    await pool.destroy();
    await Promise.allSettled(servers.map((server) => server.stop()));
  }
}

async function prepare(port: number, skus: number): Promise<void> {
  await stock(port, skus, UNITS_PER_SKU);
  await fill(port, skus, STAY_MS);
}

async function takeTurns(
  options: SteadyOptions,
  run: (load: OpenLoad) => Promise<OpenLoadResult>,
  servers: readonly ServerProcess[],
): Promise<SteadyResult> {
  const { repeats, seconds, ratePerSecond, connections, skus, ttlMs, onProgress } = options;
  const times = { warmUpMs: WARM_UP_MS, measureMs: seconds * 1000, drainMs: DRAIN_MS };
  const load = { connections, ratePerSecond, skus, ttlMs, ...times };
  const runs: OpenLoadResult[][] = servers.map(() => []);
  // The first round only warms the servers up.
  for (let round = 0; round <= repeats; round++) {
    onProgress?.(`durable, steady rate: ${round === 0 ? 'warm-up' : `round ${round} of ${repeats}`}`);
    for (const [i, server] of servers.entries()) {
      const result = await run({ ...load, port: await server.port, answers: i === 0 ? 'echo' : 'replies' });
      if (round > 0) runs[i].push(result);
    }
  }
  const [echo, durable, whileSnapshotting] = runs;
  const timesEcho = (percentile: 'p99' | 'p999') =>
    rounded(median(durable.map(({ latency }, i) => latency[percentile] / echo[i].latency[percentile])));
  return {
    ratePerSecond,
    openHolds: skus,
    echo: summary(echo),
    durable: summary(durable),
    whileSnapshotting: summary(whileSnapshotting),
    p99TimesEcho: timesEcho('p99'),
    p999TimesEcho: timesEcho('p999'),
    complete: [...durable, ...whileSnapshotting].every(({ accepted, sent }) => accepted === sent),
  };
}

function summary(runs: readonly OpenLoadResult[]): SteadyLatency {
  return {
    ...medianLatency(runs.map(({ latency }) => latency)),
    lateSendP99: median(runs.map(({ lateSends }) => lateSends.p99)),
    refusedBy: sumByStatus(runs),
    unanswered: runs.reduce((sum, { unanswered }) => sum + unanswered, 0),
  };
}
