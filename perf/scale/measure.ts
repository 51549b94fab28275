import { setTimeout as sleep } from 'node:timers/promises';
import type { Piscina } from 'piscina';
import { type StageReport, stagesBetween } from '../../src/shard/stage-report.ts';
import { type Books, expectBooks } from '../books.ts';
import { type Disk, Place } from '../durable/place.ts';
import type { Load, LoadResult } from '../load/generator.ts';
import { stock } from '../load/stock.ts';
import { loadThreads } from '../load-threads.ts';
import { type Machine, type Watched, watched } from '../machine.ts';
import { ServerProcess } from '../server-process.ts';
import { median, rounded, type Spread, spread } from '../stats.ts';
import {
  BOOKS_MS,
  blaming,
  DRAIN_MS,
  ENGINE,
  holdfastServer,
  PATTERNS,
  STUCK_MS,
  UNITS_PER_SKU,
} from '../wire.ts';
import { THREADS, type Thread } from './model.ts';

export interface MeasureOptions {
  /** Numbers of workers; the first is what the others are compared with. */
  readonly workers: readonly number[];
  readonly repeats: number;
  /** Measured time of one run. */
  readonly seconds: number;
  readonly skus: number;
  readonly ttlMs: number;
  /** Threads that make the load. */
  readonly generators: number;
  /** Further options for `holdfast serve`. */
  readonly serve: readonly string[];
  /** Where to make the directory for the stores; by default a temporary directory that is on a disk. */
  readonly under?: string | undefined;
  readonly onProgress?: (text: string) => void;
}

/** Frames of one size on a server with so many workers: medians of the runs. */
export interface ScaleRun {
  readonly workers: number;
  readonly commandsPerFrame: number;
  /** Accepted holds. */
  readonly commandsPerSecond: number;
  readonly spread: Spread;
  /** Median of the ratios of each run to that with the fewest workers, in the same round. */
  readonly timesFirst: number;
  /** CPU time of a command on each kind of thread, and in the load generator, µs. */
  readonly us: Readonly<Record<Thread | 'generator', number>>;
  /** What the last run's stage clocks say. */
  readonly limit: string;
  /** Of all commands, also those of the warm-up. */
  readonly refused: number;
  readonly unanswered: number;
}

export interface Measured {
  readonly disk: Disk;
  readonly runs: readonly ScaleRun[];
  readonly books: readonly Books[];
}

/** What a scale run says first: on what, and how far to trust it. */
export type OnMachine = Watched & { readonly machine: Machine };

/** Frame sizes, each with as many frames in flight as keep the server busy. The outer two make the costs, the middle one is there to check them. */
export const SHAPES: readonly Pick<
  Load,
  'connections' | 'framesInFlight' | 'commandsPerFrame' | 'framesPerWrite'
>[] = [
  PATTERNS.onePerFrame,
  { connections: 40, framesInFlight: 8, commandsPerFrame: 20, framesPerWrite: 8 },
  PATTERNS.batched,
];

/** CPU times are read so long after the warm-up and before the end: then the load is steady. */
const MARGIN_SHARE = 0.1;
const STAGES_MS = 60_000;

/** One run's figures. */
interface Sample {
  readonly commandsPerSecond: number;
  readonly us: Record<Thread | 'generator', number>;
  readonly limit: string;
  readonly refused: number;
  readonly unanswered: number;
}

/**
 * The same holds on servers with different numbers of workers, which take turns, with everything durable before it is answered. The
 * servers do without the front's standing in for workers, so that each thread's CPU time is that of its own stage. Rejects when a server
 * fails, or its books are not what they must be after the last hold has ended.
 */
export async function measureScale(options: MeasureOptions): Promise<Measured & Watched> {
  const place = new Place(options.under);
  const servers: ServerProcess[] = [];
  const pool = loadThreads(new URL('../load/generator.ts', import.meta.url), options.generators);
  try {
    for (const workers of options.workers) {
      const args = serverArgs(options, place.next(), workers);
      servers.push(await ServerProcess.start(`Holdfast server with --workers ${workers}`, args));
    }
    const failure = Promise.race(servers.map((server) => server.failure));
    failure.catch(() => {});
    const ports = await Promise.all(servers.map((server) => server.port));
    for (const port of ports) await blaming(failure, stock(port, options.skus, UNITS_PER_SKU));
    const runs = await watched(async () => ({ runs: await takeTurns(options, ports, pool, failure) }));
    const books: Books[] = [];
    for (const port of ports) {
      const expected = { total: options.skus * UNITS_PER_SKU, held: 0 };
      books.push(await blaming(failure, expectBooks(port, expected, options.ttlMs + BOOKS_MS)));
    }
    for (const server of servers) await server.stop();
    const { disk } = place;
    return { disk, ...runs, trusted: runs.trusted && disk.real, books };
  } finally {
    await pool.destroy();
    await Promise.allSettled(servers.map((server) => server.stop()));
    place.remove();
  }
}

