import { describe, expect, it } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Fence, TICK_MS } from '../../src/core/layout.ts';
import { Mode, REPLY_RECORD_BYTES } from '../../src/shard/records.ts';
import { Shard } from '../../src/shard/shard.ts';
import { NOW, work } from '../front/fixtures.ts';
import { lease, Rig, SEGMENTS, sku } from './fixtures.ts';

/** Commands on all segments in turn; ids from 1. */
const reads = (count: number) => Array.from({ length: count }, (_, i) => [Op.READ, i + 1, sku(i % SEGMENTS)]);
const ids = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

describe('running commands', () => {
  // Around the number that is gathered at a time.
  it.each([0, 1, 15, 16, 17, 31, 32, 33, 100])('answers each of %i once, in order', (count) => {
    const rig = new Rig();
    const tag = rig.send(reads(count));
    expect(lease(rig.shard).runCommands(NOW, 1000)).toBe(count);
    rig.shard.release();
    expect(rig.take()).toEqual(
      ids(count).map((id) => ({
        ...{ tag, op: Op.READ, mode: Mode.BINARY, status: Status.UNKNOWN_SKU },
        reply: [id, Status.UNKNOWN_SKU],
      })),
    );
    expect(rig.shard.waiting()).toBe(false);
  });

  it.each([1, 5, 15, 16, 17, 20])('does no more than it is told: %i at a time', (most) => {
    const rig = new Rig();
    rig.send(reads(40));
    const { shard } = rig;
    lease(shard);
    const rounds: number[] = [];
    for (let done = 0; done < 40; done += rounds.at(-1) as number) rounds.push(shard.runCommands(NOW, most));
    expect(Math.max(...rounds)).toBe(most);
    expect(shard.runCommands(NOW, most)).toBe(0);
    shard.release();
    expect(rig.take().map(({ reply }) => reply[0])).toEqual(ids(40));
  });

  it('carries connection, op and mode over to the reply', () => {
    const rig = new Rig();
    rig.stockAll();
    const kinds = [
      { mode: Mode.BINARY, op: Op.EXTEND, args: [2 ** 40, 1000], status: Status.UNKNOWN_HOLD },
      { mode: Mode.JSON, op: Op.HOLD, args: [sku(0), 1, 1000], status: Status.OK },
      { mode: Mode.INTERNAL, op: Op.INSPECT, args: [3], status: Status.OK },
      { mode: Mode.JSON_NAMES, op: Op.STOCK, args: [sku(1), 0, -2_000_000], status: Status.STOCK_LIMIT },
    ];
    const sent = kinds.map(({ mode, op, args, status }) => {
      const tag = rig.send([[op, 1, ...args]], mode);
      return { tag, mode, op, status };
    });
    work(rig.shard);
    expect(rig.take()).toMatchObject(sent);
  });

  it('gives all commands of a call the same time, and the next call its own', () => {
    const rig = new Rig();
    rig.stockAll();
    const holds = ids(40).map((id) => [Op.HOLD, id, sku(id % SEGMENTS), 1, 1000]);
    rig.send(holds);
    const { shard } = rig;
    lease(shard);
    shard.runCommands(NOW, 30);
    shard.runCommands(NOW + 7, 30);
    shard.release();
    const ends = rig.take().map(({ reply }) => reply[3]);
    expect(ends).toEqual(ids(40).map((id) => NOW + 1000 + (id <= 30 ? 0 : 7)));
  });

  it('ends with an INSPECT, which takes as long as very many others', () => {
    const rig = new Rig();
    rig.send([...reads(20), [Op.INSPECT, 21, 0], [Op.INSPECT, 22, 1], [Op.READ, 23, sku(0)]]);
    const { shard } = rig;
    lease(shard);
    expect([1, 2, 3, 4].map(() => shard.runCommands(NOW, 100))).toEqual([21, 1, 1, 0]);
    shard.release();
    expect(rig.take().map(({ reply }) => reply[0])).toEqual(ids(23));
  });

  it('sees what is published while it runs, and shows replies when they are published', () => {
    const rig = new Rig();
    const { shard } = rig;
    lease(shard);
    expect(shard.runCommands(NOW, 10)).toBe(0);
    rig.send(reads(3));
    expect(shard.runCommands(NOW, 10)).toBe(3);
    expect(rig.take()).toEqual([]);
    shard.publish();
    expect(rig.take()).toHaveLength(3);
  });
});

