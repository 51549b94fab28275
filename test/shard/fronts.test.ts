import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { anchorClock } from '../../src/base/clock.ts';
import { Doorbell } from '../../src/ring/doorbell.ts';
import { Fault, plantFault } from '../../src/shard/faults.ts';
import { Control, frontDoorbells, Lease, MAX_FRONTS } from '../../src/shard/memory.ts';
import { Mode } from '../../src/shard/records.ts';
import { makeMemory, NOW, work } from '../front/fixtures.ts';
import { lease, Rig, SEGMENTS, sku } from './fixtures.ts';

const FRONTS = 3;
const reads = (count: number) => Array.from({ length: count }, (_, i) => [Op.READ, i + 1, sku(i % SEGMENTS)]);
const ids = (rig: Rig, front: number) => rig.take(front).map(({ reply }) => reply[0]);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

function stocked(fixture = {}): Rig {
  const rig = new Rig({ fronts: FRONTS, ...fixture });
  rig.stockAll();
  return rig;
}

describe('commands of several fronts', () => {
  it('are answered at the front that they came from, in their order', () => {
    const rig = stocked();
    const tags = upTo(FRONTS).map((n) => rig.send(reads(40 + n), Mode.BINARY, n - 1));
    work(rig.shard);
    for (const [front, tag] of tags.entries()) {
      const replies = rig.take(front);
      expect(replies.map(({ reply }) => reply[0])).toEqual(upTo(41 + front));
      expect(replies.every((record) => record.tag === tag && record.status === Status.OK)).toBe(true);
    }
  });

  it('are taken in turn, so that one with a full ring holds up nobody', () => {
    const rig = stocked();
    for (let i = 0; i < 10; i++) rig.send(reads(100), Mode.BINARY, 1);
    rig.send(reads(20), Mode.BINARY, 2);
    rig.send(reads(3), Mode.BINARY, 0);
    lease(rig.shard).runCommands(NOW, 64);
    rig.shard.release();
    expect([0, 1, 2].map((front) => rig.take(front).length)).toEqual([3, 41, 20]);
  });

  it('begin the next batch where the last one ended', () => {
    const rig = stocked();
    for (let front = 0; front < FRONTS; front++) rig.send(reads(90), Mode.BINARY, front);
    for (let batch = 0; batch < 9; batch++) {
      lease(rig.shard).runCommands(NOW, 16);
      rig.shard.release();
    }
    expect([0, 1, 2].map((front) => rig.take(front).length)).toEqual([48, 48, 48]);
  });

  it('go on when another front takes no replies', () => {
    const rig = stocked();
    // Its reply ring has room for less than it can ask.
    for (let i = 0; i < 20; i++) rig.send(reads(70), Mode.BINARY, 1);
    work(rig.shard);
    rig.send(reads(50), Mode.BINARY, 2);
    expect(rig.shard.waiting()).toBe(true);
    expect(work(rig.shard)).toBe(50);
    expect(ids(rig, 2)).toEqual(upTo(50));
    expect(rig.shard.waiting()).toBe(false);
    let rest = rig.take(1).length;
    while (rig.shard.waiting()) {
      work(rig.shard);
      rest += rig.take(1).length;
    }
    expect(rest).toBe(1400);
  });

  it('are carried out once when their worker dies, each answered at its front', () => {
    for (let struck = 0; struck < FRONTS; struck++) {
      const rig = stocked();
      const holds = (front: number) =>
        upTo(50).map((i) => [Op.HOLD, i, sku(front === struck && i === 25 ? 3 : front), 1, 60_000]);
      for (let front = 0; front < FRONTS; front++) rig.send(holds(front), Mode.BINARY, front);
      const thread = rig.anotherShard();
      plantFault(thread.control, Fault.THROW, 3);
      expect(() => lease(thread).runCommands(NOW, 1000)).toThrow(/planted/);
      expect(rig.shard.adopt(Lease.FRONT)).toBe(3);
      rig.shard.release();
      work(rig.anotherShard());
      for (let front = 0; front < FRONTS; front++) {
        const statuses = rig.take(front).map(({ reply }) => reply.slice(0, 2));
        const lost = (i: number) => front === struck && i === 25;
        expect(statuses).toEqual(upTo(50).map((i) => [i, lost(i) ? Status.UNKNOWN_OUTCOME : Status.OK]));
        const [, available] = rig.call([[Op.READ, sku(front)]])[0] as number[];
        expect(1_000_000 - available).toBe(front === struck ? 49 : 50);
      }
    }
  });
});

it('a worker thread wakes the front that has replies, and no other', async () => {
  const rig = stocked();
  const [own] = rig.memory.workers;
  const doorbell = new Doorbell(own.sab, own.doorbell);
  const fronts = frontDoorbells(rig.memory);
  const workerData = { memory: rig.memory, worker: 0, anchor: anchorClock(), spins: 0 };
  const thread = new Worker(new URL('../../workers/shard.ts', import.meta.url), { workerData });
  await once(thread, 'online');
  for (let turn = 0; turn < FRONTS; turn++) {
    const sleeps = fronts.map((front) => front.sleepAsync(60_000, () => false));
    rig.send(reads(5), Mode.BINARY, turn);
    doorbell.ring();
    // Until its promise has settled, a sleeper that was rung may yet take down a flag that it raised anew.
    await sleeps[turn]?.value;
    expect(fronts.map((front) => front.isSleeping())).toEqual(fronts.map((_, i) => i !== turn));
    expect(ids(rig, turn)).toEqual(upTo(5));
  }
  Atomics.store(rig.shard.control, Control.STOP, 1);
  doorbell.ring();
  await once(thread, 'exit');
});

it('no more fronts can be had than a worker has room to note positions of', () => {
  expect(makeMemory({ fronts: MAX_FRONTS }).fronts).toHaveLength(MAX_FRONTS);
  expect(() => makeMemory({ fronts: MAX_FRONTS + 1 })).toThrow(/33 fronts are more than 32/);
});
