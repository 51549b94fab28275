import { setTimeout as sleep } from 'node:timers/promises';
import type { Piscina } from 'piscina';
import { type RunningServer, startServer } from '../src/runtime/server.ts';
import { loadSettings } from '../src/runtime/settings.ts';
import { Control, controlOf } from '../src/shard/memory.ts';
import type { Watched as Answers, Placed } from './load/avalanche.ts';
import type { Load } from './load/generator.ts';
import { measureLateness, PROBE_CLOCK_UNITS } from './load/lateness.ts';
import { stock } from './load/stock.ts';
import { loadThreads } from './load-threads.ts';
import { ServerProcess } from './server-process.ts';
import { median, rounded } from './stats.ts';
import { PATTERNS } from './wire.ts';

export interface ExpiryOptions {
  /** Measured time of the lateness under load. */
  readonly seconds: number;
  /** SKUs with one short hold each, whose ends are watched. */
  readonly probes: number;
  /** SKUs and time to live of the load beside them. */
  readonly skus: number;
  readonly ttlMs: number;
  /** Holds that end at one instant, over a few SKUs, and how often that is repeated. */
  readonly holds: number;
  readonly repeats: number;
  /** Arguments to node that start a Holdfast server on a free port. */
  readonly server: readonly string[];
  readonly onProgress?: (text: string) => void;
}

export interface ExpiryResult {
  /** By how much holds ended too late while the server was saturated, ms. */
  readonly lateMs: {
    readonly p50: number;
    readonly p99: number;
    readonly max: number;
    readonly holds: number;
  };
  /** What a client felt that read one SKU after the other while very many holds ended at once: medians of the runs. */
  readonly million: {
    readonly holds: number;
    /** Between the first deadline and the last, ms. */
    readonly spreadMs: number;
    /** Slowest answers while they were worked off, and the slowest just before, ms. */
    readonly longestPauseMs: number;
    readonly p99PauseMs: number;
    readonly quietPauseMs: number;
    /** From the last deadline until all units were back, ms. */
    readonly workedOffMs: number;
    /**
     * The longest turn of a worker, commands and expiry, ms: how long the server itself can have kept a command waiting. By the
     * clock on the wall, so that time in which the thread had no core counts.
     */
    readonly longestSliceMs: number;
  };
  /** The books of both servers were what they had to be. */
  readonly verified: boolean;
}

const UNITS_PER_SKU = 1_000_000_000;
const WARM_UP_MS = 500;
const DRAIN_MS = 20_000;
const AVALANCHE_SKUS = 8;
const AVALANCHE_SEGMENTS = 8;
/** Time for placing the holds that end at once: a part that does not depend on their number, and one that does. */
const PLACE_MS = 1_000;
const PLACED_PER_MS = 100;
/** After the last deadline everything has to be back within this, however late the expiry. */
const BOOKS_MS = 20_000;
const STUCK_MS = 60_000;

/** How late holds end under load, and how long others wait while very many end at once. Over real sockets. */
export async function benchExpiry(options: ExpiryOptions): Promise<ExpiryResult> {
  options.onProgress?.('expiry: lateness under load');
  const late = await lateness(options);
  const runs: Awaited<ReturnType<typeof avalanche>>[] = [];
  for (let run = 1; run <= options.repeats; run++) {
    options.onProgress?.(`expiry: ${options.holds} holds that end at once, ${run} of ${options.repeats}`);
    runs.push(await avalanche(options));
  }
  const of = (key: keyof ExpiryResult['million']) => rounded(median(runs.map(({ result }) => result[key])));
  const million = {
    holds: options.holds,
    spreadMs: of('spreadMs'),
    longestPauseMs: of('longestPauseMs'),
    p99PauseMs: of('p99PauseMs'),
    quietPauseMs: of('quietPauseMs'),
    workedOffMs: of('workedOffMs'),
    longestSliceMs: of('longestSliceMs'),
  };
  return { lateMs: late.result, million, verified: late.verified && runs.every(({ verified }) => verified) };
}

