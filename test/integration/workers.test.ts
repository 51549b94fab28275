import { afterEach, describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { LogEvent } from '../../src/log/events.ts';
import type { RunningServer } from '../../src/runtime/server.ts';
import { Fault, plantFault } from '../../src/shard/faults.ts';
import { Control, controlOf } from '../../src/shard/memory.ts';
import { keepHolding } from '../fixtures/holding.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { startHere } from '../fixtures/server.ts';
import { skuIn } from '../front/fixtures.ts';

let server: RunningServer;
let client: RawClient;
const events: LogEvent[] = [];

const SEGMENTS = 8;
const WORKERS = 2;

/** The segments that were fenced off, as the events say; -1 for none. */
const fenced = () => events.flatMap((event) => ('fencedSegment' in event ? [event.fencedSegment] : []));

/** Where a thread is made to hang. */
const STALL_MS = 1000;
const HANGS: number[] = [Fault.LOOP, Fault.LOOP_IDLE];

async function start(borrow: 'auto' | 'off', fronts: number, fault: number): Promise<void> {
  events.length = 0;
  server = await startHere(
    {
      segments: SEGMENTS,
      workers: WORKERS,
      borrow,
      fronts,
      ...(HANGS.includes(fault) && { stallMs: STALL_MS }),
    },
    { log: (event) => 'worker' in event && events.push(event) },
  );
  client = await RawClient.connect(server.url);
}

afterEach(async () => {
  await client.close();
  await server.stop();
});

/** The SKU that lives in a segment. */
const sku = (segment: number) => skuIn(segment, SEGMENTS);
const skus = Array.from({ length: SEGMENTS }, (_, segment) => sku(segment));

function control(segment: number): Int32Array {
  return controlOf(server.memory.workers[segment % WORKERS] as (typeof server.memory.workers)[0]);
}

async function stockAll(): Promise<void> {
  for (let segment = 0; segment < SEGMENTS; segment++) {
    const reply = await client.call(Op.STOCK, sku(segment), StockMode.TOTAL, 1_000_000);
    expect(reply[0]).toBe(Status.OK);
  }
}

describe.each([
  ['off', 1],
  ['auto', 1],
  ['auto', 2],
] as const)('a worker that dies mid-sale (borrow %s, %d fronts)', (borrow, fronts) => {
  const faults: [string, number][] = [
    ['throws within a command', Fault.THROW],
    ['exits within a command', Fault.EXIT],
    ['never comes back from a command', Fault.LOOP],
  ];
  // A front that stands in for the worker would itself loop or end, and the process with it; see Design decisions.
  it.each(borrow === 'auto' && fronts === 1 ? faults.slice(0, 1) : faults)(
    '%s: its segment is fenced off, every command is answered, the others carry on',
    async (_, fault) => {
      await start(borrow, fronts, fault);
      await stockAll();
      const stop = { now: false };
      const counts = new Map<string, number>();
      const buyers = [
        keepHolding(server.url, skus, stop, counts),
        keepHolding(server.url, skus, stop, counts),
      ];
      await expect.poll(() => counts.get(`3:${Status.OK}`) ?? 0).toBeGreaterThan(20);
      plantFault(control(3), fault, 3);
      await expect.poll(() => counts.get(`3:${Status.UNAVAILABLE}`) ?? 0).toBeGreaterThan(5);
      const before = counts.get(`5:${Status.OK}`) ?? 0;
      await expect.poll(() => counts.get(`5:${Status.OK}`) ?? 0).toBeGreaterThan(before + 20);
      stop.now = true;
      await Promise.all(buyers);

      expect(fenced()).toContain(3);
      expect(counts.get(`3:${Status.UNKNOWN_OUTCOME}`)).toBe(1);
      for (let segment = 0; segment < SEGMENTS; segment++) {
        const reply = await client.call(Op.READ, sku(segment));
        if (segment === 3) expect(reply).toEqual([Status.UNAVAILABLE, 0]);
        else
          expect(reply.slice(0, 3)).toEqual([
            Status.OK,
            1_000_000 - (reply[2] as number),
            counts.get(`${segment}:0`),
          ]);
      }
      const books = await (await fetch(`${server.httpUrl}/v1/inspect`)).json();
      expect(books).toMatchObject({ violations: 0, fenced: 1, fencedSegments: [3] });
    },
  );

  it.each([
    ['throws between commands', Fault.THROW_IDLE],
    ['hangs between commands', Fault.LOOP_IDLE],
  ])('%s: a new thread adopts its segments as they are', async (_, fault) => {
    await start(borrow, fronts, fault);
    await stockAll();
    const holds = await client.callAll(
      Array.from({ length: SEGMENTS }, (_, segment) => [Op.HOLD, sku(segment), 2, 60_000]),
    );
    plantFault(control(3), fault, -1);
    await expect.poll(() => events.map(({ event }) => event)).toContain('worker-replaced');
    expect(new Set(fenced())).toEqual(new Set([-1]));
    for (let segment = 0; segment < SEGMENTS; segment++) {
      expect(await client.call(Op.CONFIRM, holds[segment]?.[1])).toEqual([Status.OK, 2]);
    }
    const [, short] = await client.call(Op.HOLD, sku(3), 1, 50);
    await expect.poll(async () => (await client.call(Op.READ_HOLD, short))[1]).toBe(4);
  });
});

it('a thread that starts is not taken for one that hangs, although it takes longer to start than one may hang', async () => {
  events.length = 0;
  const heartbeat = () => Atomics.load(control(1), Control.HEARTBEAT);
  let started = false;
  let beats = 0;
  const early: LogEvent[] = [];
  server = await startHere(
    { segments: SEGMENTS, workers: WORKERS, stallMs: 100 },
    {
      log: (event) => {
        if (!('worker' in event) || event.worker !== 1 || !started) return;
        if (event.event === 'worker-replaced') events.push(event);
        if (event.event === 'worker-died') beats = heartbeat();
        if (event.event === 'worker-stalled' && heartbeat() === beats) early.push(event);
      },
    },
  );
  started = true;
  client = await RawClient.connect(server.url);
  plantFault(control(1), Fault.THROW_IDLE, -1);
  await expect.poll(() => events).not.toEqual([]);
  await expect.poll(heartbeat).not.toBe(beats);
  expect(early).toEqual([]);
});

describe('a worker that dies again and again', () => {
  it('ends the server rather than go on', async () => {
    const reasons: string[] = [];
    events.length = 0;
    server = await startHere(
      { segments: SEGMENTS, workers: WORKERS, borrow: 'off' },
      {
        log: (event) => 'worker' in event && events.push(event),
        onHopeless: (reason) => reasons.push(reason),
      },
    );
    client = await RawClient.connect(server.url);
    for (let death = 0; death < 30 && reasons.length === 0; death++) {
      const seen = events.length;
      plantFault(control(1), Fault.THROW_IDLE, -1);
      await expect.poll(() => events.length > seen || reasons.length > 0).toBe(true);
    }
    expect(reasons[0]).toMatch(/worker 1 died 11 times within a minute/);
  });
});
