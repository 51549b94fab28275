import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { build, type Histogram } from 'hdr-histogram-js';
import { readTreeTicks } from '../processes.ts';
import { rounded } from '../stats.ts';
import { openHoldfast } from './holdfast-link.ts';
import { openJson } from './json-link.ts';
import type { Link, LinkOptions, Links, Sweeper } from './link.ts';
import { openRowLock, openSelectForUpdate } from './postgres-link.ts';
import { openRedisLua } from './redis-link.ts';
import { openRedlock } from './redlock-link.ts';

/** How many connections and requests under way, and how many holds in a request. */
export interface Drive {
  readonly connections: number;
  readonly inFlight: number;
  readonly holdsPerRequest: number;
}

/** One run against one side. Times are ms. */
export interface PeerLoad
  extends Drive,
    Pick<LinkOptions, 'port' | 'password' | 'asynchronous' | 'skus' | 'firstSku' | 'ttlMs'> {
  readonly dialect: Dialect;
  /** Process of the side; with its children it is what the CPU time is told of. */
  readonly pid: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Longest wait for the last answers. */
  readonly drainMs: number;
  /** Whether to stay until the holds have ended, so that they are no burden to the next run. */
  readonly untilEnded: boolean;
}

export interface PeerLoadResult {
  /** Accepted holds a second in the measured window. */
  readonly acceptedPerSecond: number;
  /** From the write of a request to the read of its answer in the measured window, ms. */
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  /** Holds of the whole run, warm-up and last answers included. */
  readonly accepted: number;
  readonly refused: number;
  readonly unanswered: number;
  /** Holds that ended in the measured window for each that was accepted in it; null where the side ends them by itself. */
  readonly endedShare: number | null;
  /** Busy cores of the side, and the busy share of the load's own thread, in the measured window; null without /proc. */
  readonly serverCores: number | null;
  readonly loadBusy: number;
}

type Open = (options: Omit<LinkOptions, 'index' | 'links'>, connections: number) => Promise<Links>;

const DIALECTS = {
  holdfast: openHoldfast,
  redisLua: openRedisLua,
  redlock: openRedlock,
  rowLock: openRowLock,
  selectForUpdate: openSelectForUpdate,
  json: openJson,
} satisfies Record<string, Open>;
export type Dialect = keyof typeof DIALECTS;

/** How long a sweeper rests when nothing more is due. */
const SWEEP_PAUSE_MS = 10;
/** Sweeps that may be under way together: a sweep waits behind all the holds that are, and has to keep up with them. */
const MOST_SWEEPS = 32;
/** Of /proc: ticks a second, as on every Linux. */
const TICKS_PER_SECOND = 100;

/** Keeps a closed loop on a side for a time. It is a pool task: the default export takes and returns plain data. */
export default async function drive(load: PeerLoad): Promise<PeerLoadResult> {
  const { links, sweeper } = await DIALECTS[load.dialect](load, load.connections);
  const broom = sweeper && new Broom(sweeper);
  const failure = new Promise<never>((_, reject) => {
    for (const each of [...links, ...(sweeper ? [sweeper] : [])]) each.onFailure = reject;
  });
  failure.catch(() => {});
  try {
    return await Promise.race([measure(load, links, broom), failure]);
  } finally {
    for (const link of links) link.close();
    broom?.close();
  }
}

