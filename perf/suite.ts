import type { CodecOptions, CodecResult } from './codec.ts';
import type { benchCore } from './core.ts';
import { benchFairness, type FairnessOptions, type FairnessResult } from './crowd/fairness.ts';
import { benchStorm, type StormOptions, type StormResult } from './crowd/storm.ts';
import { benchDurable, type DurableOptions, type DurableResult } from './durable/durable.ts';
import { benchExpiry, type ExpiryOptions, type ExpiryResult } from './expiry.ts';
import { benchGateCost, type GateCostOptions, type GateResult } from './gate/cost.ts';
import { benchOverload, type Overload, type OverloadOptions } from './gate/overload.ts';
import { loadThreads } from './load-threads.ts';
import { describeMachine, judge, type Machine, readCpu, type Watched, watched } from './machine.ts';
import type { RingBenchResult } from './ring.ts';
import { benchWire, PATTERNS, type Pattern, type PatternName, type WireResult } from './wire.ts';

type CoreBenchOptions = Parameters<typeof benchCore>[0];
type CoreBenchResult = Awaited<ReturnType<typeof benchCore>>;

export const PARTS = [
  'codec',
  'ring',
  'core',
  'wire',
  'expiry',
  'durable',
  'gate',
  'overload',
  'storm',
  'fairness',
] as const;
export type Part = (typeof PARTS)[number];

export interface SuiteOptions {
  readonly parts: readonly Part[];
  /** Measured runs of each benchmark; the medians count. */
  readonly repeats: number;
  /** Measured time of one run over the wire; the others are scaled to take no longer. */
  readonly seconds: number;
  /** Over the wire. */
  readonly skus: number;
  readonly ttlMs: number;
  readonly patterns: Readonly<Partial<Record<PatternName, Pattern>>>;
  /** Arguments to node that start a Holdfast server for the engine's parts, and one with all that stands before it. */
  readonly server: readonly string[];
  readonly guarded: readonly string[];
  readonly ringRecords: number;
  readonly core: CoreBenchOptions;
  readonly codecCommands: number;
  /** Holds that are watched one by one, and holds that end all at once. */
  readonly expiry: Pick<ExpiryOptions, 'probes' | 'holds' | 'repeats'>;
  /** Further options for `holdfast serve`, where the benchmark chooses the store; where the stores go; and sizes. */
  readonly durable: Pick<DurableOptions, 'patterns' | 'serve' | 'under' | 'steady' | 'startSkus'>;
  /** How many come at once, and how long hoarders hammer. */
  readonly storm: Pick<StormOptions, 'connections' | 'seconds' | 'storms'>;
  readonly fairness: Pick<FairnessOptions, 'hoarders' | 'connectionsEach' | 'buyers' | 'seconds'>;
  readonly gate: Pick<GateCostOptions, 'patterns' | 'serve'>;
  readonly overload: Omit<OverloadOptions, 'onProgress'>;
  readonly onProgress?: (text: string) => void;
}

/** What was asked for; a part that was not is missing. Rates are per second, latencies µs, spreads slowest and fastest. */
export interface Report {
  readonly machine: Machine;
  /** CPU time that the host gave to others over the whole suite, in per cent; null where the system does not tell. */
  readonly steal: number | null;
  /** The same of what other processes on this machine took. */
  readonly others: number | null;
  /** Whether every single figure can be trusted. */
  readonly trusted: boolean;
  readonly codec?: CodecResult & Watched;
  readonly ring?: RingBenchResult & Watched;
  readonly core?: CoreBenchResult & Watched;
  /** The headline of `echo` and `wire` is the pattern with one command a frame, where it was run. */
  readonly echo?: WireResult['echo'] & Headline;
  readonly wire?: WireResult['wire'] & Headline & { readonly books: WireResult['books'] };
  readonly expiry?: ExpiryResult & Watched;
  readonly durable?: DurableResult & Watched;
  readonly storm?: StormResult & Watched;
  readonly fairness?: FairnessResult & Watched;
  readonly gate?: GateResult & Watched;
  readonly overload?: { readonly setUps: readonly Overload[] } & Watched;
}

interface Headline {
  readonly commandsPerSecond?: number;
  readonly shareOfEcho?: number;
}

/** Runs with and without the gate are so many times shorter than others, since there are two for each figure and four figures. */
const GATE_SHORTER = 4;
const THREAD_LIMIT_MS = 600_000;

