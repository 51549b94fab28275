import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import { type StageReport, stagesBetween } from '../../src/shard/stage-report.ts';
import { Asker } from '../load/asker.ts';
import { stock } from '../load/stock.ts';
import { loadThreads } from '../load-threads.ts';
import { describeMachine, watched } from '../machine.ts';
import { addAccounts } from './account.ts';
import { judge } from './judge.ts';
import { Merger } from './merger.ts';
import type { Period } from './meter.ts';
import type { SeriesPoint, StressResult } from './result.ts';
import { longestTtlMs, type Scenario, type Stream } from './scenario.ts';
import { ServerSide } from './server-books.ts';
import type { Share } from './share.ts';
import { readStages, type Target } from './target.ts';
import type { Outcome } from './traffic.ts';

/** What whoever watches a run is told at the end of every period. */
export interface LiveState {
  readonly scenario: string;
  readonly elapsedMs: number;
  readonly lengthMs: number;
  readonly periodMs: number;
  /** The last period that every thread has told of. */
  readonly point: SeriesPoint;
  /** The last two readings of the server's stage clocks; undefined for a server that has none. */
  readonly stages: readonly [StageReport, StageReport] | undefined;
}

export interface RunOptions {
  readonly scenario: Scenario;
  readonly target: Target;
  /** Generator threads. */
  readonly threads: number;
  readonly seed: number;
  /** Names of the run's SKUs begin with it. */
  readonly skuPrefix: string;
  /** Of this package, for the result. */
  readonly version: string;
  /** Longest wait for the last answers, ms; 5 s unless given. */
  readonly drainMs?: number;
  readonly onLive?: (state: LiveState) => void;
}

const MOST_PERIODS = 240;
const SHORTEST_PERIOD_MS = 250;
const DRAIN_MS = 5000;
const LOOK_MS = 50;
const CAPACITY_MS = 1000;
/** A machine that others keep busy may give the server no time for a second. */
const CAPACITY_ATTEMPTS = 3;

/** Plays a scenario once and holds the clients' account against the server's books. Rejects when the run could not be made. */
export async function runScenario(options: RunOptions): Promise<StressResult> {
  const run = new Run(options);
  const startedAt = new Date().toISOString();
  try {
    const { scenario, target } = options;
    await run.open();
    const { result, ...watch } = await watched(async () => ({ result: await run.play() }));
    return {
      scenario: scenario.name,
      ...result,
      workers: target.workers,
      cores: availableParallelism(),
      fronts: target.fronts,
      threads: options.threads,
      startedAt,
      seed: options.seed,
      ack: target.ack,
      store: target.store,
      version: options.version,
      machine: describeMachine(),
      ...watch,
    };
  } finally {
    await run.close();
  }
}

type Played = Omit<
  StressResult,
  | 'scenario'
  | 'workers'
  | 'cores'
  | 'fronts'
  | 'threads'
  | 'startedAt'
  | 'seed'
  | 'ack'
  | 'store'
  | 'version'
  | 'machine'
  | 'steal'
  | 'others'
  | 'trusted'
>;

class Run {
  private readonly options: RunOptions;
  private readonly pool: Piscina;
  private asker: Asker | undefined;

  constructor(options: RunOptions) {
    this.options = options;
    const traffic = new URL(`./traffic${extname(import.meta.filename)}`, import.meta.url);
    this.pool = loadThreads(traffic, options.threads);
  }

  async open(): Promise<void> {
    const { port, token } = this.options.target;
    this.asker = await Asker.connect(port, 'stress', token);
  }

  async close(): Promise<void> {
    this.asker?.close();
    await this.pool.destroy();
  }

  async play(): Promise<Played> {
    const { scenario, target, skuPrefix } = this.options;
    const side = new ServerSide(target, this.asker as Asker, scenario, skuPrefix);
    await side.open();
    await stock(target.port, scenario.skus, scenario.unitsPerSku, 0, skuPrefix, target.token);
    const capacityPerSecond = await this.capacityOf(scenario);
    const streams =
      capacityPerSecond === undefined ? scenario.streams : atCapacity(scenario, capacityPerSecond);
    const lengthMs = scenario.seconds * 1000;
    const periodMs = Math.max(SHORTEST_PERIOD_MS, Math.ceil(lengthMs / MOST_PERIODS));
    const stages: StageReport[] = [];
    const merger = new Merger(this.options.threads, periodMs, scenario.warmUpSeconds * 1000);
    const readings = setInterval(() => {
      void readStages(target).then((report) => report !== undefined && stages.push(report));
    }, periodMs);
    merger.onPoint = (point) =>
      this.options.onLive?.({
        scenario: scenario.name,
        elapsedMs: point.atMs,
        lengthMs,
        periodMs,
        point,
        stages: stages.length < 2 ? undefined : [stages[stages.length - 2], stages[stages.length - 1]],
      });
    let outcomes: Outcome[];
    try {
      const first = await readStages(target);
      if (first !== undefined) stages.push(first);
      outcomes = await this.load(streams, lengthMs, periodMs, merger, this.restockAt(scenario, side));
    } finally {
      clearInterval(readings);
    }
    const last = await readStages(target);
    if (last !== undefined) stages.push(last);
    const account = addAccounts(outcomes.map((outcome) => outcome.account));
    const books = await side.close(account);
    const { problems, ...verdict } = judge(account, books);
    const { counts, ...headline } = merger.headline(outcomes);
    const main = streams[0] as Stream;
    return {
      ...headline,
      ...verdict,
      counts: { ...counts, ...(capacityPerSecond !== undefined && { capacityPerSecond }) },
      problems,
      commandsPerFrame: main.commandsPerFrame,
      connections: streams.reduce((sum, { connections }) => sum + connections, 0),
      mode: main.ratePerSecond === undefined ? 'closed' : 'open',
      framesInFlight: main.framesInFlight ?? null,
      ttlMs: main.ttlMs,
      skus: scenario.skus,
      periodMs,
      warmUpMs: Math.round((scenario.warmUpSeconds * 1000) / periodMs) * periodMs,
      series: merger.series,
      latencyHistogram: merger.distribution(),
      stages,
      bottleneck: limitOf(stages, scenario),
      runs: [],
    };
  }

