import type { LaneName } from './lanes.ts';
import { percentileUs } from './stage-histogram.ts';

/**
 * The stages of a command's way, in order. Waiting: `queue` and `durable`. Work: the others.
 *
 *     read     its frame arrives → it is published in its worker's ring
 *     queue    → the worker takes it
 *     apply    → its reply and its event are published
 *     durable  → its event is durable; 0 for a reply that waits for nothing
 *     send     → its reply is handed to the socket
 */
export const STAGES = ['read', 'queue', 'apply', 'durable', 'send'] as const;
export type Stage = (typeof STAGES)[number];

/** How long a stage took for the commands that were sampled, since the server's start. */
export interface StageHistogram {
  readonly count: number;
  readonly sumUs: number;
  /** Commands by time; the edges are in the report's bucketUpperUs. */
  readonly buckets: readonly number[];
}

/** What a thread did with its time since it started. Busy, idle and I/O add up to that time. */
export interface ThreadTimes {
  /** front-0, shard-0, storage. */
  readonly name: string;
  readonly busyUs: number;
  readonly idleUs: number;
  /**
   * What it had a core for, up to 0.1 s behind. A thread that has to wait for a core counts as busy, so that on a machine with fewer
   * cores than busy threads this is less than busyUs. It includes what system calls took.
   */
  readonly cpuUs: number;
  /** Of the storage thread only: waiting until the store has made something durable, by fdatasync or in Redis. */
  readonly ioUs?: number;
  readonly waitsFor?: 'disk' | 'network';
}

/** What waits in one lane of a worker's commands, over all fronts. */
export interface LaneWaiting {
  readonly waitingCommands: number;
  /** How full its ring is, 0 to 1; the fullest, where there are several fronts. */
  readonly ringFill: number;
}

export interface WorkerStages {
  readonly worker: number;
  /** Commands in its rings that it has not answered, and answers that have not left. */
  readonly waitingCommands: number;
  readonly waitingReplies: number;
  /** How full its rings are, 0 to 1; the fullest, where there are several fronts or lanes. */
  readonly commandRingFill: number;
  readonly replyRingFill: number;
  readonly eventRingFill: number;
  readonly lanes: Readonly<Record<LaneName, LaneWaiting>>;
  readonly stages: Readonly<Record<Stage, StageHistogram>>;
}

/** What `GET /v1/stages` answers. Everything counts from the server's start on: subtract two with stagesBetween(). */
export interface StageReport {
  /** Server's clock, ms since the epoch. */
  readonly atMs: number;
  readonly fronts: number;
  /** One command in so many is timed at present. */
  readonly sampledOneIn: number;
  /** For each bucket, the time in µs that is just too long for it. */
  readonly bucketUpperUs: readonly number[];
  readonly threads: readonly ThreadTimes[];
  readonly workers: readonly WorkerStages[];
}

/** How long a stage took between two reports. Percentiles are at most an eighth too long. */
export interface StageTimes {
  /** Commands sampled. */
  readonly count: number;
  readonly meanUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
}

/** Shares of a thread's time between two reports, 0 to 1. */
export interface ThreadShare {
  readonly name: string;
  readonly busy: number;
  /** What it had a core for; of its busy time the rest went by waiting for one. */
  readonly cpu: number;
  readonly io: number;
  readonly waitsFor?: 'disk' | 'network';
}

/** The time between two reports of one server. */
export interface StageInterval {
  readonly fromMs: number;
  readonly toMs: number;
  readonly threads: readonly ThreadShare[];
  /** As they stand at the end, but for the stages. */
  readonly workers: readonly (Omit<WorkerStages, 'stages'> & {
    readonly stages: Readonly<Record<Stage, StageTimes>>;
  })[];
  /** Over all workers. */
  readonly stages: Readonly<Record<Stage, StageTimes>>;
  /** What keeps the server from being faster, in one line. */
  readonly limit: string;
}

/** A thread that is busier than this is the limit. */
const LIMIT_SHARE = 0.85;
/** A busy thread that has a core for less than this share of the time is kept back by the machine. */
const CORE_SHARE = 0.75;