/** Runs the benchmarks one after the other; rejects when one fails or its own check of its result does. */
export async function runSuite(options: SuiteOptions): Promise<Report> {
  const machine = describeMachine();
  const before = readCpu();
  const { parts, repeats, seconds, onProgress } = options;
  const results: Partial<Omit<Report, 'machine' | keyof Watched>> = {};
  const has = (part: Part) => {
    if (parts.includes(part)) onProgress?.(part);
    return parts.includes(part);
  };
  if (has('codec')) {
    const task: CodecOptions = { seconds: seconds / 10, repeats, commands: options.codecCommands };
    const run = () => inFreshThread<CodecResult>('./codec.ts', 'benchCodec', task);
    Object.assign(results, { codec: verified('codec', await watched(run)) });
  }
  if (has('ring')) {
    const { benchRing } = await import('./ring.ts');
    const run = () => benchRing({ records: options.ringRecords, repeats });
    Object.assign(results, { ring: verified('ring', await watched(run)) });
  }
  if (has('core')) {
    const run = () => inFreshThread<CoreBenchResult>('./core.ts', 'benchCore', options.core);
    Object.assign(results, { core: verified('core', await watched(run)) });
  }
  if (has('wire')) {
    const { echo, wire, books } = await benchWire(options);
    const { commandsPerSecond, shareOfEcho } = wire.onePerFrame ?? {};
    Object.assign(results, {
      echo: { commandsPerSecond: echo.onePerFrame?.commandsPerSecond, ...echo },
      wire: { commandsPerSecond, shareOfEcho, ...wire, books },
    });
  }
  if (has('expiry')) {
    const { seconds, skus, ttlMs, server } = options;
    const task: ExpiryOptions = {
      ...options.expiry,
      seconds,
      skus,
      ttlMs,
      server,
      onProgress: (text) => onProgress?.(text),
    };
    Object.assign(results, { expiry: verified('expiry', await watched(() => benchExpiry(task))) });
  }
  if (has('durable')) {
    const { seconds, skus, ttlMs } = options;
    const task: DurableOptions = {
      ...{ repeats, seconds, skus, ttlMs },
      ...options.durable,
      onProgress: (text) => onProgress?.(text),
    };
    const result = await watched(() => benchDurable(task));
    // A disk that is none makes every sync free.
    Object.assign(results, { durable: { ...result, trusted: result.trusted && result.disk.real } });
  }
  const crowd = { server: options.guarded, onProgress: (text: string) => onProgress?.(text) };
  if (has('storm')) {
    const run = () => benchStorm({ ...options.storm, ...crowd });
    Object.assign(results, { storm: verified('storm', await watched(run)) });
  }
  if (has('fairness')) {
    const run = () => benchFairness({ ...options.fairness, ...crowd });
    Object.assign(results, { fairness: verified('fairness', await watched(run)) });
  }
  if (has('gate')) {
    const { seconds, skus, ttlMs } = options;
    const task: GateCostOptions = {
      ...{ repeats, seconds: seconds / GATE_SHORTER, skus, ttlMs },
      ...options.gate,
      onProgress: (text) => onProgress?.(text),
    };
    Object.assign(results, { gate: await watched(() => benchGateCost(task)) });
  }
  if (has('overload')) {
    const task: OverloadOptions = { ...options.overload, onProgress: (text) => onProgress?.(text) };
    const run = async () => ({ setUps: await benchOverload(task) });
    Object.assign(results, { overload: await watched(run) });
  }
  const { steal, others } = judge(before, readCpu());
  return { machine, steal, others, trusted: watchesOf(results).every(({ trusted }) => trusted), ...results };
}

/** Patterns with frames of one connection written together only up to `framesPerWrite`. */
export function patternsWriting<Name extends PatternName>(
  patterns: Readonly<Record<Name, Pattern>>,
  framesPerWrite: number,
): Record<Name, Pattern> {
  const entries = Object.entries<Pattern>(patterns).map(([name, pattern]) => [
    name,
    { ...pattern, framesPerWrite },
  ]);
  return Object.fromEntries(entries) as Record<Name, Pattern>;
}

/**
 * Runs a benchmark in a thread of its own, so that what the compiler has learnt from others, with other types at the
 * same places, plays no part.
 */
async function inFreshThread<T extends object>(file: string, name: string, task: object): Promise<T> {
  const pool = loadThreads(new URL(file, import.meta.url));
  try {
    return (await pool.run(task, { name, signal: AbortSignal.timeout(THREAD_LIMIT_MS) })) as T;
  } finally {
    await pool.destroy();
  }
}

function verified<T extends { readonly verified: boolean }>(part: Part, result: T): T {
  if (!result.verified) {
    throw new Error(`The ${part} benchmark found its own result to be wrong: ${JSON.stringify(result)}`);
  }
  return result;
}

function watchesOf(results: Pick<Report, Part>): Watched[] {
  const { codec, ring, core, wire, expiry, durable, gate, overload, storm, fairness } = results;
  const patterns = (Object.keys(PATTERNS) as PatternName[]).map((name) => wire?.[name]);
  const all = [codec, ring, core, ...patterns, expiry, durable, gate, overload, storm, fairness];
  return all.filter((result) => result !== undefined);
}