async function lateness(options: ExpiryOptions) {
  const { seconds, probes, skus, ttlMs } = options;
  const server = await ServerProcess.start('Holdfast server', options.server);
  const pool = poolOf('./load/generator.ts');
  try {
    const port = await server.port;
    await stock(port, skus, UNITS_PER_SKU);
    const measureMs = seconds * 1000;
    const times = { warmUpMs: WARM_UP_MS, measureMs: measureMs + WARM_UP_MS, drainMs: DRAIN_MS };
    const load: Load = { ...PATTERNS.batched, ...times, port, answers: 'replies', skus, ttlMs };
    const loaded = pool.run(load, { signal: AbortSignal.timeout(measureMs + STUCK_MS) });
    const measured = sleep(WARM_UP_MS).then(() => measureLateness({ port, probes, forMs: measureMs }));
    const [lateMs] = await Promise.race([Promise.all([measured, loaded]), server.failure]);
    const total = skus * UNITS_PER_SKU + probes + PROBE_CLOCK_UNITS;
    const verified = await booksAre(`http://127.0.0.1:${port}`, total, ttlMs);
    const sorted = Float64Array.from(lateMs).sort();
    const [p50, p99, max] = [0.5, 0.99, 1].map((share) => at(sorted, share));
    return { result: { p50, p99, max, holds: lateMs.length }, verified };
  } finally {
    await pool.destroy();
    await server.stop();
  }
}

/** The server runs on this thread, so that its memory can be looked into; the clients run on another. */
async function avalanche({ holds }: ExpiryOptions) {
  const flags = {
    port: 0,
    store: 'none',
    segments: AVALANCHE_SEGMENTS,
    holdsPerSegment: Math.max(16, holds),
  };
  const server = await startServer(loadSettings({ flags, env: {} }));
  const pool = poolOf('./load/avalanche.ts');
  try {
    const { port } = server;
    const placeMs = PLACE_MS + Math.ceil(holds / PLACED_PER_MS);
    const client = { port, holds, skus: AVALANCHE_SKUS };
    const run = <T>(name: string, task: object) =>
      pool.run(task, { name, signal: AbortSignal.timeout(placeMs + STUCK_MS) }) as Promise<T>;
    const placed = await run<Placed>('place', { ...client, placeMs });
    for (const control of controls(server)) Atomics.store(control, Control.LONGEST_TURN_US, 0);
    const { quietMs, pausesMs, workedOffMs } = await run<Answers>('watch', { ...client, ...placed });
    const longestUs = Math.max(...controls(server).map((control) => control[Control.LONGEST_TURN_US]));
    const pauses = Float64Array.from(pausesMs).sort();
    return {
      result: {
        holds,
        spreadMs: placed.lastEnd - placed.firstEnd,
        longestPauseMs: rounded(at(pauses, 1)),
        p99PauseMs: rounded(at(pauses, 0.99)),
        quietPauseMs: rounded(Math.max(0, ...quietMs)),
        workedOffMs,
        longestSliceMs: rounded(longestUs / 1000),
      },
      verified: await booksAre(server.httpUrl, AVALANCHE_SKUS * holds, 0),
    };
  } finally {
    await pool.destroy();
    await server.stop();
  }
}

function controls(server: RunningServer): Int32Array[] {
  return server.memory.workers.map(controlOf);
}

function poolOf(file: string): Piscina {
  return loadThreads(new URL(file, import.meta.url));
}

/** Waits until nothing is held, and says whether every unit is back. */
async function booksAre(url: string, total: number, ttlMs: number): Promise<boolean> {
  const deadline = performance.now() + ttlMs + BOOKS_MS;
  for (;;) {
    const response = await fetch(`${url}/v1/inspect`, { signal: AbortSignal.timeout(STUCK_MS) });
    const { violations, available, held, sold } = (await response.json()) as Record<string, number>;
    if (held === 0 || performance.now() > deadline) {
      return response.ok && violations === 0 && held === 0 && sold === 0 && available === total;
    }
    await sleep(50);
  }
}

/** The value below which a share of the sorted values lies; 1 is the largest. */
function at(sorted: Float64Array, share: number): number {
  if (sorted.length === 0) throw new Error('nothing was measured');
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)];
}
