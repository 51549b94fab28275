import { describe, expect, it } from 'vitest';
import { ClientPush, Op, PUSH, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Front } from '../../src/front/front.ts';
import { Mode } from '../../src/shard/records.ts';
import { Shard } from '../../src/shard/shard.ts';
import { SLOTS } from '../../src/shard/stage-memory.ts';
import { readStages } from '../../src/shard/stage-reader.ts';
import { STAGES } from '../../src/shard/stage-report.ts';
import type { CommandTrace } from '../../src/trace/command-trace.ts';
import { frameOf, HOLDER, makeMemory, NOW, RecordingSink, skuIn, work } from './fixtures.ts';

const SEGMENTS = 4;
const sku = skuIn(2, SEGMENTS);
const PARENT = '00f067aa0ba902b7';
const traceId = (n: number) => n.toString(16).padStart(32, '0');
const push = (n: number, flags = '01') => [PUSH, ClientPush.TRACE, `00-${traceId(n)}-${PARENT}-${flags}`];
const read = (id: number) => [Op.READ, id, sku];

/** A front whose one worker is played by the test. */
function setUp({ perSecond = 100, commandRingBytes = 65_536 } = {}) {
  const memory = makeMemory({ segments: SEGMENTS, commandRingBytes });
  const traced: CommandTrace[] = [];
  const traces = { front: 0, perSecond, report: (trace: CommandTrace) => traced.push(trace) };
  const onFault = () => expect.unreachable();
  const front = new Front({ memory, front: 0, clock: () => NOW, borrow: false, onFault, traces });
  const shard = new Shard(memory, 0);
  const connection = front.connections.add(new RecordingSink(), HOLDER.lo, HOLDER.hi);
  /** Sends frames, and carries out what is in them. */
  const turn = (...frames: unknown[][][]) => {
    for (const commands of frames) front.router.onFrame(connection, frameOf(...commands), Mode.BINARY);
    front.endTurn();
    work(shard);
    front.endTurn();
    return traced.splice(0);
  };
  const samples = () => readStages(memory, NOW).workers[0]?.stages.apply.count;
  return { front, connection, turn, samples };
}

const idsOf = (traced: readonly CommandTrace[]) => traced.map((trace) => Number(`0x${trace.traceId}`));

describe('a command behind a traceparent', () => {
  it('is traced through every stage, with what came of it', () => {
    const { turn } = setUp();
    const before = Date.now();
    const [first, second, ...more] = turn([
      push(1),
      [Op.STOCK, 1, sku, StockMode.TOTAL, 5],
      push(2),
      [Op.HOLD, 2, sku, 9, 1000],
    ]);
    expect(more).toEqual([]);
    const common = { parentId: PARENT, front: 0, worker: 0, segment: 2, connection: '0-1' };
    expect(first).toMatchObject({ ...common, traceId: traceId(1), op: Op.STOCK, status: Status.OK });
    expect(second).toMatchObject({ ...common, traceId: traceId(2), op: Op.HOLD, status: Status.SOLD_OUT });
    expect(first?.stagesUs.length).toBe(STAGES.length);
    expect(first?.stagesUs.every((us) => us >= 0)).toBe(true);
    expect(first?.endMs).toBeGreaterThanOrEqual(before);
    expect(first?.endMs).toBeLessThanOrEqual(Date.now());
  });

  it('is the one right behind it, and no other', () => {
    const { turn } = setUp();
    const traced = turn([read(1), push(7), read(2), read(3)], [read(4)], [push(8)], [read(5)]);
    expect(idsOf(traced)).toEqual([7]);
  });

  it('is the one behind the last of several', () => {
    expect(idsOf(setUp().turn([push(1), push(2), read(1)]))).toEqual([2]);
    expect(idsOf(setUp().turn([push(1), push(2, '00'), read(1)]))).toEqual([]);
  });

  it('is not traced without the sampled flag, or when the text is none', () => {
    const { turn } = setUp();
    expect(turn([push(1, '00'), read(1)], [[PUSH, ClientPush.TRACE, 'x'], read(2)])).toEqual([]);
  });

  it('is not traced when there is another message in between', () => {
    const { turn } = setUp();
    expect(turn([push(1), [99, 1], read(2)], [push(2), [Op.READ, 3, 7], read(4)])).toEqual([]);
  });

  it('that the front answers itself is traced as far as it came', () => {
    const { turn, front } = setUp();
    const [time] = turn([push(1), [Op.TIME, 1], read(2)]);
    expect(time).toMatchObject({ op: Op.TIME, status: Status.OK, worker: -1 });
    expect(time?.stagesUs.length).toBe(1);
    front.router.draining = true;
    expect(turn([push(2), read(3)])).toMatchObject([{ op: Op.READ, status: Status.UNAVAILABLE }]);
  });

  it('of somebody who is not let in is not traced', () => {
    const { turn, connection } = setUp();
    connection.mayOps = 0;
    connection.authReason = 1;
    expect(turn([push(1), read(1)], [push(2), [Op.AUTH, 2, 'x']])).toEqual([]);
    connection.mayOps = -1;
    expect(idsOf(turn([read(3), push(3), read(4)]))).toEqual([3]);
  });
});

describe('what clients want traced is bounded', () => {
  it('to so many a second', () => {
    const { turn, front } = setUp({ perSecond: 3 });
    const frame = Array.from({ length: 10 }, (_, i) => [push(i + 1), read(i + 1)]).flat();
    expect(idsOf(turn(frame))).toEqual([1, 2, 3]);
    expect(turn(frame)).toEqual([]);
    for (let tick = 0; tick < 10; tick++) front.stages.tick();
    expect(idsOf(turn(frame))).toEqual([1, 2, 3]);
  });

  it('to none', () => {
    expect(setUp({ perSecond: 0 }).turn([push(1), read(1)])).toEqual([]);
  });

  it('by the slots that there are, all of which come back', () => {
    const { turn } = setUp({ perSecond: 10_000 });
    const frame = Array.from({ length: SLOTS + 50 }, (_, i) => [push(i + 1), read(i + 1)]).flat();
    for (let round = 0; round < 3; round++) expect(turn(frame).length).toBe(SLOTS - 1);
  });
});

it('which commands are measured is not for clients to choose', () => {
  const { turn, samples, front } = setUp({ perSecond: 10_000 });
  const many = Array.from({ length: 400 }, (_, i) => read(i + 1));
  for (let tick = 0; tick < 5; tick++) {
    for (let i = 0; i < 10; i++) turn(many);
    front.stages.tick();
  }
  const before = samples() as number;
  let traced = 0;
  for (let i = 0; i < 50; i++) traced += turn([push(i + 1), read(1)]).length;
  expect(traced).toBe(50);
  // One command in 20 is, at this rate.
  expect((samples() as number) - before).toBeLessThan(20);
});
