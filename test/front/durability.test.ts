import { describe, expect, it } from 'vitest';
import { RETRY_LATER_MS } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { MAX_COMMAND_EVENT_BYTES } from '../../src/core/events.ts';
import { GROUP } from '../../src/core/prefetch.ts';
import { Front } from '../../src/front/front.ts';
import { RingProducer } from '../../src/ring/producer.ts';
import { Durability } from '../../src/shard/durability.ts';
import { Control, durableWord, storageControlOf } from '../../src/shard/memory.ts';
import { Mode } from '../../src/shard/records.ts';
import { Shard } from '../../src/shard/shard.ts';
import { frameOf, HOLDER, makeMemory, NOW, RecordingSink, skuIn, work } from './fixtures.ts';

const SEGMENTS = 4;
const sku = skuIn(0, SEGMENTS);
const stocked = [Op.STOCK, 1, sku, StockMode.TOTAL, 10];

/** A front with one worker and a store, both played by the test. */
function setUp({ gated = true } = {}) {
  const memory = makeMemory({ segments: SEGMENTS, events: { ringBytes: 65_536, gated } });
  const [own] = memory.workers;
  if (memory.storage === undefined) throw new Error('there is a store');
  const control = storageControlOf(memory.storage);
  const front = new Front({
    memory,
    front: 0,
    clock: () => NOW,
    borrow: false,
    onFault: () => expect.unreachable(),
  });
  const shard = new Shard(memory, 0);
  const events = new RingProducer(own.sab, own.events, own.eventRingBytes);
  const client = () => {
    const sink = new RecordingSink();
    const connection = front.connections.add(sink, HOLDER.lo, HOLDER.hi);
    return {
      sink,
      connection,
      statuses: () => sink.messages.map((reply) => (reply as number[]).slice(0, 2)),
    };
  };
  const first = client();
  /** Routes commands, has the worker run them, and lets the front send what it may. */
  const run = (commands: unknown[][], from = first.connection, mode: number = Mode.BINARY) => {
    front.router.onFrame(from, frameOf(...commands), mode);
    front.endTurn();
    work(shard);
    front.endTurn();
  };
  /** The store has made durable what was published up to now. */
  const makeDurable = () => {
    events.refresh();
    Atomics.store(control, durableWord(0), events.position);
    return events.position;
  };
  return { memory, front, shard, events, control, run, makeDurable, client, ...first };
}

describe('a reply to a change', () => {
  it('leaves when the change is durable, and not before', () => {
    const { front, run, makeDurable, statuses } = setUp();
    run([stocked, [Op.HOLD, 2, sku, 1, 1000]]);
    expect(statuses()).toEqual([]);
    expect(front.pump.waiting()).toBe(false);
    makeDurable();
    expect(front.pump.waiting()).toBe(true);
    front.endTurn();
    expect(statuses()).toEqual([
      [1, Status.OK],
      [2, Status.OK],
    ]);
  });

  it('leaves when its own change is durable, though later ones are not', () => {
    const { front, run, makeDurable, statuses } = setUp();
    run([stocked]);
    makeDurable();
    run([[Op.HOLD, 2, sku, 1, 1000]]);
    front.endTurn();
    expect(statuses()).toEqual([[1, Status.OK]]);
  });

  it.each([
    ['a repeated key', [Op.HOLD, 3, sku, 1, 1000, 'key'], [Op.HOLD, 2, sku, 1, 1000, 'key'], Status.OK],
    [
      'a refusal by what is not durable yet',
      [Op.HOLD, 3, sku, 1, 1000],
      [Op.HOLD, 2, sku, 10, 1000],
      Status.HELD_OUT,
    ],
  ])('waits also when it changed nothing: %s', (_name, second, before, status) => {
    const { front, run, makeDurable, statuses } = setUp();
    run([stocked]);
    makeDurable();
    run([before]);
    run([second]);
    expect(statuses()).toEqual([[1, Status.OK]]);
    makeDurable();
    front.endTurn();
    expect(statuses()).toEqual([
      [1, Status.OK],
      [2, Status.OK],
      [3, status],
    ]);
  });

  it('waits for nothing when acknowledged in memory', () => {
    const { run, statuses } = setUp({ gated: false });
    run([stocked, [Op.HOLD, 2, sku, 1, 1000]]);
    expect(statuses()).toEqual([
      [1, Status.OK],
      [2, Status.OK],
    ]);
  });

  it('keeps its place across the wrap of the positions', () => {
    const { memory, front, run, makeDurable, statuses, shard, control } = setUp();
    const [own] = memory.workers;
    const nearWrap = (2 ** 31 - 64) | 0;
    new RingProducer(own.sab, own.events, own.eventRingBytes).resumeAt(nearWrap);
    new Int32Array(own.sab, own.events)[48] = nearWrap;
    Atomics.store(control, durableWord(0), nearWrap);
    shard.control[35] = nearWrap;
    run([stocked, [Op.HOLD, 2, sku, 1, 1000]]);
    expect(statuses()).toEqual([]);
    expect(makeDurable()).toBeLessThan(0);
    front.endTurn();
    expect(statuses().length).toBe(2);
  });
});

