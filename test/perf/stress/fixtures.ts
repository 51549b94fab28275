import type { Account } from '../../../perf/stress/account.ts';
import { newAccount } from '../../../perf/stress/account.ts';
import type { ServerBooks } from '../../../perf/stress/judge.ts';
import type { LatencyMs, SeriesPoint, StressResult } from '../../../perf/stress/result.ts';

export const ORIGIN_MS = 1_800_000_000_000;

/** Two SKUs, nothing promised, deadlines within a second. */
export function account(change: (account: Account) => void = () => {}): Account {
  const made = newAccount(2, ORIGIN_MS, 1000);
  change(made);
  return made;
}

/** The books of a server on which nothing is held and nothing was sold of 50 units of each SKU. */
export function serverBooks(change: Partial<ServerBooks> = {}): ServerBooks {
  return {
    stocked: 100,
    unitsPerSku: 50,
    heldAtStop: 0,
    heldAtEnd: 0,
    stopMs: ORIGIN_MS,
    violationsBefore: 0,
    violations: 0,
    sold: 0,
    soldBySku: new Int32Array(2),
    ...change,
  };
}

export function latency(ms: number): LatencyMs {
  return { p50: ms, p90: 2 * ms, p99: 3 * ms, p999: 4 * ms, p9999: 5 * ms, max: 6 * ms };
}

const PERIOD_MS = 250;

/** A run of so many periods in which so many commands a second were accepted, and latencies were so many ms at the median. */
export function result(rates: readonly number[], change: Partial<StressResult> = {}, p50 = 1): StressResult {
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const series = rates.map((rate, i): SeriesPoint => {
    const accepted = (rate * PERIOD_MS) / 1000;
    return {
      atMs: (i + 1) * PERIOD_MS,
      offered: accepted,
      accepted,
      refused: 0,
      waiting: 0,
      latencyMs: latency(p50),
    };
  });
  const headline = {
    offeredPerSecond: mean,
    acceptedPerSecond: mean,
    refusedPerSecond: 0,
    unanswered: 0,
    latencyMs: latency(p50),
  };
  return {
    scenario: 'hot',
    ...headline,
    ...{ oversold: 0, leaked: 0, lost: 0 },
    ...{ commandsPerFrame: 1, connections: 10, workers: 2, cores: 2, fronts: 1 },
    ...{ mode: 'closed', framesInFlight: 5, skus: 1, ttlMs: 200, threads: 1 },
    seconds: (rates.length * PERIOD_MS) / 1000,
    startedAt: '2026-01-01T00:00:00.000Z',
    ...{ seed: 1, ack: 'sync', store: null, version: '1.2.3', refusedBy: {}, counts: {}, problems: [] },
    periodMs: PERIOD_MS,
    ...{ warmUpMs: 0, acceptedLatencyMs: latency(p50) },
    series,
    ...{ latencyHistogram: [], stages: [], bottleneck: '', runs: [headline] },
    machine: { cpu: 'x', cores: 2, memoryGiB: 8, kernel: 'linux', node: 'v22', loadAverage: 0 },
    ...{ steal: 0, others: 0, trusted: true },
    ...change,
  };
}
