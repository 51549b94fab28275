import type { StageReport } from '../../src/shard/stage-report.ts';
import type { Machine } from '../machine.ts';

/** Latencies in ms, all 0 where nothing was answered. In an open loop they count from the time at which a command was to be sent, in a closed loop from when it was. */
export interface LatencyMs {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly p9999: number;
  readonly max: number;
}

/** What happened in one period of a run. Rates are not given: divide the counts by the period. */
export interface SeriesPoint {
  /** End of the period, ms since the run's first command. In the last ones, nothing is offered and what is under way is waited for. */
  readonly atMs: number;
  /** Commands that were due, and those answered, by how. */
  readonly offered: number;
  readonly accepted: number;
  readonly refused: number;
  /** Commands that were due and have no answer yet at the period's end, sent or not. */
  readonly waiting: number;
  /** Of the commands answered in the period; null when there were none. */
  readonly latencyMs: LatencyMs | null;
}

/** Headline of one run; with `--repeats`, of each. */
export interface RunHeadline {
  readonly offeredPerSecond: number;
  readonly acceptedPerSecond: number;
  readonly refusedPerSecond: number;
  readonly unanswered: number;
  readonly latencyMs: LatencyMs;
}

/** How the clients' account and the server's books compare, see books.ts. All are units, and 0 when all is well. */
export interface Verdict {
  /** Units promised to more than one: beyond the stock, or sold without a client having been told. */
  readonly oversold: number;
  /** Units still held when every deadline had passed. */
  readonly leaked: number;
  /** Units of holds and sales that were acknowledged and that the server does not know. */
  readonly lost: number;
}

/** What `holdfast stress --json` prints for each scenario. With repeats, rates and latencies are those of the run with the median rate. */
export interface StressResult extends RunHeadline, Verdict {
  readonly scenario: string;
  readonly commandsPerFrame: number;
  readonly connections: number;
  readonly workers: number;
  readonly cores: number;

  readonly fronts: number;
  readonly mode: 'open' | 'closed';
  /** Of the clients that are measured: frames that each connection keeps under way (null in an open loop), and their holds' time to live. */
  readonly framesInFlight: number | null;
  readonly ttlMs: number;
  readonly skus: number;
  /** Of the load generator. */
  readonly threads: number;
  /** Measured time of a run in s, without its warm-up, and when the first began (ISO 8601). */
  readonly seconds: number;
  readonly startedAt: string;
  readonly seed: number;
  readonly ack: string;
  /** Where the server keeps its journal; null when it keeps none, or was not started by the run. */
  readonly store: string | null;
  readonly version: string;
  /** Part of the series that comes before what was measured, ms. */
  readonly warmUpMs: number;
  /** Of the commands that were accepted only; null when none was. */
  readonly acceptedLatencyMs: LatencyMs | null;
  /** Commands by the status that refused them, in the whole run. */
  readonly refusedBy: Readonly<Record<string, number>>;
  /** What a scenario counts besides: connections that were cut, slow readers that were closed, … */
  readonly counts: Readonly<Record<string, number>>;
  /** Sentences about books that are not right. */
  readonly problems: readonly string[];
  readonly periodMs: number;
  readonly series: readonly SeriesPoint[];
  /** Latencies of all answers: [up to so many ms, commands], ascending, without empty steps. */
  readonly latencyHistogram: readonly (readonly [number, number])[];
  /** Readings of `GET /v1/stages` over the run, the first from its start; empty for a server that has none. */
  readonly stages: readonly StageReport[];
  /** What keeps the server from being faster, in one line. */
  readonly bottleneck: string;
  /** Every run. */
  readonly runs: readonly RunHeadline[];
  readonly machine: Machine;
  /** CPU time taken by the host and by other processes, per cent; see perf/machine.ts. */
  readonly steal: number | null;
  readonly others: number | null;
  readonly trusted: boolean;
}
