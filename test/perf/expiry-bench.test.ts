import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { benchExpiry, type ExpiryOptions } from '../../perf/expiry.ts';
import { measureLateness } from '../../perf/load/lateness.ts';
import { renderReport } from '../../perf/report.ts';
import type { Report } from '../../perf/suite.ts';
import { limitsOf } from '../../perf/targets.ts';
import { HOLDFAST_SERVER } from '../../perf/wire.ts';
import { startHere } from '../fixtures/server.ts';

const LIMIT_MS = 300_000;
const TINY: ExpiryOptions = {
  ...{ seconds: 0.2, probes: 10, skus: 400, ttlMs: 50, holds: 3000, repeats: 2 },
  server: HOLDFAST_SERVER,
};

describe('the expiry benchmark', () => {
  it('sees every hold end, never early, and all units come back', { timeout: LIMIT_MS }, async () => {
    const { lateMs, million, verified } = await benchExpiry(TINY);
    expect(verified).toBe(true);
    expect(lateMs.holds).toBeGreaterThanOrEqual(TINY.probes);
    expect(lateMs.p50).toBeGreaterThanOrEqual(0);
    expect(lateMs.p99).toBeGreaterThanOrEqual(lateMs.p50);
    expect(lateMs.max).toBeGreaterThanOrEqual(lateMs.p99);
    expect(million.holds).toBe(TINY.holds);
    expect(million.longestPauseMs).toBeGreaterThanOrEqual(million.p99PauseMs);
    for (const figure of [million.p99PauseMs, million.quietPauseMs, million.longestSliceMs]) {
      expect(figure).toBeGreaterThan(0);
    }
  });

  it('fails when its server does not start', async () => {
    const server = [fileURLToPath(new URL('./no-such-file.ts', import.meta.url))];
    await expect(benchExpiry({ ...TINY, server })).rejects.toThrow(/The Holdfast server ended by itself/);
  });

  it('measures one hold for each probe at least, on a server with nothing else to do', async () => {
    const server = await startHere();
    try {
      const lateMs = await measureLateness({ port: server.port, probes: 5, forMs: 50 });
      expect(lateMs).toHaveLength(5);
      expect(Math.min(...lateMs)).toBeGreaterThanOrEqual(0);
    } finally {
      await server.stop();
    }
  });
});

describe('the figures of the expiry', () => {
  it.each([
    [50, 5, [true, true]],
    [51, 5, [false, true]],
    [50, 5.001, [true, false]],
  ])('are held against their limits: p99 %d ms, slice %d ms', (p99, longestSliceMs, met) => {
    const limits = limitsOf(report(p99, longestSliceMs));
    expect(limits.map(({ figure }) => figure)).toEqual([p99, longestSliceMs]);
    expect(limits.map((limit) => limit.met)).toEqual(met);
  });

  it('have no limit when they were not taken', () => {
    const { expiry: _, ...rest } = report(1, 1);
    expect(limitsOf(rest)).toEqual([]);
  });

  it('stand in the table, with their limits', () => {
    const text = renderReport(report(51, 1.5));
    expect(text).toMatch(/^expiry under load +late by p50 9 ms, p99 51 ms, at most 60 ms$/m);
    expect(text).toMatch(
      /^expiry of 1,000,000 at once +longest answer 4 ms .*longest slice 1.5 ms, all back in 90 ms$/m,
    );
    expect(text).toMatch(/^expiry under load, p99 +51 ms +at most 50 ms {2}not met$/m);
    expect(text).toMatch(/^expiry of very many, slice +1.5 ms +at most 5 ms {2}met$/m);
  });
});

function report(p99: number, longestSliceMs: number): Report {
  const watched = { steal: 0, others: 0, trusted: true };
  return {
    machine: { cpu: 'A CPU', cores: 2, memoryGiB: 8, kernel: 'linux 6', node: 'v22', loadAverage: 0.1 },
    ...watched,
    expiry: {
      lateMs: { p50: 9, p99, max: 60, holds: 100 },
      million: {
        ...{ holds: 1_000_000, spreadMs: 5, longestPauseMs: 4, p99PauseMs: 2, quietPauseMs: 3 },
        ...{ workedOffMs: 90, longestSliceMs },
      },
      verified: true,
      ...watched,
    },
  };
}
