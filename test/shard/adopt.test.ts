import { describe, expect, it } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { inspectSegment } from '../../src/core/invariant.ts';
import { TICK_MS } from '../../src/core/layout.ts';
import { Fault, plantFault } from '../../src/shard/faults.ts';
import { Lane } from '../../src/shard/lanes.ts';
import { Control, Lease } from '../../src/shard/memory.ts';
import type { Shard } from '../../src/shard/shard.ts';
import { NOW, work } from '../front/fixtures.ts';
import { lease, Rig, SEGMENTS, sku } from './fixtures.ts';

const COMMANDS = 40;
const HOLDS = Array.from({ length: COMMANDS }, (_, i) => [Op.HOLD, i + 1, sku(i % SEGMENTS), 1, 1000]);

class Death extends Error {}

/** The ring in which the HOLDs lie. */
const normal = (thread: Shard) => thread.links[0].queues[Lane.NORMAL].ring;

/** Makes the n-th call (from 1) of a method the last thing that its thread does, before or behind the call. */
function dieAt<Name extends string>(
  host: { [key in Name]: (...args: never[]) => unknown },
  name: Name,
  nth: number,
  when: 'before' | 'behind' = 'before',
): void {
  const original = host[name].bind(host);
  let calls = 0;
  host[name] = (...args) => {
    const last = ++calls === nth;
    if (last && when === 'before') throw new Death();
    const result = original(...args);
    if (last) throw new Death();
    return result;
  };
}

/** Runs all commands as a worker's thread, which dies where `prepare` makes it; then the front adopts, and a new thread goes on. */
function runAndDie(prepare: (thread: Shard) => void, commands = HOLDS) {
  const rig = new Rig();
  rig.stockAll();
  rig.send(commands);
  const thread = rig.anotherShard();
  prepare(thread);
  expect(() => {
    lease(thread);
    thread.runCommands(NOW, 30);
    thread.publish();
    thread.runCommands(NOW, 1000);
    thread.release();
  }).toThrow();
  expect(thread.control[Control.LEASE]).toBe(Lease.WORKER);
  const fenced = adopt(rig);
  const published = rig.take();
  work(rig.anotherShard());
  const replies = [...published, ...rig.take()].map(({ reply }) => reply as number[]);
  return { rig, fenced, published: published.length, replies };
}

function adopt(rig: Rig): number {
  const { shard } = rig;
  const fenced = shard.adopt(Lease.FRONT);
  expect(shard.control[Control.MARK]).toBe(0);
  expect(shard.control[Control.LEASE]).toBe(Lease.FRONT);
  shard.release();
  return fenced;
}

const statusesOf = (replies: number[][]) => replies.map(([, status]) => status);

/** Segments other than `fenced` are whole. */
function expectWhole(rig: Rig, fenced: number): void {
  for (let segment = 0; segment < SEGMENTS; segment++) {
    if (segment !== fenced) expect(inspectSegment(rig.shard.segmentAt(segment)).violations).toEqual([]);
  }
}

describe('a thread that dies between commands', () => {
  it.each<[string, number, (thread: Shard) => void]>([
    ['before the first', 0, (thread) => dieAt(normal(thread), 'next', 1)],
    ['while it gathers', 0, (thread) => dieAt(normal(thread), 'next', 7)],
    ['while it gathers more, with replies not published', 16, (thread) => dieAt(normal(thread), 'next', 20)],
    ['before it publishes', 30, (thread) => dieAt(thread.links[0].replies, 'publish', 1)],
    [
      'when the replies are out and the commands are not given back',
      30,
      (thread) => dieAt(normal(thread), 'release', 1),
    ],
    ['when both are out', 30, (thread) => dieAt(normal(thread), 'release', 1, 'behind')],
    ['before its last publication', COMMANDS, (thread) => dieAt(thread.links[0].replies, 'publish', 2)],
    ['before it gives the last commands back', COMMANDS, (thread) => dieAt(normal(thread), 'release', 2)],
  ])('leaves nothing undone and nothing done twice: %s', (_name, done, prepare) => {
    const { rig, fenced, published, replies } = runAndDie(prepare);
    expect(fenced).toBe(-1);
    expect(published).toBe(done);
    expect(replies.map(([id]) => id)).toEqual(HOLDS.map(([, id]) => id));
    expect(statusesOf(replies)).toEqual(HOLDS.map(() => Status.OK));
    expect(new Set(replies.map((reply) => reply[2])).size).toBe(COMMANDS);
    expectWhole(rig, -1);
    const held = Array.from({ length: SEGMENTS }, (_, i) => inspectSegment(rig.shard.segmentAt(i)).held);
    expect(held).toEqual([10, 10, 10, 10]);
  });

  it('without a thing to do changes nothing', () => {
    const rig = new Rig();
    rig.stockAll();
    lease(rig.anotherShard());
    expect(adopt(rig)).toBe(-1);
    expect(rig.call([[Op.READ, sku(0)]])[0][0]).toBe(Status.OK);
  });
});

