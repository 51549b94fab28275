import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { anchorClock, clockFrom } from '../../src/base/clock.ts';
import { Doorbell } from '../../src/ring/doorbell.ts';
import { Fault, plantFault } from '../../src/shard/faults.ts';
import { Control, Lease } from '../../src/shard/memory.ts';
import { Rig, SEGMENTS, sku } from './fixtures.ts';

const THREAD = new URL('../../workers/shard.ts', import.meta.url);
/** Far beyond any test's time-out. */
const LONG_MS = 600_000;
let thread: Worker;

/** A real worker thread on an engine whose front is played by the test. */
async function start(fixture: ConstructorParameters<typeof Rig>[0] = {}) {
  const rig = new Rig(fixture);
  rig.stockAll();
  const { control } = rig.shard;
  const [own] = rig.memory.workers;
  const doorbell = new Doorbell(own.sab, own.doorbell);
  const front = new Doorbell(rig.memory.fronts[0], 0);
  const anchor = anchorClock();
  thread = new Worker(THREAD, { workerData: { memory: rig.memory, worker: 0, anchor, spins: 0 } });
  // The test waits for it where it expects one.
  thread.on('error', () => {});
  await once(thread, 'online');
  const heartbeat = () => Atomics.load(control, Control.HEARTBEAT);
  await expect.poll(heartbeat).toBeGreaterThan(0);
  const send = (commands: unknown[][]) => {
    rig.send(commands);
    doorbell.ring();
  };
  const replies: unknown[][] = [];
  const answered = async (count: number) => {
    await expect
      .poll(() => replies.push(...rig.take().map(({ reply }) => reply)))
      .toBeGreaterThanOrEqual(count);
    return replies;
  };
  const stop = () => {
    const ended = once(thread, 'exit');
    Atomics.store(control, Control.STOP, 1);
    doorbell.ring();
    return ended;
  };
  return { rig, control, doorbell, front, clock: clockFrom(anchor), heartbeat, send, answered, stop };
}

afterEach(() => thread.terminate());

