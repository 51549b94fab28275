import { fileURLToPath } from 'node:url';
import { MessageChannel } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SCENARIOS } from '../../../perf/scenarios/index.ts';
import { ServerProcess } from '../../../perf/server-process.ts';
import { Merger } from '../../../perf/stress/merger.ts';
import type { Period } from '../../../perf/stress/meter.ts';
import { tailored } from '../../../perf/stress/options.ts';
import { runScenario } from '../../../perf/stress/run.ts';
import type { Scenario, Stream } from '../../../perf/stress/scenario.ts';
import { findTarget, type Target } from '../../../perf/stress/target.ts';
import traffic from '../../../perf/stress/traffic.ts';
import { holdfastServer } from '../../../perf/wire.ts';
import { longEnough } from '../../fixtures/long-enough.ts';
import { standStillOnce } from '../fixtures/late-generator.ts';

const RIGHT = { oversold: 0, leaked: 0, lost: 0, problems: [] };
const SMALL = ['--segments', '4', '--workers', '2', '--store', 'none', '--ack', 'memory'];

let prefixes = 0;

function run(scenario: Scenario, target: Target, drainMs = 60_000, threads = 1) {
  return runScenario({
    scenario,
    target,
    threads,
    seed: 1,
    skuPrefix: `t${prefixes++}-`,
    version: '0.0.0',
    drainMs,
  });
}

describe('every scenario, tiny, on one real server', () => {
  let server: ServerProcess;
  let target: Target;

  beforeAll(async () => {
    server = await ServerProcess.start('Holdfast server', holdfastServer(...SMALL));
    target = await findTarget(await server.port);
  });
  afterAll(async () => server.stop());

  it.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
    '%s: the books are right, and every command is accounted for',
    (name, scenario) => longEnough(400, (ms) => runs(name, scenario, ms / 1000)),
  );

  async function runs(name: string, scenario: Scenario, seconds: number): Promise<void> {
    const result = await run(tailored(scenario, { tiny: true, seconds }), target);
    expect(result).toMatchObject({ ...RIGHT, scenario: name, workers: 2, fronts: 1 });
    // Not the rates: on a machine that is busy with something else, hardly an answer may come before the run is over.
    expect(result.series.reduce((sum, point) => sum + point.accepted, 0)).toBeGreaterThan(0);
    const offered = result.series.reduce((sum, point) => sum + point.offered, 0);
    const answered = result.series.reduce((sum, point) => sum + point.accepted + point.refused, 0);
    expect(offered).toBe(answered + result.unanswered);
    const inHistogram = result.latencyHistogram.reduce((sum, [, count]) => sum + count, 0);
    expect(inHistogram).toBe(answered);
    expect(result.stages.length).toBeGreaterThan(1);
    expectOf(name, result.refusedBy, result.counts);
  }

  it('divides a scenario over threads', async () => {
    const [hot] = SCENARIOS as readonly [Scenario];
    await longEnough(400, async (ms) => {
      const result = await run(tailored(hot, { tiny: true, seconds: ms / 1000 }), target, 60_000, 3);
      expect(result).toMatchObject({ ...RIGHT, unanswered: 0, connections: 12 });
      expect(result.series.reduce((sum, point) => sum + point.accepted, 0)).toBeGreaterThan(12);
    });
  });
});

/** What a scenario is there to show. */
function expectOf(
  name: string,
  refusedBy: Readonly<Record<string, number>>,
  counts: Readonly<Record<string, number>>,
): void {
  if (name === 'flash') expect(refusedBy.HELD_OUT ?? 0).toBeGreaterThan(0);
  if (name === 'overload') expect(counts.capacityPerSecond ?? 0).toBeGreaterThan(0);
  if (name === 'restock') expect(refusedBy.SOLD_OUT ?? refusedBy.HELD_OUT ?? 0).toBeGreaterThan(0);
  if (name === 'reconnect-storm') expect(counts.connectionsCut ?? 0).toBeGreaterThan(5);
}

