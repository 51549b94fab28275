import type { Watched } from '../machine.ts';
import {
  benchWire,
  type HoldfastRate,
  holdfastServer,
  PATTERNS,
  type Pattern,
  type PatternName,
  type WireResult,
} from '../wire.ts';
import { benchJournal, type JournalResult } from './journal.ts';
import { type Disk, Place } from './place.ts';
import { type Fsync, RedisProcess, whyNoRedis } from './redis-process.ts';
import { benchStart, type StartResult } from './start.ts';
import { benchSteady, type SteadyResult } from './steady.ts';

export interface DurableOptions {
  /** Measured runs of each benchmark; those that take long get fewer. */
  readonly repeats: number;
  /** Measured time of one run. */
  readonly seconds: number;
  readonly skus: number;
  readonly ttlMs: number;
  readonly patterns: Readonly<Partial<Record<PatternName, Pattern>>>;
  /** Further options for `holdfast serve`. */
  readonly serve: readonly string[];
  /** Where to make the directory for the stores; by default a temporary directory that is on a disk. */
  readonly under?: string | undefined;
  /** The open loop: commands a second, over so many connections, and holds that stay open meanwhile. */
  readonly steady: {
    readonly ratePerSecond: number;
    readonly connections: number;
    readonly openHolds: number;
  };
  /** SKUs with one open hold each, of the start from snapshots. */
  readonly startSkus: number;
  readonly onProgress?: (text: string) => void;
}

/** What durability costs: every figure with `--ack sync`. */
export interface DurableResult {
  readonly disk: Disk;
  /** On the file store, as the part `wire` is without one. */
  readonly echo: WireResult['echo'];
  readonly wire: WireResult['wire'];
  readonly steady: SteadyResult;
  /** Journals of holds with an idempotency key each, and without. */
  readonly journal: { readonly keyed: JournalResult; readonly keyless: JournalResult };
  readonly start: StartResult;
  /** On a Redis store with 400 commands a frame, by Redis' appendfsync; null without redis-server, and why. */
  readonly redis: Readonly<Record<Fsync, HoldfastRate & Watched>> | null;
  readonly whyNoRedis?: string;
}

/** Further apart than any run is long. */
const NO_SNAPSHOTS = ['--snapshot-period-ms', '1d', '--snapshot-journal-bytes', '1024GiB'];
const MANY_SNAPSHOTS = ['--snapshot-period-ms', '1s'];
const MOST_PATTERN_REPEATS = 3;
const MOST_REPEATS = 3;
const MOST_REDIS_REPEATS = 2;
/** The open loop runs so many times as long as the others, so that there are enough commands for its last per mille. */
const STEADY_TIMES = 2;
/** And the load that writes the journal that is replayed, so that starting threads is a small part of replaying it. */
const JOURNAL_TIMES = 4;

/** The patterns that are run with idempotency keys too. */
const KEYED: readonly PatternName[] = ['onePerFrame', 'batched', 'hot'];
/**
 * Keys are forgotten as fast as holds end. Kept for the usual ten minutes, those of a run of a few seconds would be all that the table of a
 * hot SKU's segment can take.
 */
const SHORT_KEYS = ['--key-retention-ms', '100'];

/** Runs servers on stores in a temporary directory, one after the other; rejects when any of them ends with wrong books. */
export async function benchDurable(options: DurableOptions): Promise<DurableResult> {
  const place = new Place(options.under);
  try {
    const server = file(options, place.next(), ...SHORT_KEYS);
    const { echo, wire } = await throughput(options, server, MOST_PATTERN_REPEATS, KEYED);
    place.clear();
    const steady = await steadyRate(options, place);
    place.clear();
    const keyed = await journal(options, place, true);
    place.clear();
    const keyless = await journal(options, place, false);
    place.clear();
    const start = await startTime(options, place);
    place.clear();
    const reason = whyNoRedis();
    const redis = reason === undefined ? await onRedis(options, place) : null;
    const why = reason === undefined ? {} : { whyNoRedis: reason };
    return { disk: place.disk, echo, wire, steady, journal: { keyed, keyless }, start, redis, ...why };
  } finally {
    place.remove();
  }
}

/** Arguments that start a server on a file store in a directory. */
function file({ serve }: DurableOptions, directory: string, ...more: readonly string[]): string[] {
  return holdfastServer(...serve, '--store', `file:${directory}`, '--ack', 'sync', ...more);
}

function throughput(
  options: DurableOptions,
  server: readonly string[],
  mostRepeats: number,
  keyed: readonly PatternName[] = [],
): Promise<WireResult> {
  const { seconds, skus, ttlMs, patterns, onProgress } = options;
  return benchWire({
    repeats: Math.min(options.repeats, mostRepeats),
    seconds,
    skus,
    ttlMs,
    patterns,
    keyed,
    server,
    onProgress: (text) => onProgress?.(`durable ${text}`),
  });
}

function steadyRate(options: DurableOptions, place: Place): Promise<SteadyResult> {
  const { repeats, seconds, ttlMs, onProgress } = options;
  const { ratePerSecond, connections, openHolds } = options.steady;
  return benchSteady({
    repeats: Math.min(repeats, MOST_REPEATS),
    seconds: STEADY_TIMES * seconds,
    ratePerSecond,
    connections,
    skus: openHolds,
    ttlMs,
    server: file(options, place.next(), ...NO_SNAPSHOTS),
    snapshotting: file(options, place.next(), ...MANY_SNAPSHOTS),
    onProgress: (text) => onProgress?.(text),
  });
}

function journal(options: DurableOptions, place: Place, keyed: boolean): Promise<JournalResult> {
  const { repeats, seconds, skus, ttlMs, onProgress } = options;
  onProgress?.(`durable journal and recovery, holds ${keyed ? 'with' : 'without'} keys`);
  return benchJournal({
    repeats: Math.min(repeats, MOST_REPEATS),
    seconds: JOURNAL_TIMES * seconds,
    skus,
    ttlMs,
    keyed,
    server: file(options, place.next(), ...NO_SNAPSHOTS),
  });
}

function startTime(options: DurableOptions, place: Place): Promise<StartResult> {
  const { repeats, startSkus, onProgress } = options;
  onProgress?.('durable start from snapshots');
  const directory = place.next();
  return benchStart({
    repeats: Math.min(repeats, MOST_REPEATS),
    skus: startSkus,
    directory,
    server: file(options, directory, ...MANY_SNAPSHOTS),
  });
}

async function onRedis(options: DurableOptions, place: Place): Promise<NonNullable<DurableResult['redis']>> {
  const everysec = await withRedis(options, place, 'everysec');
  const always = await withRedis(options, place, 'always');
  return { everysec, always };
}

async function withRedis(
  options: DurableOptions,
  place: Place,
  fsync: Fsync,
): Promise<HoldfastRate & Watched> {
  const patterns = { batched: options.patterns.batched ?? PATTERNS.batched };
  const onProgress = (text: string) => options.onProgress?.(`${text}, Redis with appendfsync ${fsync}`);
  const redis = await RedisProcess.start(place.next(), fsync);
  try {
    const server = holdfastServer(...options.serve, '--store', redis.url, '--ack', 'sync');
    const { wire } = await throughput({ ...options, patterns, onProgress }, server, MOST_REDIS_REPEATS);
    if (wire.batched === undefined) throw new Error('the load of 400 commands a frame was not run');
    return wire.batched;
  } finally {
    await redis.stop();
  }
}