/** What happened between two reports of the same run of a server. A worker or thread that only the second names counts from zero. */
export function stagesBetween(before: StageReport, after: StageReport): StageInterval {
  const upperUs = after.bucketUpperUs;
  const zero = after.bucketUpperUs.map(() => 0);
  const changes = after.workers.map((worker) => {
    const old = before.workers.find((other) => other.worker === worker.worker);
    return byStage((stage) => subtract(worker.stages[stage], old?.stages[stage], zero));
  });
  const threads = after.threads.map((thread) =>
    shareOf(
      thread,
      before.threads.find((other) => other.name === thread.name),
    ),
  );
  return {
    fromMs: before.atMs,
    toMs: after.atMs,
    threads,
    workers: after.workers.map((worker, i) => ({
      ...worker,
      stages: byStage((stage) => timesOf((changes[i] as Histograms)[stage], upperUs)),
    })),
    stages: byStage((stage) =>
      timesOf(
        changes.map((change) => change[stage]).reduce(add, { count: 0, sumUs: 0, buckets: zero }),
        upperUs,
      ),
    ),
    limit: limitOf(threads),
  };
}

/**
 * The bottleneck in one line. A thread without time left is the limit; where it has to wait for a core, the machine. If there is none, and
 * the storage thread waits for the disk all the time, the disk is what commands wait for.
 */
export function limitOf(threads: readonly ThreadShare[]): string {
  const fronts = threads.filter(({ name }) => name.startsWith('front-')).length;
  const called = (name: string): string => (name === 'front-0' && fronts === 1 ? 'front' : name);
  const busiest = threads.reduce<ThreadShare | undefined>(
    (most, thread) => (most === undefined || thread.busy > most.busy ? thread : most),
    undefined,
  );
  if (busiest === undefined) return 'no thread was measured';
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  if (busiest.busy >= LIMIT_SHARE) {
    const { name, busy, cpu } = busiest;
    const starved = cpu < busy * CORE_SHARE;
    return `${called(name)} is the limit: ${percent(busy)} busy${starved ? `, but with a core for ${percent(cpu)} only: the machine has too few` : ''}`;
  }
  const waiting = threads.find(({ busy, io }) => io > 0 && busy + io >= LIMIT_SHARE);
  if (waiting !== undefined) {
    const where = waiting.waitsFor === 'network' ? 'network: % of its time' : 'disk: % in fdatasync';
    const own = waiting.io >= LIMIT_SHARE ? '' : `, ${percent(waiting.busy)} busy`;
    return `${waiting.name} waits for the ${where.replace('%', percent(waiting.io))}${own}`;
  }
  return `no thread is the limit: the busiest, ${called(busiest.name)}, is ${percent(busiest.busy)} busy`;
}

type Histograms = Record<Stage, StageHistogram>;

function byStage<T>(make: (stage: Stage) => T): Record<Stage, T> {
  return Object.fromEntries(STAGES.map((stage) => [stage, make(stage)])) as Record<Stage, T>;
}

function subtract(
  after: StageHistogram,
  before: StageHistogram | undefined,
  zero: readonly number[],
): StageHistogram {
  const old = before?.buckets ?? zero;
  return {
    count: after.count - (before?.count ?? 0),
    sumUs: after.sumUs - (before?.sumUs ?? 0),
    buckets: after.buckets.map((count, bucket) => count - (old[bucket] ?? 0)),
  };
}

function add(one: StageHistogram, other: StageHistogram): StageHistogram {
  return {
    count: one.count + other.count,
    sumUs: one.sumUs + other.sumUs,
    buckets: one.buckets.map((count, bucket) => count + (other.buckets[bucket] ?? 0)),
  };
}

function timesOf({ count, sumUs, buckets }: StageHistogram, upperUs: readonly number[]): StageTimes {
  return {
    count,
    meanUs: count === 0 ? 0 : sumUs / count,
    p50Us: percentileUs(buckets, upperUs, 0.5),
    p99Us: percentileUs(buckets, upperUs, 0.99),
    p999Us: percentileUs(buckets, upperUs, 0.999),
  };
}

function shareOf(after: ThreadTimes, before: ThreadTimes | undefined): ThreadShare {
  const busyUs = after.busyUs - (before?.busyUs ?? 0);
  const idleUs = after.idleUs - (before?.idleUs ?? 0);
  const cpuUs = after.cpuUs - (before?.cpuUs ?? 0);
  const ioUs = (after.ioUs ?? 0) - (before?.ioUs ?? 0);
  const all = busyUs + idleUs + ioUs;
  const share = (us: number): number => (all === 0 ? 0 : us / all);
  const { name, waitsFor } = after;
  return {
    name,
    busy: share(busyUs),
    cpu: Math.min(1, share(cpuUs)),
    io: share(ioUs),
    ...(waitsFor && { waitsFor }),
  };
}
