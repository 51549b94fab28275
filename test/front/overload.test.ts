import { describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Layer, Status } from '../../protocol/status.ts';
import { defaultRules } from '../../src/admission/rules.ts';
import { Fence } from '../../src/core/layout.ts';
import { Front } from '../../src/front/front.ts';
import { Mode } from '../../src/shard/records.ts';
import { Shard } from '../../src/shard/shard.ts';
import { frameOf, HOLDER, makeMemory, NOW, RecordingSink, skuIn, work } from './fixtures.ts';

const SEGMENTS = 4;
const SKU = skuIn(0, SEGMENTS);
const PER_WORKER = 200;
const EXISTING = 100;
const CROWD = 3000;

/** A front and a worker, which is played by hand, with some holds that exist. */
function setUp() {
  const memory = makeMemory({ segments: SEGMENTS, segment: { holds: 4096 } });
  const rules = { ...defaultRules(false), depth: { perConnection: 16_384, perWorker: PER_WORKER } };
  const front = new Front({ memory, front: 0, clock: () => NOW, borrow: false, onFault: () => {}, rules });
  const shard = new Shard(memory, 0);
  const sink = new RecordingSink();
  const connection = front.connections.add(sink, HOLDER.lo, HOLDER.hi);
  const send = (commands: unknown[][]) => front.onFrame(connection, frameOf(...commands), Mode.BINARY);
  const answers = () => {
    front.endTurn();
    work(shard);
    front.endTurn();
    return sink.frames.splice(0).flat() as number[][];
  };
  send([[Op.STOCK, 1, SKU, StockMode.TOTAL, 1_000_000]]);
  answers();
  send(Array.from({ length: EXISTING }, (_, i) => [Op.HOLD, 1 + i, SKU, 1, 60_000]));
  const holds = answers().map(([, status, hold]) => {
    expect(status).toBe(Status.OK);
    return hold as number;
  });
  return { front, shard, send, sink, answers, holds };
}

describe('a crowd in front of a worker that does not come after it', () => {
  it('is told to come again later, while all who settle a hold get through', () => {
    const { send, sink, answers, holds } = setUp();
    const hold = (i: number) => [Op.HOLD, 100_000 + i, SKU, 1, 60_000];
    // In between each other, as they come.
    for (let i = 0; i < CROWD; i++) {
      const settling = i % (CROWD / EXISTING) === 0 ? [[Op.CONFIRM, 1 + i, holds.pop()]] : [];
      send([hold(i), ...settling]);
    }
    const refused = sink.frames.splice(0).flat() as number[][];
    for (const [id, status, retryMs, layer] of refused) {
      expect(id).toBeGreaterThanOrEqual(100_000);
      expect([status, layer]).toEqual([Status.BUSY, Layer.WORKER_QUEUE]);
      expect(retryMs).toBeGreaterThan(0);
    }
    const done = answers();
    expect(done.every(([, status]) => status === Status.OK)).toBe(true);
    const confirms = done.filter(([id]) => (id as number) < 100_000).length;
    expect([confirms, holds]).toEqual([EXISTING, []]);
    expect(done.length - confirms + refused.length).toBe(CROWD);
    expect(done.length - confirms).toBeLessThanOrEqual(PER_WORKER);
  });

  it('is let in again when the worker has', () => {
    const { front, send, answers } = setUp();
    send(Array.from({ length: PER_WORKER + 1 }, (_, i) => [Op.HOLD, 1 + i, SKU, 1, 60_000]));
    const first = answers();
    expect(first.filter(([, status]) => status === Status.BUSY)).toHaveLength(1);
    send([[Op.HOLD, 9000, SKU, 1, 60_000]]);
    expect(answers().map((answer) => answer.slice(0, 2))).toEqual([[9000, Status.OK]]);
    expect([front.gate.underWay[0], front.gate.refused[Layer.WORKER_QUEUE]]).toEqual([0, 1]);
  });
});

it('what a command waited and took is told to the gate, which refuses by it', () => {
  const { front, shard, send, answers } = setUp();
  const { gate } = front;
  // With a store and a segment that are as they should be, nothing speaks against anything.
  for (let i = 0; i < 200; i++) {
    send([[Op.HOLD, 1 + i, SKU, 1, 60_000]]);
    answers();
  }
  expect([...(gate.breakers?.skus.states ?? [])]).toEqual(new Array(SEGMENTS).fill(0));
  // Of a segment that is out of service, every answer does.
  shard.segmentAt(0).fence(Fence.FOR_GOOD, 0);
  let status = Status.UNAVAILABLE as number;
  let asked = 0;
  for (; status === Status.UNAVAILABLE && asked < 1000; asked++) {
    send([[Op.HOLD, 1, SKU, 1, 60_000]]);
    status = answers()[0]?.[1] as number;
  }
  expect(status).toBe(Status.BUSY);
  expect(gate.refused[Layer.SKU_BREAKER]).toBe(1);
  // Reading costs little, and tells how things stand.
  send([[Op.READ, 1, SKU]]);
  expect(answers()[0]?.[1]).toBe(Status.UNAVAILABLE);
});