describe('a reply ring that is nearly full', () => {
  it('stops the commands where the next reply might not fit, and loses none, wherever the ring wraps', () => {
    // Room for the replies in bytes: from none to more than they take, the end of the ring somewhere among them.
    const stopped: number[] = [];
    for (let room = 0; room < 2000; room += 8) {
      const rig = new Rig();
      const { shard } = rig;
      lease(shard);
      // Somebody else's replies, of which none is taken out yet.
      for (let left = 65_536 - room; left > 0; left -= 4096)
        shard.links[0].replies.claim(Math.min(left, 4096) - 8, 0);
      shard.publish();
      rig.send(reads(60));
      const first = shard.runCommands(NOW, 60);
      expect(shard.runCommands(NOW, 60)).toBe(0);
      // Small replies go on up to less room than one of the longest needs.
      if (first < 60) expect(shard.links[0].replies.hasRoom(REPLY_RECORD_BYTES)).toBe(false);
      stopped.push(first);
      shard.release();
      expect(shard.waiting()).toBe(false);
      expect(
        rig
          .take()
          .slice(65_536 / 4096)
          .map(({ reply }) => reply[0]),
      ).toEqual(ids(first));
      expect(shard.waiting()).toBe(first < 60);
      lease(shard);
      expect(shard.runCommands(NOW, 60)).toBe(60 - first);
      shard.release();
      expect(rig.take().map(({ reply }) => reply[0])).toEqual(ids(60).slice(first));
    }
    expect([stopped[0], stopped.at(-1)]).toEqual([0, 60]);
    expect(new Set(stopped).size).toBeGreaterThan(30);
  });

  it('takes the longest replies there are up to its last byte', () => {
    const rig = new Rig();
    const long = `${'é'.repeat(31)}${1}`;
    rig.call([[Op.STOCK, long, 1, 1000, 100, 1000, 100_000]]);
    const [[, holdId]] = rig.call([[Op.HOLD, long, 100, 100_000]]) as number[][];
    const count = 3000;
    let answered = 0;
    for (let sent = 0; sent < count; sent += 500) {
      rig.send(ids(500).map((id) => [Op.READ_HOLD, sent + id, BigInt(holdId)]));
      let done = -1;
      while (done !== 0) {
        done = lease(rig.shard).runCommands(NOW, 1000);
        rig.shard.release();
        for (const { reply } of rig.take())
          expect(reply.slice(0, 4)).toEqual([++answered, Status.OK, 1, long]);
      }
    }
    expect(answered).toBe(count);
  });
});

describe('running the expiry', () => {
  const hold = (rig: Rig, segment: number, count: number, ttlMs: number) =>
    rig.call(ids(count).map(() => [Op.HOLD, sku(segment), 1, ttlMs]));

  it('ends what is due up to its budget, over all segments, and says when nothing is left', () => {
    const rig = new Rig();
    rig.stockAll();
    const { shard } = rig;
    for (let segment = 0; segment < SEGMENTS; segment++) hold(rig, segment, 30, 1000);
    hold(rig, 0, 1, 60_000);
    const later = NOW + 1000 + TICK_MS;
    lease(shard);
    expect(shard.runExpiry(NOW + 999, 1000)).toBe(0);
    const rounds = [50, 50, 50, 50].map((budget) => shard.runExpiry(later, budget));
    expect(rounds).toEqual([50, 50, 20, 0]);
    shard.release();
    expect(rig.call(ids(SEGMENTS).map((i) => [Op.READ, sku(i - 1)])).map((reply) => reply[2])).toEqual([
      1, 0, 0, 0,
    ]);
  });

  it('counts the holds that it ended, and not the keys that it forgot', () => {
    const rig = new Rig({ segment: { keyRetentionMs: 0 } });
    rig.stockAll();
    rig.call(ids(3).map((i) => [Op.HOLD, sku(i % SEGMENTS), 1, 1000, Buffer.from(`key ${i}`)]));
    lease(rig.shard);
    expect(rig.shard.runExpiry(NOW + 2000, 100)).toBe(6);
    expect(rig.shard.expired).toBe(3);
    rig.shard.runExpiry(NOW + 2000, 100);
    expect(rig.shard.expired).toBe(0);
  });

  it('begins with another segment each time, so that none waits for those before it', () => {
    const rig = new Rig();
    rig.stockAll();
    const { shard } = rig;
    for (let segment = 0; segment < SEGMENTS; segment++) hold(rig, segment, 200, 1000);
    const later = NOW + 1000 + TICK_MS;
    lease(shard);
    for (let i = 0; i < SEGMENTS; i++) shard.runExpiry(later, 20);
    const left = ids(SEGMENTS).map((i) => shard.segmentAt(i - 1).openHolds);
    expect(Math.max(...left)).toBeLessThan(200);
  });

  it('leaves segments of other workers and fenced ones alone', () => {
    const rig = new Rig();
    rig.stockAll();
    for (let segment = 0; segment < SEGMENTS; segment++) hold(rig, segment, 1, 1000);
    new Int32Array(rig.memory.owners)[1] = 1;
    rig.shard.segmentAt(2).fence(Fence.FOR_GOOD);
    lease(rig.shard).runExpiry(NOW + 2000, 1000);
    const open = ids(SEGMENTS).map((i) => rig.shard.segmentAt(i - 1).openHolds);
    expect(open).toEqual([0, 1, 1, 0]);
  });

  it('matters only while a hold of the worker is open', () => {
    const rig = new Rig();
    rig.stockAll();
    const { shard } = rig;
    expect(shard.anyOpen()).toBe(false);
    hold(rig, 3, 1, 1000);
    expect(shard.anyOpen()).toBe(true);
    new Int32Array(rig.memory.owners)[3] = 1;
    expect(shard.anyOpen()).toBe(false);
    new Int32Array(rig.memory.owners)[3] = 0;
    lease(shard).runExpiry(NOW + 2000, 10);
    expect(shard.anyOpen()).toBe(false);
  });
});

it('there is no shard of a worker, and no segment, that there is not', () => {
  const rig = new Rig();
  expect(() => new Shard(rig.memory, 1)).toThrow(/no worker 1/);
  expect(() => rig.shard.segmentAt(SEGMENTS)).toThrow(/no segment 4/);
});
