import { describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { GROUP } from '../../src/core/prefetch.ts';
import { Fault, plantFault } from '../../src/shard/faults.ts';
import { LANES, Lane, laneRingBytes } from '../../src/shard/lanes.ts';
import { Control, Lease } from '../../src/shard/memory.ts';
import { Mode, REPLY_RECORD_BYTES } from '../../src/shard/records.ts';
import { SHARE } from '../../src/shard/service-order.ts';
import { NOW, work } from '../front/fixtures.ts';
import { lease, Rig, SEGMENTS, sku } from './fixtures.ts';

/** Of a hold that is not there: what such a command is answered does not matter here, only when. */
const NO_HOLD = 2n ** 40n;
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** Sends so many commands of one lane at a front; their request ids tell the lane: 100,000 and up, 200,000 and up, 300,000 and up. */
class Traffic {
  readonly rig: Rig;
  private readonly sent = new Int32Array(LANES);

  constructor(fronts = 1) {
    this.rig = new Rig({ fronts, commandRingBytes: 2 ** 20, replyRingBytes: 2 ** 20 });
  }

  send(lane: number, count: number, front = 0): void {
    const commands = upTo(count).map(() => {
      const id = 100_000 * (lane + 1) + ++this.sent[lane];
      return lane === Lane.SETTLE ? [Op.READ_HOLD, id, NO_HOLD] : [Op.READ, id, sku(id % SEGMENTS)];
    });
    this.rig.send(commands, Mode.BINARY, front, lane === Lane.VIP);
  }

  /** Runs so many commands; as a worker's thread would, with one shard. */
  run(most: number): number {
    lease(this.rig.shard);
    const done = this.rig.shard.runCommands(NOW, most);
    this.rig.shard.release();
    return done;
  }

  /** Lanes of the commands that were answered to a front, in that order, checked to be first come first served within each. */
  lanes(front = 0): number[] {
    const ids = this.rig.take(front).map(({ reply }) => reply[0] as number);
    for (let lane = 0; lane < LANES; lane++) {
      const own = ids.filter((id) => laneOfId(id) === lane);
      expect(own).toEqual([...own].sort((one, other) => one - other));
    }
    return ids.map(laneOfId);
  }
}

const laneOfId = (id: number) => Math.floor(id / 100_000) - 1;
/** Lanes by groups, with the length of each. */
const groupsOf = (lanes: number[]) =>
  lanes.reduce<[lane: number, count: number][]>((groups, lane) => {
    const last = groups.at(-1);
    if (last?.[0] === lane) last[1]++;
    else groups.push([lane, 1]);
    return groups;
  }, []);

describe('commands in lanes', () => {
  it('are answered settle before vip before normal, however they came', () => {
    for (const order of [
      [Lane.NORMAL, Lane.VIP, Lane.SETTLE],
      [Lane.VIP, Lane.NORMAL, Lane.SETTLE],
      [Lane.NORMAL, Lane.SETTLE, Lane.VIP],
    ]) {
      const traffic = new Traffic();
      // What comes behind commands on holds waits for them, so that here all of those come last or make no difference.
      for (const lane of order) traffic.send(lane, 20);
      traffic.run(1000);
      expect(groupsOf(traffic.lanes())).toEqual([
        [Lane.SETTLE, 20],
        [Lane.VIP, 20],
        [Lane.NORMAL, 20],
      ]);
    }
  });

  it.each([
    ['nothing', [Lane.NORMAL], 0],
    ['a group of each of the others', [Lane.NORMAL, Lane.VIP], 2 * GROUP],
  ])('that settle wait for %s, however many others wait and come', (_name, others, waits) => {
    const traffic = new Traffic(2);
    const fill = (count: number) => {
      for (const front of [0, 1]) for (const lane of others) traffic.send(lane, count, front);
    };
    fill(500);
    for (let round = 0; round < 50; round++) {
      traffic.run(round);
      for (const front of [0, 1]) traffic.lanes(front);
      for (const front of [0, 1]) traffic.send(Lane.SETTLE, 3, front);
      traffic.run(6 + waits);
      for (const front of [0, 1]) {
        expect(traffic.lanes(front).filter((lane) => lane === Lane.SETTLE)).toHaveLength(3);
      }
      fill(25);
    }
  });

  it(`of a lower lane have a group in ${SHARE} while others are kept full`, () => {
    const traffic = new Traffic();
    traffic.send(Lane.NORMAL, 1000);
    traffic.send(Lane.VIP, 1000);
    for (let i = 0; i < 5; i++) traffic.send(Lane.SETTLE, 1000);
    // Both come due together the first time, and one of them waits for the other.
    traffic.run((SHARE + 1) * GROUP);
    traffic.lanes();
    traffic.run(40 * SHARE * GROUP);
    const counts = [0, 0, 0];
    for (const lane of traffic.lanes()) counts[lane] += 1 / GROUP;
    // Of 8 groups, one is of the normal lane and one of the vip lane's.
    expect(counts.map(Math.round)).toEqual([240, 40, 40]);
  });

  it('go to the lower lane at once when nothing waits in the others', () => {
    const traffic = new Traffic();
    for (let round = 0; round < 20; round++) {
      traffic.send(Lane.NORMAL, 5);
      expect(traffic.run(1000)).toBe(5);
      traffic.send(Lane.VIP, 5);
      expect(traffic.run(1000)).toBe(5);
      traffic.send(Lane.SETTLE, 5);
      expect(traffic.run(1000)).toBe(5);
    }
    expect(traffic.lanes()).toHaveLength(300);
  });

  it('come from all fronts in turn within a lane, and a lane goes before another front', () => {
    const traffic = new Traffic(3);
    for (const front of [0, 1, 2]) traffic.send(Lane.NORMAL, 100, front);
    traffic.send(Lane.SETTLE, 10, 2);
    traffic.run(10 + 6 * GROUP);
    expect([0, 1, 2].map((front) => groupsOf(traffic.lanes(front)))).toEqual([
      [[Lane.NORMAL, 32]],
      [[Lane.NORMAL, 32]],
      [
        [Lane.SETTLE, 10],
        [Lane.NORMAL, 32],
      ],
    ]);
  });

  it('pass a front by that takes no replies, in every lane', () => {
    const traffic = new Traffic(2);
    const { replies } = traffic.rig.shard.links[0];
    lease(traffic.rig.shard);
    while (replies.hasRoom(REPLY_RECORD_BYTES)) replies.claim(64, 0);
    replies.publish();
    traffic.rig.shard.release();
    for (const front of [0, 1]) for (const lane of [0, 1, 2]) traffic.send(lane, 30, front);
    expect(traffic.run(1000)).toBe(90);
    expect(traffic.lanes(1)).toHaveLength(90);
    expect(traffic.rig.shard.waiting()).toBe(false);
  });

  it('that settle wait for one INSPECT at most', () => {
    const rig = new Rig();
    rig.send(upTo(SEGMENTS).map((id) => [Op.INSPECT, id, id - 1]));
    lease(rig.shard);
    const rounds: unknown[] = [];
    for (let i = 0; i < SEGMENTS; i++) {
      rig.send([[Op.READ_HOLD, 100 + i, NO_HOLD]]);
      // A turn ends with the INSPECT: the worker looks at the clock, and at the lanes again.
      expect(rig.shard.runCommands(NOW, 100)).toBe(2);
      rig.shard.publish();
      rounds.push(rig.take().map(({ reply }) => reply[0]));
    }
    expect(rounds).toEqual(upTo(SEGMENTS).map((id) => [99 + id, id]));
  });
});

describe('the order of one client', () => {
  const held = (rig: Rig, units: number) => rig.call([[Op.HOLD, sku(0), units, 60_000]])[0][1] as number;

  it.each([false, true])(
    'keeps commands on SKUs behind the commands on holds that came first, vip: %s',
    (vip) => {
      const rig = new Rig();
      rig.call([[Op.STOCK, sku(0), StockMode.TOTAL, 10]]);
      const id = held(rig, 10);
      rig.send(
        [
          [Op.READ, 1, sku(0)],
          [Op.RELEASE, 2, BigInt(id), 4],
          [Op.HOLD, 3, sku(0), 4, 60_000],
          [Op.CONFIRM, 4, BigInt(id)],
          [Op.READ, 5, sku(0)],
        ],
        Mode.BINARY,
        0,
        vip,
      );
      work(rig.shard);
      const replies = rig.take().map(({ reply }) => reply as number[]);
      // What was sent before those on holds is overtaken by them.
      expect(replies.map(([request]) => request)).toEqual([2, 4, 1, 3, 5]);
      expect(replies.map(([, status]) => status)).toEqual(replies.map(() => Status.OK));
      expect(replies.at(-1)?.slice(2, 6)).toEqual([0, 4, 6, 10]);
    },
  );

  it('holds also where the lower lane has its turn', () => {
    const rig = new Rig({ commandRingBytes: 2 ** 18, replyRingBytes: 2 ** 20 });
    rig.call([[Op.STOCK, sku(0), StockMode.TOTAL, 10]]);
    const id = held(rig, 10);
    const settles = upTo(2 * SHARE * GROUP).map((i) => [Op.READ_HOLD, i, NO_HOLD]);
    rig.send([...settles, [Op.RELEASE, 1001, BigInt(id)], [Op.HOLD, 1002, sku(0), 10, 60_000]]);
    for (let i = 0; i < 4 * SHARE; i++) {
      lease(rig.shard).runCommands(NOW, GROUP);
      rig.shard.release();
    }
    const replies = rig.take().map(({ reply }) => reply);
    expect(replies.slice(-2).map(([request, status]) => [request, status])).toEqual([
      [1001, Status.OK],
      [1002, Status.OK],
    ]);
  });

  it('does not bind another front', () => {
    const traffic = new Traffic(2);
    traffic.send(Lane.SETTLE, 2 * SHARE * GROUP, 0);
    traffic.send(Lane.NORMAL, 1, 1);
    traffic.run(SHARE * GROUP);
    expect(traffic.lanes(1)).toEqual([Lane.NORMAL]);
  });
});

describe('a thread that dies over a command', () => {
  it.each([Lane.SETTLE, Lane.VIP, Lane.NORMAL])(
    'has it answered in its place, and the others of all lanes once: lane %i',
    (struck) => {
      for (const front of [0, 1]) {
        const rig = new Rig({ fronts: 2 });
        rig.stockAll();
        // Segment 3 is where it happens: of the 50 commands in each queue one is there.
        const inSegment = (lane: number, segment: number, id: number) =>
          lane === Lane.SETTLE
            ? [Op.READ_HOLD, id, NO_HOLD + (BigInt(segment) << 22n)]
            : [Op.HOLD, id, sku(segment), 1, 60_000];
        for (const lane of [Lane.NORMAL, Lane.VIP, Lane.SETTLE]) {
          for (const at of [0, 1]) {
            const lost = (i: number) => at === front && lane === struck && i === 25;
            const commands = upTo(50).map((i) => inSegment(lane, lost(i) ? 3 : i % 3, lane * 100 + i));
            rig.send(commands, Mode.BINARY, at, lane === Lane.VIP);
          }
        }
        const thread = rig.anotherShard();
        plantFault(thread.control, Fault.THROW, 3);
        expect(() => lease(thread).runCommands(NOW, 1000)).toThrow(/planted/);
        expect(rig.shard.adopt(Lease.FRONT)).toBe(3);
        expect(rig.shard.control[Control.MARK_QUEUE]).toBe(front * LANES + struck);
        rig.shard.release();
        work(rig.anotherShard());
        for (const at of [0, 1]) {
          const replies = rig.take(at).map(({ reply }) => reply.slice(0, 2) as [number, number]);
          for (const lane of [Lane.SETTLE, Lane.VIP, Lane.NORMAL]) {
            const wanted = lane === Lane.SETTLE ? Status.UNKNOWN_HOLD : Status.OK;
            expect(replies.filter(([id]) => Math.floor(id / 100) === lane)).toEqual(
              upTo(50).map((i) => [
                lane * 100 + i,
                at === front && lane === struck && i === 25 ? Status.UNKNOWN_OUTCOME : wanted,
              ]),
            );
          }
        }
      }
    },
  );
});

it('a lane has a ring of its share, and never one that is too small to be any', () => {
  expect([0, 1, 2].map((lane) => laneRingBytes(lane, 2 ** 22))).toEqual([2 ** 21, 2 ** 20, 2 ** 22]);
  expect([0, 1, 2].map((lane) => laneRingBytes(lane, 4096))).toEqual([4096, 4096, 4096]);
});