describe('a read', () => {
  it('waits behind changes that are on their way', () => {
    const { run, statuses } = setUp();
    run([stocked, [Op.READ, 2, sku]]);
    expect(statuses()).toEqual([]);
  });

  it('passes them while the store stands still, and changes are refused', () => {
    const { front, run, makeDurable, statuses } = setUp();
    run([stocked, [Op.HOLD, 2, sku, 1, 1000], [Op.READ, 3, sku]]);
    front.setStalled(true);
    front.endTurn();
    expect(statuses()).toEqual([[3, Status.OK]]);
    run([
      [Op.HOLD, 4, sku, 1, 1000],
      [Op.READ, 5, sku],
    ]);
    expect(statuses().slice(1)).toEqual([
      [4, Status.UNAVAILABLE],
      [5, Status.OK],
    ]);
    makeDurable();
    front.endTurn();
    expect(statuses().slice(3)).toEqual([
      [1, Status.OK],
      [2, Status.OK],
    ]);
    front.setStalled(false);
    run([[Op.HOLD, 6, sku, 1, 1000]]);
    makeDurable();
    front.endTurn();
    expect(statuses().slice(5)).toEqual([[6, Status.OK]]);
    expect(front.router.inFlight).toBe(0);
  });

  it('says when to come back in the refusal', () => {
    const { front, run, sink } = setUp();
    front.setStalled(true);
    run([[Op.CONFIRM, 1, 2 ** 32]]);
    expect(sink.messages).toEqual([[1, Status.UNAVAILABLE, RETRY_LATER_MS]]);
  });

  it('passes parked replies of any mode, also of a client that has gone', () => {
    const { front, run, makeDurable, client } = setUp();
    const text = client();
    const gone = client();
    run([stocked], text.connection, Mode.JSON);
    run([[Op.HOLD, 2, sku, 1, 1000]], gone.connection);
    front.setStalled(true);
    front.endTurn();
    front.connections.close(gone.connection);
    makeDurable();
    front.endTurn();
    expect(text.sink.decoded.map(({ message }) => message.slice(0, 2))).toEqual([[1, Status.OK]]);
    expect(gone.sink.frames).toEqual([]);
    expect(front.router.inFlight).toBe(0);
  });
});

describe('an event ring without room for what a group may cause', () => {
  /** Fills it up to so many bytes. */
  function setUpFilled(left: number) {
    const rig = setUp();
    const { run, shard, front, makeDurable, events, sink } = rig;
    run([stocked, [Op.HOLD, 1, sku, 1, 60_000]]);
    makeDurable();
    front.endTurn();
    const [, , holdId] = sink.messages[1] as number[];
    events.refresh();
    while (events.hasRoom(left + 1000)) events.claim(1000, 0);
    events.publish();
    shard.control[Control.EVENT_POSITION] = events.position;
    const answers = () => new Map((sink.messages as number[][]).map(([id, status]) => [id, status]));
    return { ...rig, holdId: BigInt(holdId), answers };
  }

  it('has changes refused and reads answered', () => {
    const { run, front, holdId, answers } = setUpFilled(0);
    run([
      [Op.HOLD, 2, sku, 1, 1000],
      [Op.READ, 3, sku],
      [Op.CONFIRM, 4, holdId],
      [Op.READ_HOLD, 5, holdId],
    ]);
    front.endTurn();
    expect([2, 3, 4, 5].map((id) => answers().get(id))).toEqual([
      Status.BUSY,
      Status.OK,
      Status.BUSY,
      Status.OK,
    ]);
  });

  it('has new holds refused while those that exist can still be confirmed', () => {
    const { run, front, makeDurable, holdId, answers } = setUpFilled(GROUP * MAX_COMMAND_EVENT_BYTES);
    run([
      [Op.HOLD, 2, sku, 1, 1000],
      [Op.STOCK, 3, sku, 0, 5],
      [Op.CONFIRM, 4, holdId],
    ]);
    makeDurable();
    front.endTurn();
    expect([2, 3, 4].map((id) => answers().get(id))).toEqual([Status.BUSY, Status.BUSY, Status.OK]);
  });
});

describe('a store', () => {
  it.each([
    ['makes nothing durable', false, true],
    ['makes a part durable', true, false],
  ])('that %s in a second is taken to stand still, or not', (_name, progress, stalled) => {
    const { memory, events, control } = setUp();
    const durability = new Durability(memory);
    events.claim(8, 0);
    const first = events.position;
    events.claim(8, 0);
    events.publish();
    expect(durability.stalled(10_000, 1000)).toBe(false);
    if (progress) Atomics.store(control, durableWord(0), first);
    expect(durability.stalled(11_000, 1000)).toBe(stalled);
    Atomics.store(control, durableWord(0), events.position);
    expect(durability.stalled(12_000, 1000)).toBe(false);
    expect(durability.stalled(20_000, 1000)).toBe(false);
  });
});