  /** Holds a second that the server accepts in a closed loop; undefined for a scenario that does not ask for it. */
  private async capacityOf({ timesCapacity, streams }: Scenario): Promise<number | undefined> {
    const [main] = streams as [Stream, ...Stream[]];
    if (timesCapacity === undefined) return undefined;
    for (let attempt = 0; attempt < CAPACITY_ATTEMPTS; attempt++) {
      const merger = new Merger(this.options.threads, SHORTEST_PERIOD_MS, 0);
      const outcomes = await this.load([main], CAPACITY_MS, SHORTEST_PERIOD_MS, merger);
      await sleep(main.ttlMs + LOOK_MS);
      const { acceptedPerSecond } = merger.headline(outcomes);
      if (acceptedPerSecond > 0) return acceptedPerSecond;
    }
    throw new Error(
      `In ${CAPACITY_ATTEMPTS} s of closed loop the server accepted nothing, so there is no rate to offer ${timesCapacity} times. Is the machine busy? --rate sets one.`,
    );
  }

  /** Puts the streams on the server, divided over the threads. */
  private async load(
    streams: readonly Stream[],
    lengthMs: number,
    periodMs: number,
    merger: Merger,
    onStart: () => Promise<void> = async () => {},
  ): Promise<Outcome[]> {
    const { threads, scenario, target, seed, skuPrefix, drainMs = DRAIN_MS } = this.options;
    const { aheadMs } = this.asker as Asker;
    const channels = Array.from({ length: threads }, () => new MessageChannel());
    const ready = channels.map(
      ({ port1 }, thread) =>
        new Promise<void>((resolve) => {
          port1.on('message', (message: 'ready' | Period) =>
            message === 'ready' ? resolve() : merger.take(thread, message),
          );
        }),
    );
    const closed = channels.map(
      ({ port1 }) => new Promise<void>((resolve) => port1.once('close', () => resolve())),
    );
    const tasks = channels.map(({ port2 }, thread) => {
      const share: Share = {
        port: target.port,
        pass: target.pass,
        skuPrefix,
        skus: scenario.skus,
        popularity: scenario.popularity,
        streams: streams.map((stream) => part(stream, thread, threads)),
        thread,
        seed,
        lengthMs,
        drainMs,
        periodMs,
        aheadMs,
        originMs: Math.floor(Date.now() + aheadMs),
        spanMs: lengthMs + longestTtlMs(scenario) + 4 * DRAIN_MS,
        told: port2,
      };
      return this.pool.run(share, { transferList: [port2] }) as Promise<Outcome>;
    });
    try {
      await Promise.race([Promise.all(ready), Promise.all(tasks)]);
      for (const { port1 } of channels) port1.postMessage('start');
      const [outcomes] = await Promise.all([Promise.all(tasks), onStart()]);
      // A thread's outcome comes another way than its periods, of which the last may be behind it.
      await Promise.all(closed);
      return outcomes;
    } finally {
      for (const { port1 } of channels) port1.close();
    }
  }

  private restockAt({ restock, seconds }: Scenario, side: ServerSide): () => Promise<void> {
    return async () => {
      if (restock === undefined) return;
      // Holds up no end of the process when the run came to none.
      await sleep(restock.at * seconds * 1000, undefined, { ref: false });
      await side.restock(restock.units);
    };
  }
}

/** A thread's part of a stream: connections, rate and number of holds are divided, and no thread is without a connection. */
function part(stream: Stream, thread: number, threads: number): Stream {
  const share = (whole: number): number =>
    Math.floor((whole * (thread + 1)) / threads) - Math.floor((whole * thread) / threads);
  return {
    ...stream,
    connections: Math.max(1, share(stream.connections)),
    ...(stream.ratePerSecond !== undefined && { ratePerSecond: stream.ratePerSecond / threads }),
    ...(stream.holds !== undefined && { holds: share(stream.holds) }),
    ...(stream.cutsPerSecond !== undefined && { cutsPerSecond: stream.cutsPerSecond / threads }),
  };
}

/** The streams as they are to run: the rate of the first depends on what the server was found to take. */
function atCapacity({ timesCapacity = 1, streams }: Scenario, capacityPerSecond: number): readonly Stream[] {
  const [{ framesInFlight: _, ...main }, ...others] = streams as [Stream, ...Stream[]];
  return [{ ...main, ratePerSecond: capacityPerSecond * timesCapacity }, ...others];
}

/** What kept the server from being faster while the load was measured. */
function limitOf(stages: readonly StageReport[], { seconds, warmUpSeconds }: Scenario): string {
  const startMs = stages[0]?.atMs ?? 0;
  const from = stages.find(({ atMs }) => atMs >= startMs + warmUpSeconds * 1000);
  const to = stages.findLast(({ atMs }) => atMs <= startMs + seconds * 1000) ?? stages.at(-1);
  if (from === undefined || to === undefined) return 'the server has no stage clocks';
  return stagesBetween(from === to ? (stages[0] as StageReport) : from, to).limit;
}