describe('a worker thread', () => {
  it('shows a heartbeat while it has nothing to do, and nothing else', async () => {
    const { heartbeat, control, answered } = await start();
    for (let i = 0; i < 3; i++) {
      const before = heartbeat();
      await expect.poll(heartbeat).not.toBe(before);
    }
    expect(control[Control.COMMANDS]).toBe(0);
    expect(await answered(0)).toEqual([]);
  });

  it('ends with 0 when it is told to stop, and gives the lease back', async () => {
    const { stop, control } = await start();
    expect(await stop()).toEqual([0]);
    expect(control[Control.LEASE]).toBe(Lease.FREE);
  });

  it('answers all that waits before it stops', async () => {
    const { rig, stop, answered } = await start({ commandRingBytes: 2 ** 20, replyRingBytes: 2 ** 20 });
    for (let frame = 0; frame < 20; frame++) {
      rig.send(Array.from({ length: 400 }, (_, i) => [Op.READ, frame * 400 + i + 1, sku(i % SEGMENTS)]));
    }
    expect(await stop()).toEqual([0]);
    expect((await answered(8000)).map(([id]) => id)).toEqual(Array.from({ length: 8000 }, (_, i) => i + 1));
  });

  it('wakes up for commands, and wakes the front for their replies', async () => {
    const { rig, front, send, answered, control } = await start();
    for (let id = 1; id <= 5; id++) {
      const sleep = front.sleepAsync(LONG_MS, () => false);
      send([[Op.READ, id, sku(0)]]);
      expect(await sleep?.value).toBe('ok');
      expect((await answered(id)).at(-1)?.slice(0, 2)).toEqual([id, Status.OK]);
    }
    expect(control[Control.COMMANDS]).toBe(5);
    expect(rig.shard.waiting()).toBe(false);
  });

  it('lets holds expire though no command comes, and never early', async () => {
    const { rig, send, answered, clock } = await start();
    send([[Op.HOLD, 1, sku(1), 2, 50]]);
    const [[, , , endsAt]] = (await answered(1)) as number[][];
    const { shard } = rig;
    await expect.poll(() => shard.segmentAt(1).openHolds, { interval: 1 }).toBe(0);
    // Clocks of two threads are less than a millisecond apart.
    expect(clock()).toBeGreaterThanOrEqual(endsAt - 1);
  });

  it('notes how long its longest turn took', async () => {
    const { control, send, answered } = await start();
    send(Array.from({ length: 200 }, (_, i) => [Op.READ, i + 1, sku(0)]));
    await answered(200);
    await expect.poll(() => Atomics.load(control, Control.LONGEST_TURN_US)).toBeGreaterThan(0);
    // Whoever measures sets it back.
    Atomics.store(control, Control.LONGEST_TURN_US, 0);
    send([[Op.INSPECT, 201, 0]]);
    await answered(201);
    await expect.poll(() => Atomics.load(control, Control.LONGEST_TURN_US)).toBeGreaterThan(0);
  });

  it('leaves everything alone while the front has the lease, and shows that it lives', async () => {
    const { rig, control, send, answered, heartbeat } = await start();
    await expect.poll(() => rig.shard.acquire(Lease.FRONT), { interval: 1 }).toBe(true);
    send([[Op.READ, 1, sku(0)]]);
    const before = heartbeat();
    await expect.poll(() => (heartbeat() - before) | 0).toBeGreaterThan(5);
    expect(rig.take()).toEqual([]);
    expect(control[Control.LEASE]).toBe(Lease.FRONT);
    rig.shard.release();
    expect((await answered(1))[0].slice(0, 2)).toEqual([1, Status.OK]);
  });

  it('stops where its replies have no room, and goes on when they have', async () => {
    const { rig, send, answered, control, doorbell } = await start({ commandRingBytes: 2 ** 20 });
    const count = 6000;
    for (let sent = 0; sent < count; sent += 1000) {
      send(Array.from({ length: 1000 }, (_, i) => [Op.READ_HOLD, sent + i + 1, 2n ** 40n]));
    }
    await expect.poll(() => rig.shard.waiting()).toBe(false);
    await expect.poll(() => doorbell.isSleeping()).toBe(true);
    const stopped = control[Control.COMMANDS];
    expect(stopped).toBeLessThan(count);
    let replies: unknown[][] = [];
    while (replies.length < count) {
      replies = await answered(replies.length + 1);
      doorbell.ring();
    }
    expect(replies.map(([id]) => id)).toEqual(Array.from({ length: count }, (_, i) => i + 1));
    expect(control[Control.COMMANDS]).toBe(count);
  });

  it.each([
    ['throws in between', Fault.THROW_IDLE, -1, 'planted fault outside'],
    ['throws within a command', Fault.THROW, 2, 'planted fault in a command of segment 2'],
  ])('that %s ends, with the lease in its hands', async (_name, fault, segment, message) => {
    const { control, send } = await start();
    const died = once(thread, 'error');
    // Both may come in one turn of the event loop, so both are waited for from the beginning.
    const ended = new Promise((resolve) => thread.once('exit', resolve));
    plantFault(control, fault, segment);
    send([[Op.READ, 1, sku(2)]]);
    const [error] = (await died) as [Error];
    expect(error.message).toContain(message);
    await ended;
    const inCommand = segment >= 0;
    expect(control[Control.LEASE]).toBe(inCommand ? Lease.WORKER : Lease.FREE);
    expect(control[Control.MARK]).toBe(inCommand ? segment + 1 : 0);
  });

  it('that exits within a command leaves its mark', async () => {
    const { control, send } = await start();
    const ended = once(thread, 'exit');
    plantFault(control, Fault.EXIT, 0);
    send([[Op.READ, 1, sku(0)]]);
    expect(await ended).toEqual([1]);
    expect([control[Control.LEASE], control[Control.MARK]]).toEqual([Lease.WORKER, 1]);
  });

  it.each([
    ['in between', Fault.LOOP_IDLE, -1, 0],
    ['within a command', Fault.LOOP, 0, 1],
  ])('that hangs %s shows no heartbeat, and can be terminated', async (_name, fault, segment, mark) => {
    const { control, send, heartbeat } = await start();
    plantFault(control, fault, segment);
    send([[Op.READ, 1, sku(0)]]);
    await expect.poll(() => control[Control.FAULT]).toBe(Fault.NONE);
    const before = heartbeat();
    // Longer than a worker with nothing to do ever sleeps.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(heartbeat()).toBe(before);
    await thread.terminate();
    expect(control[Control.MARK]).toBe(mark);
  });
});