describe('a thread that dies within a command', () => {
  // First, in the middle and last of a group, and on both sides of a publication.
  const places = [1, 2, 15, 16, 17, 30, 31, 32, COMMANDS];

  it.each(places)(
    'has it answered UNKNOWN_OUTCOME and its segment fenced off: command %i, before a change',
    (nth) => {
      const segment = (nth - 1) % SEGMENTS;
      let left = Math.ceil(nth / SEGMENTS);
      const { rig, fenced, replies } = runAndDie((thread) => {
        const original = thread.segmentAt(segment).hold.bind(thread.segmentAt(segment));
        thread.segmentAt(segment).hold = (...args) => {
          if (--left === 0) throw new Death();
          return original(...args);
        };
      });
      expect(fenced).toBe(segment);
      expectOneLost(replies, nth, segment);
      expectWhole(rig, segment);
    },
  );

  it.each(places)('also when all its changes are made and only the reply is not: command %i', (nth) => {
    const segment = (nth - 1) % SEGMENTS;
    const { rig, fenced, replies } = runAndDie((thread) => dieAt(thread.links[0].replies, 'trim', nth));
    expect(fenced).toBe(segment);
    expectOneLost(replies, nth, segment);
    expectWhole(rig, -1);
  });

  it('also by a planted fault, with everything else as before', () => {
    const { rig, fenced, replies } = runAndDie((thread) => plantFault(thread.control, Fault.THROW, 2));
    expect(fenced).toBe(2);
    expectOneLost(replies, 3, 2);
    expect(
      rig.call([
        [Op.READ, sku(2)],
        [Op.CONFIRM, BigInt(replies[0][2])],
      ]),
    ).toEqual([
      [Status.UNAVAILABLE, 0],
      [Status.OK, 1],
    ]);
  });

  function expectOneLost(replies: number[][], nth: number, segment: number): void {
    expect(replies.map(([id]) => id)).toEqual(HOLDS.map(([, id]) => id));
    expect(statusesOf(replies)).toEqual(
      HOLDS.map((_, i) => {
        if (i % SEGMENTS !== segment || i + 1 < nth) return Status.OK;
        return i + 1 === nth ? Status.UNKNOWN_OUTCOME : Status.UNAVAILABLE;
      }),
    );
  }
});

describe('a thread that dies while holds expire', () => {
  it.each([1, 7, 10])('has the segment fenced off, and refuses no command for it: hold %i', (nth) => {
    const rig = new Rig();
    rig.stockAll();
    rig.call(HOLDS.map(([op, , ...args]) => [op, ...args]));
    rig.send([
      [Op.READ, 1, sku(1)],
      [Op.READ, 2, sku(0)],
    ]);
    const thread = rig.anotherShard();
    dieAt(thread.segmentAt(1).wheel, 'remove', nth);
    expect(() => lease(thread).runExpiry(NOW + 1000 + TICK_MS, 1000)).toThrow(Death);
    expect(adopt(rig)).toBe(1);
    work(rig.anotherShard());
    expect(rig.take().map(({ reply }) => reply.slice(0, 2))).toEqual([
      [1, Status.UNAVAILABLE],
      [2, Status.OK],
    ]);
    expectWhole(rig, 1);
  });
});

it('one death after another is put in order each time', () => {
  const rig = new Rig();
  rig.stockAll();
  rig.send(HOLDS);
  const replies: unknown[][] = [];
  for (let death = 0; death < 2 * SEGMENTS; death++) {
    const thread = rig.anotherShard();
    if (death % 2 === 0) dieAt(thread.links[0].replies, 'publish', 1);
    else plantFault(thread.control, Fault.THROW, death >> 1);
    expect(() => {
      lease(thread).runCommands(NOW, 5);
      thread.release();
    }).toThrow();
    adopt(rig);
    replies.push(...rig.take().map(({ reply }) => reply));
  }
  work(rig.anotherShard());
  replies.push(...rig.take().map(({ reply }) => reply));
  expect(replies.map(([id]) => id)).toEqual(HOLDS.map(([, id]) => id));
  expect(replies.filter(([, status]) => status === Status.UNKNOWN_OUTCOME)).toHaveLength(SEGMENTS);
});
