import { describe, expect, it } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Prng } from '../../src/base/prng.ts';
import { Control, Lease } from '../../src/shard/memory.ts';
import { NOW } from '../front/fixtures.ts';
import { Rig, SEGMENTS, sku } from './fixtures.ts';

const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1);

describe('the lease of a worker', () => {
  it.each([
    [Lease.WORKER, Lease.FRONT],
    [Lease.FRONT, Lease.WORKER],
    [Lease.WORKER, Lease.WORKER],
  ])('is had by one at a time: %i before %i', (first, second) => {
    const rig = new Rig();
    const [one, other] = [rig.shard, rig.anotherShard()];
    expect(one.acquire(first)).toBe(true);
    expect(one.control[Control.LEASE]).toBe(first);
    expect([other.acquire(second), one.acquire(first)]).toEqual([false, false]);
    expect(one.control[Control.LEASE]).toBe(first);
    one.release();
    expect(one.control[Control.LEASE]).toBe(Lease.FREE);
    expect(other.acquire(second)).toBe(true);
  });

  it('shows what was done when it is given back', () => {
    const rig = new Rig();
    rig.send([[Op.READ, 1, sku(0)]]);
    rig.shard.acquire(Lease.FRONT);
    rig.shard.runCommands(NOW, 10);
    const other = rig.anotherShard();
    expect([rig.take(), other.waiting()]).toEqual([[], true]);
    rig.shard.release();
    expect([rig.take().length, other.waiting()]).toEqual([1, false]);
  });

  it.each(SEEDS)('goes to and fro, and every command is run once and in order: seed %i', (seed) => {
    const random = new Prng(seed);
    const rig = new Rig();
    rig.stockAll();
    const onlooker = rig.anotherShard();
    const shards = [rig.shard, rig.anotherShard(), rig.anotherShard()];
    const replies: unknown[][] = [];
    let sent = 0;
    for (let step = 0; step < 400; step++) {
      if (random.oneIn(2)) {
        const commands = Array.from({ length: random.below(30) }, () => {
          const id = ++sent;
          return [Op.HOLD, id, sku(id % SEGMENTS), 1, 86_400_000, `key-${id}`];
        });
        // A HOLD that was refused or run twice would show in the hold's slot.
        if (commands.length > 0) rig.send(commands);
      }
      const shard = random.pick(shards);
      const waits = onlooker.waiting();
      if (!shard.acquire(random.pick([Lease.WORKER, Lease.FRONT]))) throw new Error('nobody has the lease');
      const done = shard.runCommands(NOW, random.below(40));
      if (!waits) expect(done).toBe(0);
      shard.release();
      if (random.oneIn(3)) replies.push(...rig.take().map(({ reply }) => reply));
    }
    while (rig.shard.waiting()) {
      rig.shard.acquire(Lease.WORKER);
      rig.shard.runCommands(NOW, 1000);
      rig.shard.release();
    }
    replies.push(...rig.take().map(({ reply }) => reply));
    expect(replies.map(([id]) => id)).toEqual(Array.from({ length: sent }, (_, i) => i + 1));
    expect(
      replies.every(
        ([, status]) =>
          status === Status.OK || status === Status.KEY_CAPACITY || status === Status.HOLD_CAPACITY,
      ),
    ).toBe(true);
  });
});