async function measure(
  load: PeerLoad,
  links: readonly Link[],
  broom: Broom | undefined,
): Promise<PeerLoadResult> {
  const lanes = links.map((link) => new Lane(link));
  const sum = (of: (lane: Lane) => number) => lanes.reduce((total, lane) => total + of(lane), 0);
  const accepted = () => sum(({ link }) => link.accepted);
  for (const lane of lanes) lane.start();
  await sleep(load.warmUpMs);
  const histogram = build({ highestTrackableValue: 60_000_000, useWebAssembly: false });
  for (const lane of lanes) lane.histogram = histogram;
  const before = { accepted: accepted(), ended: broom?.ended ?? 0, ticks: readTreeTicks(load.pid) };
  const idleBefore = performance.eventLoopUtilization();
  const startMs = performance.now();
  await sleep(load.measureMs);
  const seconds = (performance.now() - startMs) / 1000;
  const acceptedThen = accepted() - before.accepted;
  const endedThen = (broom?.ended ?? 0) - before.ended;
  const loadBusy = performance.eventLoopUtilization(idleBefore).utilization;
  const ticks = readTreeTicks(load.pid);
  for (const lane of lanes) lane.stop();
  const deadline = performance.now() + load.drainMs;
  while (sum((lane) => lane.waiting) > 0 && performance.now() < deadline) await sleep(2);
  if (load.untilEnded) await (broom?.emptied(load.ttlMs) ?? sleep(load.ttlMs));
  return {
    acceptedPerSecond: acceptedThen / seconds,
    latencyMs: {
      p50: rounded(histogram.getValueAtPercentile(50) / 1000),
      p99: rounded(histogram.getValueAtPercentile(99) / 1000),
    },
    accepted: accepted(),
    refused: sum(({ link }) => link.refused),
    unanswered: sum(({ waiting }) => waiting) * load.holdsPerRequest,
    endedShare: broom === undefined || acceptedThen === 0 ? null : rounded(endedThen / acceptedThen),
    serverCores:
      ticks === null || before.ticks === null
        ? null
        : rounded((ticks - before.ticks) / TICKS_PER_SECOND / seconds),
    loadBusy: rounded(loadBusy),
  };
}

/** Keeps a link's requests under way, and takes the time of each. */
class Lane {
  readonly link: Link;
  histogram: Histogram | null = null;
  private sent = 0;
  private answered = 0;
  private stopped = false;
  /** Requests that left together, and when: a ring, since answers come in order. */
  private readonly counts: Int32Array;
  private readonly timesMs: Float64Array;
  private first = 0;
  private next = 0;

  constructor(link: Link) {
    this.link = link;
    this.counts = new Int32Array(link.inFlight + 1);
    this.timesMs = new Float64Array(link.inFlight + 1);
    link.onAnswered = (requests) => this.onAnswered(requests);
  }

  /** Requests without an answer. */
  get waiting(): number {
    return this.sent - this.answered;
  }

  start(): void {
    this.send(this.link.inFlight);
  }

  stop(): void {
    this.stopped = true;
    this.histogram = null;
  }

  private send(requests: number): void {
    this.sent += requests;
    this.counts[this.next] = requests;
    this.timesMs[this.next] = performance.now();
    this.next = (this.next + 1) % this.counts.length;
    this.link.send(requests);
  }

  private onAnswered(requests: number): void {
    const nowMs = performance.now();
    this.answered += requests;
    for (let left = requests; left > 0; ) {
      const count = Math.min(left, this.counts[this.first]);
      this.histogram?.recordValueWithCount(Math.round((nowMs - this.timesMs[this.first]) * 1000), count);
      left -= count;
      this.counts[this.first] -= count;
      if (this.counts[this.first] === 0) this.first = (this.first + 1) % this.counts.length;
    }
    if (!this.stopped) this.send(requests);
  }
}

/** A sweeper that sweeps all the time. */
class Broom {
  ended = 0;
  /** Rounds that left nothing that was due. */
  private rests = 0;
  private readonly sweeper: Sweeper;
  private closed = false;

  constructor(sweeper: Sweeper) {
    this.sweeper = sweeper;
    void this.run();
  }

  /** Resolves when everything that was there must be due by now and has been swept. */
  async emptied(ttlMs: number): Promise<void> {
    await sleep(ttlMs + SWEEP_PAUSE_MS);
    // A round under way may have begun too early to find the last.
    for (const enough = this.rests + 2; this.rests < enough; ) await sleep(2);
  }

  close(): void {
    this.closed = true;
    this.sweeper.close();
  }

  private async run(): Promise<void> {
    for (let together = 1; !this.closed; ) {
      const ended = await Promise.all(Array.from({ length: together }, () => this.sweeper.sweep()));
      for (const count of ended) this.ended += count;
      const more = ended.every((count) => count === this.sweeper.limit);
      together = more ? Math.min(2 * together, MOST_SWEEPS) : Math.max(1, together - 1);
      if (more) continue;
      this.rests++;
      await sleep(SWEEP_PAUSE_MS);
    }
  }
}