describe('a server that stands still for a while', () => {
  const open: Scenario = {
    name: 'open',
    summary: '',
    shows: '',
    seconds: 0.5,
    warmUpSeconds: 0,
    // The stand-in answers no READ, so there are too many for them to be read one by one.
    skus: 20_001,
    popularity: 'uniform',
    unitsPerSku: 1_000_000,
    streams: [{ connections: 4, ratePerSecond: 400, commandsPerFrame: 1, ttlMs: 20 }],
  };

  it('makes every command late that was due meanwhile, not only those under way', async () => {
    const standIn = fileURLToPath(new URL('../fixtures/stand-in.ts', import.meta.url));
    // From 50 ms on: of 200 commands, 80 are due while it stands still.
    const server = await ServerProcess.start('stand-in', [standIn, JSON.stringify({ pauseMs: 200 })]);
    try {
      const { latencyMs, unanswered } = await run(open, await findTarget(await server.port));
      expect(unanswered).toBe(0);
      expect(latencyMs.max).toBeGreaterThan(180);
      // Had each connection waited for its answer before it sent again, only four of 200 would have waited.
      expect(latencyMs.p90).toBeGreaterThan(100);
    } finally {
      await server.stop();
    }
  });

  it('leaves commands unanswered that it never answers', async () => {
    const standIn = fileURLToPath(new URL('../fixtures/stand-in.ts', import.meta.url));
    await longEnough(300, async (drainMs) => {
      const server = await ServerProcess.start('stand-in', [
        standIn,
        JSON.stringify({ muteAfterFrames: 100 }),
      ]);
      try {
        const target = await findTarget(await server.port);
        const { unanswered, series } = await run(open, target, drainMs);
        expect(unanswered).toBe(100);
        expect(series.reduce((sum, { offered }) => sum + offered, 0)).toBe(200);
      } finally {
        await server.stop();
      }
    });
  });

  it('leaves commands unsent when more is due than can be under way', async () => {
    const standIn = fileURLToPath(new URL('../fixtures/stand-in.ts', import.meta.url));
    const server = await ServerProcess.start('stand-in', [standIn, JSON.stringify({ muteAfterFrames: 1 })]);
    const [stream] = open.streams as [Stream];
    try {
      const target = await findTarget(await server.port);
      const rush = { ...stream, commandsPerFrame: 400, ratePerSecond: 4_000_000 };
      const { counts, unanswered } = await run({ ...open, streams: [rush] }, target, 100);
      expect(counts.notSent).toBeGreaterThan(1_000_000);
      expect(counts.notSent).toBeLessThan(unanswered);
    } finally {
      await server.stop();
    }
  });

  it('is not needed for a command to be late: a generator that falls behind counts that too', async () => {
    const standIn = fileURLToPath(new URL('../fixtures/stand-in.ts', import.meta.url));
    const server = await ServerProcess.start('stand-in', [standIn, '{}']);
    try {
      const { port1, port2 } = new MessageChannel();
      const merger = new Merger(1, 250, 0);
      port1.on('message', (message: 'ready' | Period) => {
        if (message !== 'ready') return merger.take(0, message);
        port1.postMessage('start');
      });
      // Of its 500 ms.
      standStillOnce(150, 200);
      const outcome = await traffic({
        ...{
          port: await server.port,
          pass: {},
          skuPrefix: 't-',
          skus: 10,
          popularity: 'uniform',
          streams: open.streams,
        },
        ...{ thread: 0, seed: 1, lengthMs: 500, drainMs: 60_000, periodMs: 250, aheadMs: 0 },
        ...{ originMs: Date.now(), spanMs: 10_000, told: port2 },
      });
      // The last periods are on their way.
      await new Promise((resolve) => port1.once('close', resolve));
      const { latencyMs, unanswered } = merger.headline([outcome]);
      expect([unanswered, outcome.offered]).toEqual([0, 200]);
      expect(latencyMs.max).toBeGreaterThan(180);
      expect(latencyMs.p90).toBeGreaterThan(100);
    } finally {
      await server.stop();
    }
  });
});
