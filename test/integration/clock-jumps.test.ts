import { afterEach, describe, expect, it, vi } from 'vitest';
import { HoldState, Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { carryOnClock, runClockOf } from '../../src/runtime/run-clock.ts';
import type { RunningServer } from '../../src/runtime/server.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { startHere } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const HOUR = 3_600_000;
const realNow = Date.now;
const path = tempDir();
let server: RunningServer;
let client: RawClient;

/** Moves the wall clock, and leaves the monotonic one alone. */
function jump(ms: number): void {
  vi.spyOn(Date, 'now').mockImplementation(() => realNow() + ms);
}

async function start(store: string): Promise<void> {
  server = await startHere({ store, ack: 'sync' });
  client = await RawClient.connect(server.url);
}

async function stop(): Promise<void> {
  await client.close();
  await server.stop();
}

afterEach(async () => {
  await stop();
  vi.restoreAllMocks();
});

describe.each([
  ['forward', HOUR],
  ['back', -HOUR],
])('a wall clock that jumps an hour %s', (_, jumpMs) => {
  it('while the server runs and across a restart ends no hold early or late', async () => {
    const store = `file:${path(`jump-${jumpMs}`)}`;
    await start(store);
    await client.call(Op.STOCK, 'sku', StockMode.TOTAL, 10);
    const [, long, longEnds] = await client.call(Op.HOLD, 'sku', 1, HOUR);
    const [, short, shortEnds] = await client.call(Op.HOLD, 'sku', 1, 3000);
    const [, before] = await client.call(Op.TIME);
    jump(jumpMs);
    expect((await client.call(Op.TIME))[1] - before).toBeLessThan(HOUR / 2);
    await stop();

    await start(store);
    const [, after] = await client.call(Op.TIME);
    expect(after).toBeGreaterThanOrEqual(before);
    // Far less than an hour either way: the time that the restart took.
    expect(after - before).toBeLessThan(HOUR / 2);
    const [status, state, , , , , ends] = await client.call(Op.READ_HOLD, long);
    expect([status, state, ends]).toEqual([Status.OK, HoldState.HELD, longEnds]);
    await expect.poll(() => client.call(Op.READ_HOLD, short).then((hold) => hold[1])).toBe(HoldState.EXPIRED);
    expect((await client.call(Op.TIME))[1]).toBeGreaterThanOrEqual(shortEnds);
  });
});

describe('the clock of a server that carries on', () => {
  it.each([
    // Wall clock's jump since the run before, whether the machine was started anew, last event's lead over the wall clock, what is expected.
    ['the same boot: the run before goes on', 0, false, -10, 0],
    ['the same boot, wall clock forward', HOUR, false, -10, 0],
    ['the same boot, wall clock back', -HOUR, false, -10, 0],
    ['another boot: the wall clock', 0, true, -10, 0],
    ['another boot, wall clock forward: it is believed', HOUR, true, -10, HOUR],
    ['another boot, wall clock back: not behind the last event', -HOUR, true, -10, -10],
  ])('%s', (_, jumpMs, rebooted, lastEventMs, expected) => {
    const wallMs = realNow();
    const run = runClockOf({ wallMs, monotonicMs: Number(process.hrtime.bigint()) / 1e6 }, 'boot-1');
    jump(jumpMs);
    const { wallMs: carriedOn } = carryOnClock(run, wallMs + lastEventMs, rebooted ? 'boot-2' : 'boot-1');
    expect(Math.abs(carriedOn - wallMs - expected)).toBeLessThan(HOUR / 2);
  });

  it('of a store that nobody wrote to is the wall clock', () => {
    jump(HOUR);
    expect(Math.abs(carryOnClock(undefined, 0, 'boot-1').wallMs - realNow() - HOUR)).toBeLessThan(HOUR / 2);
  });
});