function serverArgs({ serve }: MeasureOptions, directory: string, workers: number): string[] {
  const fixed = ['--ack', 'sync', '--borrow', 'off', '--workers', String(workers)];
  return holdfastServer(...ENGINE, ...fixed, ...serve, '--store', `file:${directory}`);
}

async function takeTurns(
  options: MeasureOptions,
  ports: readonly number[],
  pool: Piscina,
  failure: Promise<never>,
): Promise<ScaleRun[]> {
  const { repeats, workers, onProgress } = options;
  const samples = SHAPES.map(() => workers.map((): Sample[] => []));
  // The first round only warms the servers up.
  for (let round = 0; round <= repeats; round++) {
    onProgress?.(round === 0 ? 'scale: warm-up' : `scale: round ${round} of ${repeats}`);
    for (const [i, shape] of SHAPES.entries()) {
      for (const [j, port] of ports.entries()) {
        const sample = await blaming(failure, runOnce(options, shape, port, pool));
        if (round > 0) samples[i][j].push(sample);
      }
    }
  }
  return SHAPES.flatMap(({ commandsPerFrame }, i) =>
    workers.map((count, j) => ({
      workers: count,
      commandsPerFrame,
      ...summary(samples[i][j], samples[i][0]),
    })),
  );
}

/** One load, made by all generators together, with the server's and their own CPU time in the middle of it. */
async function runOnce(
  options: MeasureOptions,
  shape: (typeof SHAPES)[number],
  port: number,
  pool: Piscina,
): Promise<Sample> {
  const { seconds, skus, ttlMs, generators } = options;
  const measureMs = seconds * 1000;
  const warmUpMs = 2 * ttlMs + measureMs * MARGIN_SHARE;
  const connections = Math.max(1, Math.round(shape.connections / generators));
  const times = { warmUpMs, measureMs, drainMs: DRAIN_MS };
  const load: Load = { ...shape, ...times, connections, port, answers: 'replies', skus, ttlMs };
  const signal = AbortSignal.timeout(Math.ceil(warmUpMs + measureMs + DRAIN_MS) + STUCK_MS);
  const running = Promise.all(
    Array.from({ length: generators }, () => pool.run(load, { signal }) as Promise<LoadResult>),
  );
  const reading = (async () => {
    await sleep(warmUpMs + measureMs * MARGIN_SHARE);
    const before = await readAll(port);
    await sleep(measureMs * (1 - 3 * MARGIN_SHARE));
    return [before, await readAll(port)] as const;
  })();
  const [results, [before, after]] = await Promise.all([running, reading]);
  const sum = (of: (result: LoadResult) => number) => results.reduce((all, result) => all + of(result), 0);
  const commandsPerSecond = sum((result) => result.commandsPerSecond);
  const commands = (commandsPerSecond * (after.atMs - before.atMs)) / 1000;
  const us = Object.fromEntries(
    THREADS.map((thread) => [
      thread,
      (cpuUs(after.report, thread) - cpuUs(before.report, thread)) / commands,
    ]),
  ) as Record<Thread, number>;
  return {
    commandsPerSecond,
    us: { ...us, generator: (after.ownCpuUs - before.ownCpuUs) / commands },
    limit: stagesBetween(before.report, after.report).limit,
    refused: sum(({ refused }) => Object.values(refused).reduce((all, count) => all + count, 0)),
    unanswered: sum(({ unanswered }) => unanswered),
  };
}

interface Reading {
  readonly atMs: number;
  readonly report: StageReport;
  readonly ownCpuUs: number;
}

async function readAll(port: number): Promise<Reading> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/stages`, {
    signal: AbortSignal.timeout(STAGES_MS),
  });
  if (!answer.ok) throw new Error(`GET /v1/stages answered ${answer.status}: ${await answer.text()}`);
  const report = (await answer.json()) as StageReport;
  const { user, system } = process.cpuUsage();
  return { atMs: performance.now(), report, ownCpuUs: user + system };
}

/** Of all threads of a kind. */
function cpuUs(report: StageReport, thread: Thread): number {
  return report.threads
    .filter(({ name }) => name === thread || name.startsWith(`${thread}-`))
    .reduce((sum, thread) => sum + thread.cpuUs, 0);
}

function summary(
  samples: readonly Sample[],
  firsts: readonly Sample[],
): Omit<ScaleRun, 'workers' | 'commandsPerFrame'> {
  const rates = samples.map(({ commandsPerSecond }) => commandsPerSecond);
  const us = (thread: Thread | 'generator') => rounded(median(samples.map((sample) => sample.us[thread])));
  const { limit } = samples.at(-1) as Sample;
  return {
    commandsPerSecond: Math.round(median(rates)),
    spread: spread(rates),
    timesFirst: rounded(median(rates.map((rate, i) => rate / firsts[i].commandsPerSecond))),
    us: { front: us('front'), shard: us('shard'), storage: us('storage'), generator: us('generator') },
    limit,
    refused: samples.reduce((sum, { refused }) => sum + refused, 0),
    unanswered: samples.reduce((sum, { unanswered }) => sum + unanswered, 0),
  };
}
