import { rmSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { FLAWS } from '../../src/storage/failpoints.ts';
import { noRedis } from '../fixtures/redis.ts';
import { buildServer } from './build.ts';
import { PLANTED } from './plan.ts';
import { toText } from './report.ts';
import { type CrashReport, runCrash } from './run.ts';

/** One test waits for processes to start and end, dozens of times. */
const PATIENCE_MS = 900_000;
const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const server = buildServer();
afterAll(() => server.remove());
// Runs are beside each other, and each has a directory and servers to clear away should this process end.
process.setMaxListeners(100);
/** A small crowd: what counts here is that it finds what it has to. */
const defaults = {
  main: server.main,
  seed,
  store: 'file',
  ack: 'sync',
  failpoint: undefined,
  flaw: undefined,
  shoppers: 3,
} as const;

/** Fails with the whole report, which names the seed. */
function expectNoViolations(report: CrashReport): void {
  expect(report.tally.violated, toText(report)).toBe(0);
}

describe(`a server that is killed, with seed ${seed}`, { timeout: PATIENCE_MS }, () => {
  // Beside each other: each of them mostly waits for a process to start.
  it.concurrent('loses nothing that it acknowledged, wherever it dies', async () => {
    const report = await runCrash({ ...defaults, kills: PLANTED.length + 3, failpoint: 'each' });
    expectNoViolations(report);
    expect(Object.keys(report.faults)).toEqual(expect.arrayContaining([...PLANTED]));
    expect(report.restarts).toBeGreaterThan(PLANTED.length);
    expect(report.tally.holds).toBeGreaterThan(0);
    expect(report.tally.unknown).toBeGreaterThan(0);
    expect(report.tally.audits).toBeGreaterThan(PLANTED.length / 2);
  });

  it.concurrent('loses nothing with its journal in Redis', async ({ skip }) => {
    skip(noRedis !== undefined, noRedis);
    const report = await runCrash({ ...defaults, store: 'redis', kills: 2 });
    expectNoViolations(report);
    expect(Object.keys(report.faults).length).toBeGreaterThan(0);
  });

  it.concurrent('loses nothing with several fronts', async () => {
    const report = await runCrash({ ...defaults, fronts: 3, kills: 4 });
    expectNoViolations(report);
    expect(report.tally.holds).toBeGreaterThan(0);
  });

  it.concurrent.each(FLAWS)('is found out when it makes the mistake %s', async (flaw) => {
    // How much happens before a kill is a matter of the machine, and so is which kill finds it out.
    let report: CrashReport;
    let attempt = 0;
    do report = await runCrash({ ...defaults, seed: seed + attempt, kills: 12, flaw });
    while (report.tally.violated === 0 && ++attempt < 5);
    expect(report.tally.violated, toText(report)).toBeGreaterThan(0);
    rmSync(report.dataKept as string, { recursive: true });
  });
});
