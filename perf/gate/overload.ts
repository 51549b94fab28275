import { rounded } from '../stats.ts';
import type { StressResult } from '../stress/result.ts';
import { runScenario } from '../stress/run.ts';
import { PLENTY, type Scenario, type Stream } from '../stress/scenario.ts';
import { startTarget } from '../stress/target.ts';

export interface OverloadOptions {
  /** Measured time of the closed loop and of the open one. */
  readonly seconds: number;
  /** Before either is measured. */
  readonly warmUpSeconds: number;
  /** How many times as many commands are offered as the server was found to take. */
  readonly times: number;
  readonly setUps: readonly SetUp[];
  /** Further options for `holdfast serve`. */
  readonly serve: readonly string[];
  readonly version: string;
  readonly onProgress?: (text: string) => void;
}

/** A server and a load for it. */
export interface SetUp {
  readonly name: string;
  /** What it is, and what limits it. */
  readonly what: string;
  readonly serve: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stream: Pick<Stream, 'connections' | 'commandsPerFrame'> & { readonly framesInFlight: number };
}

/** A store whose every sync takes 10 ms longer and whose queue is short: it limits the rate, and no thread does. */
export const SLOW_STORE: SetUp = {
  name: 'slowStore',
  what: 'ack=sync on a disk that takes 10 ms longer for a sync, event ring of 128 KiB, 20 a frame',
  serve: ['--event-ring-bytes', '128KiB'],
  env: { HOLDFAST_SLOW_SYNC_MS: '10' },
  stream: { connections: 200, framesInFlight: 2, commandsPerFrame: 20 },
};

/** The server as it is, which is limited by the processor that it shares with those who ask. */
export const PROCESSOR: SetUp = {
  name: 'processor',
  what: 'ack=sync, the defaults, 400 a frame',
  serve: [],
  env: {},
  stream: { connections: 40, framesInFlight: 2, commandsPerFrame: 400 },
};

/** Buyers who come one command a frame, beside the flood and from a generator that keeps up: what the server does to a client, and the flood's own sockets do not. */
export interface Beside {
  readonly offeredPerSecond: number;
  readonly acceptedPerSecond: number;
  readonly acceptedP50Ms: number;
  readonly acceptedP99Ms: number;
}

/** Of one set-up. Rates are commands a second, latencies ms since a command was due. */
export interface Overload {
  readonly name: string;
  readonly what: string;
  /** What the server accepts in a closed loop, and of so many times as much. */
  readonly sustainablePerSecond: number;
  readonly offeredPerSecond: number;
  /** Of what was offered, what the generator could not send, or got no answer to. */
  readonly unansweredShare: number;
  /** What the generator did send, over sustainablePerSecond: less than `times` where it has too little of the cores that it shares with the server. */
  readonly timesSent: number;
  readonly acceptedPerSecond: number;
  readonly refusedPerSecond: number;
  /** acceptedPerSecond over sustainablePerSecond. */
  readonly goodput: number;
  readonly acceptedP50Ms: number;
  readonly acceptedP99Ms: number;
  readonly beside: Beside;
  /** CONFIRMs and RELEASEs that were sent, and those that were refused for load. */
  readonly settled: number;
  readonly settlingRefused: number;
  readonly refusedBy: Readonly<Record<string, number>>;
  readonly oversold: number;
  readonly leaked: number;
  readonly lost: number;
  readonly bottleneck: string;
}

/** What has to be borne. */
export const OVERLOAD_TIMES = 10;
const THINK_MS = [20, 200] as const;
const TTL_MS = 500;
const BUYERS: Stream = { connections: 100, ratePerSecond: 2000, commandsPerFrame: 1, ttlMs: TTL_MS };
const CHECKOUT: NonNullable<Stream['checkout']> = { confirm: 0.3, release: 0.2, thinkMs: THINK_MS };

/** Finds what a server takes, and then offers many times as much. Rejects when a run could not be made, not when it ends badly. */
export async function benchOverload(options: OverloadOptions): Promise<Overload[]> {
  const results: Overload[] = [];
  for (const setUp of options.setUps) results.push(await overload(setUp, options));
  return results;
}

async function overload(setUp: SetUp, options: OverloadOptions): Promise<Overload> {
  const { name, what, stream, env } = setUp;
  const target = await startTarget([...setUp.serve, ...options.serve], [], env);
  try {
    const play = (title: string, load: Stream) => {
      options.onProgress?.(`overload ${name}: ${title}`);
      const run = runScenario({
        scenario: scenarioOf(title, load, options),
        target,
        threads: 1,
        seed: 1,
        skuPrefix: `${title}-`,
        version: options.version,
      });
      return Promise.race([run, target.failure]);
    };
    const own: Stream = { ...stream, ttlMs: TTL_MS, checkout: CHECKOUT };
    const closed = await play('closed', own);
    const { framesInFlight: _, ...open } = own;
    const ratePerSecond = closed.acceptedPerSecond * options.times;
    const [flood, beside] = await Promise.all([
      play('open', { ...open, ratePerSecond }),
      play('beside', { ...BUYERS, checkout: CHECKOUT }),
    ]);
    return figures(name, what, closed, flood, beside);
  } finally {
    await target.stop();
  }
}

function scenarioOf(name: string, stream: Stream, { seconds, warmUpSeconds }: OverloadOptions): Scenario {
  return {
    name,
    summary: '',
    shows: '',
    seconds: seconds + warmUpSeconds,
    warmUpSeconds,
    skus: 1000,
    popularity: 'uniform',
    unitsPerSku: PLENTY,
    streams: [stream],
  };
}

function figures(
  name: string,
  what: string,
  closed: StressResult,
  open: StressResult,
  beside: StressResult,
): Overload {
  const runs = [closed, open, beside];
  const sum = (pick: (run: StressResult) => number): number =>
    runs.reduce((total, run) => total + pick(run), 0);
  const { acceptedLatencyMs, counts, offeredPerSecond, acceptedPerSecond } = open;
  const answered = acceptedPerSecond + open.refusedPerSecond;
  const offered = open.series.reduce((total, point) => total + point.offered, 0);
  const sentShare = 1 - (counts.notSent ?? 0) / offered;
  return {
    name,
    what,
    sustainablePerSecond: closed.acceptedPerSecond,
    offeredPerSecond,
    timesSent: rounded((offeredPerSecond * sentShare) / closed.acceptedPerSecond),
    unansweredShare: rounded(Math.max(0, 1 - answered / offeredPerSecond)),
    acceptedPerSecond,
    refusedPerSecond: open.refusedPerSecond,
    goodput: rounded(acceptedPerSecond / closed.acceptedPerSecond),
    acceptedP50Ms: rounded(acceptedLatencyMs?.p50 ?? 0),
    acceptedP99Ms: rounded(acceptedLatencyMs?.p99 ?? 0),
    beside: {
      offeredPerSecond: beside.offeredPerSecond,
      acceptedPerSecond: beside.acceptedPerSecond,
      acceptedP50Ms: rounded(beside.acceptedLatencyMs?.p50 ?? 0),
      acceptedP99Ms: rounded(beside.acceptedLatencyMs?.p99 ?? 0),
    },
    settled: sum((run) => run.counts.settled ?? 0),
    settlingRefused: sum((run) => run.counts.settlingRefused ?? 0),
    refusedBy: open.refusedBy,
    oversold: sum((run) => run.oversold),
    leaked: sum((run) => run.leaked),
    lost: sum((run) => run.lost),
    bottleneck: open.bottleneck,
  };
}
