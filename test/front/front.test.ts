import { setImmediate as turnOver } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { MAX_IN_FLIGHT, RETRY_LATER_MS } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Layer, Status } from '../../protocol/status.ts';
import { BUSY_RETRY_MS } from '../../src/admission/gate.ts';
import { Front } from '../../src/front/front.ts';
import { Doorbell } from '../../src/ring/doorbell.ts';
import { Fault, plantFault } from '../../src/shard/faults.ts';
import { Lane } from '../../src/shard/lanes.ts';
import { commandConsumer } from '../../src/shard/link-rings.ts';
import { Control, controlOf, Lease } from '../../src/shard/memory.ts';
import { Mode } from '../../src/shard/records.ts';
import { Shard } from '../../src/shard/shard.ts';
import {
  type EngineFixture,
  frameOf,
  HOLDER,
  makeMemory,
  NOW,
  RecordingSink,
  skuIn,
  work,
} from './fixtures.ts';

const SEGMENTS = 4;
/** Above so many commands under way, a sleeping worker is woken rather than stood in for. */
const BORROW_MOST = 128;
const PUBLISH_EARLY = 256;
const sku = (segment: number) => skuIn(segment, SEGMENTS);

interface Fixture extends EngineFixture {
  borrow?: boolean;
}

/** A front whose workers are played by hand: asleep or awake, and at work when the test says so. */
function setUp({ borrow = true, ...engine }: Fixture = {}) {
  const memory = makeMemory({ segments: SEGMENTS, ...engine });
  const faults: { error: unknown; segment: number }[] = [];
  const front = new Front({
    memory,
    front: 0,
    clock: () => NOW,
    borrow,
    onFault: (error, segment) => faults.push({ error, segment }),
  });
  const workers = memory.workers.map((own, worker) => {
    const doorbell = new Doorbell(own.sab, own.doorbell);
    return {
      shard: new Shard(memory, worker),
      control: controlOf(own),
      commands: commandConsumer(own, 0, Lane.NORMAL),
      fallAsleep: () => void doorbell.sleepAsync(60_000, () => false),
      sleeps: () => doorbell.isSleeping(),
    };
  });
  const client = () => {
    const sink = new RecordingSink();
    const connection = front.connections.add(sink, HOLDER.lo, HOLDER.hi);
    /** Without a turn of the event loop: endTurn() is called by the test. */
    const send = (...commands: unknown[][]) =>
      front.router.onFrame(connection, frameOf(...commands), Mode.BINARY);
    return { sink, connection, send };
  };
  return { memory, front, faults, workers, worker: workers[0], client, ...client() };
}

const reads = (count: number) => Array.from({ length: count }, (_, i) => [Op.READ, i + 1, 'no such']);

describe('the end of a turn', () => {
  it.each<[string, Fixture, (it: ReturnType<typeof setUp>) => void, 'answers' | 'wakes' | 'leaves it']>([
    ['sleeps and may be stood in for', {}, ({ worker }) => worker.fallAsleep(), 'answers'],
    ['sleeps, and nobody may stand in', { borrow: false }, ({ worker }) => worker.fallAsleep(), 'wakes'],
    ['is awake', {}, () => {}, 'leaves it'],
    ['is awake, and nobody may stand in', { borrow: false }, () => {}, 'leaves it'],
    [
      'seems asleep but has the lease',
      {},
      ({ worker }) => {
        worker.fallAsleep();
        worker.shard.acquire(Lease.WORKER);
      },
      'wakes',
    ],
    [
      'sleeps while a whole segment is to be read',
      {},
      ({ worker, client }) => {
        client().send([Op.INSPECT, 1, 0]);
        worker.fallAsleep();
      },
      'wakes',
    ],
    [
      'sleeps while much is under way',
      {},
      ({ worker, client }) => {
        client().send(...reads(BORROW_MOST));
        worker.fallAsleep();
      },
      'wakes',
    ],
    [
      'sleeps while as much is under way as the front takes on',
      {},
      ({ worker, client }) => {
        client().send(...reads(BORROW_MOST - 1));
        worker.fallAsleep();
      },
      'answers',
    ],
  ])('with a worker that %s', (_name, fixture, prepare, outcome) => {
    const it = setUp(fixture);
    prepare(it);
    const slept = it.worker.sleeps();
    it.send([Op.READ, 1, 'no such']);
    it.front.endTurn();
    expect(it.sink.messages).toEqual(outcome === 'answers' ? [[1, Status.UNKNOWN_SKU]] : []);
    expect(it.worker.sleeps()).toBe(outcome === 'wakes' ? false : slept);
    expect(it.worker.control[Control.BORROWED] > 0).toBe(outcome === 'answers');
    if (outcome === 'answers') return;
    if (it.worker.control[Control.LEASE] === Lease.WORKER) it.worker.shard.release();
    expect(work(it.worker.shard)).toBeGreaterThan(0);
    it.front.endTurn();
    expect(it.sink.messages).toEqual([[1, Status.UNKNOWN_SKU]]);
    expect(it.front.router.inFlight).toBe(0);
  });

  it('stands in for those workers alone that sleep', () => {
    const { front, workers, send, sink } = setUp({ workers: 2 });
    workers[1].fallAsleep();
    send([Op.READ, 1, sku(0)], [Op.READ, 2, sku(1)]);
    front.endTurn();
    expect(sink.messages).toEqual([[2, Status.UNKNOWN_SKU]]);
    work(workers[0].shard);
    front.endTurn();
    expect(sink.messages).toEqual([
      [2, Status.UNKNOWN_SKU],
      [1, Status.UNKNOWN_SKU],
    ]);
  });

  it('leaves the lease free, and the worker finds the rings as they are', () => {
    const { front, worker, send, sink } = setUp();
    worker.fallAsleep();
    for (let id = 1; id <= 10; id++) {
      send([Op.READ, id, 'no such']);
      // The front and the worker in turns.
      if (id % 2 === 0) front.endTurn();
      else {
        front.router.publish();
        work(worker.shard);
        front.endTurn();
      }
      expect(worker.control[Control.LEASE]).toBe(Lease.FREE);
    }
    expect(sink.messages).toEqual(Array.from({ length: 10 }, (_, i) => [i + 1, Status.UNKNOWN_SKU]));
    expect(worker.control[Control.BORROWED]).toBe(5);
  });

  it('wakes a worker that fell asleep because nobody took its replies', () => {
    const { front, worker, send, sink } = setUp({ borrow: false });
    let sent = 0;
    while (worker.shard.links[0].replies.hasRoom(4096)) {
      send(...reads(200));
      sent += 200;
      front.router.publish();
      work(worker.shard);
    }
    send(...reads(1000));
    front.router.publish();
    const done = work(worker.shard);
    expect(done).toBeLessThan(1000);
    expect(worker.shard.waiting()).toBe(false);
    worker.fallAsleep();
    front.endTurn();
    expect(sink.messages).toHaveLength(sent + done);
    expect(worker.sleeps()).toBe(false);
    expect(work(worker.shard)).toBe(1000 - done);
  });

  it('comes by itself behind the frames of a turn of the event loop', async () => {
    const { front, worker, connection, sink } = setUp();
    worker.fallAsleep();
    for (const id of [1, 2]) front.onFrame(connection, frameOf([Op.READ, id, 'no such']), Mode.BINARY);
    expect(sink.frames).toEqual([]);
    await turnOver();
    await turnOver();
    expect(sink.frames).toEqual([
      [
        [1, Status.UNKNOWN_SKU],
        [2, Status.UNKNOWN_SKU],
      ],
    ]);
  });

  it('comes by itself when a worker rings', async () => {
    const { memory, front, worker, connection, sink } = setUp({ borrow: false });
    front.onFrame(connection, frameOf([Op.READ, 1, 'no such']), Mode.BINARY);
    await expect.poll(() => worker.shard.waiting()).toBe(true);
    await turnOver();
    work(worker.shard);
    expect(new Doorbell(memory.fronts[0], 0).ring()).toBe(true);
    await expect.poll(() => sink.messages).toEqual([[1, Status.UNKNOWN_SKU]]);
  });
});

describe('commands in the middle of a turn', () => {
  it.each([
    [PUBLISH_EARLY - 1, false],
    [PUBLISH_EARLY, true],
  ])('%i of them, published early: %s', (count, early) => {
    const { front, worker, connection } = setUp();
    worker.fallAsleep();
    front.onFrame(connection, frameOf(...reads(count)), Mode.BINARY);
    expect(worker.commands.fill() > 0).toBe(early);
    expect(worker.sleeps()).toBe(!early);
    expect(front.router.unpublished).toBe(early ? 0 : count);
  });
});

describe('a segment that throws while the front stands in', () => {
  it('is fenced off, its command answered UNKNOWN_OUTCOME and the next ones UNAVAILABLE; the others carry on', () => {
    const { front, worker, send, sink, faults } = setUp();
    worker.fallAsleep();
    send(...[0, 1].map((segment) => [Op.STOCK, segment + 1, sku(segment), StockMode.TOTAL, 10]));
    front.endTurn();
    plantFault(worker.control, Fault.THROW, 1);
    send([Op.READ, 3, sku(0)], [Op.HOLD, 4, sku(1), 1, 1000], [Op.READ, 5, sku(1)], [Op.READ, 6, sku(0)]);
    front.endTurn();
    // What waited behind the fault is left to the worker, and here to a front that finds it asleep.
    expect(worker.sleeps()).toBe(false);
    worker.fallAsleep();
    send([Op.READ, 7, sku(1)]);
    front.endTurn();
    expect(faults).toEqual([{ error: expect.any(Error), segment: 1 }]);
    const statuses = (sink.messages as number[][]).map(([id, status]) => [id, status]);
    expect(statuses.slice(2)).toEqual([
      [3, Status.OK],
      [4, Status.UNKNOWN_OUTCOME],
      [5, Status.UNAVAILABLE],
      [6, Status.OK],
      [7, Status.UNAVAILABLE],
    ]);
    expect(front.fencedSegments()).toEqual([1]);
    expect(worker.control[Control.LEASE]).toBe(Lease.FREE);
  });
});

describe('a client with too much under way', () => {
  it('is refused BUSY, alone, until its answers come', () => {
    const { front, worker, connection, sink, send, client } = setUp({ borrow: false });
    const other = client();
    connection.inFlight = MAX_IN_FLIGHT - 1;
    send([Op.READ, 1, 'no such'], [Op.READ, 2, 'no such']);
    other.send([Op.READ, 1, 'no such']);
    expect(sink.messages).toEqual([[2, Status.BUSY, BUSY_RETRY_MS, Layer.CONNECTION]]);
    expect(other.sink.messages).toEqual([]);
    front.endTurn();
    work(worker.shard);
    front.endTurn();
    send([Op.READ, 3, 'no such']);
    front.endTurn();
    work(worker.shard);
    front.endTurn();
    expect(sink.messages.slice(1)).toEqual([
      [1, Status.UNKNOWN_SKU],
      [3, Status.UNKNOWN_SKU],
    ]);
    expect(other.sink.messages).toEqual([[1, Status.UNKNOWN_SKU]]);
  });
});

describe('a front that drains', () => {
  it('answers what is under way, and refuses what comes', () => {
    const { front, worker, send, sink } = setUp({ borrow: false });
    send([Op.READ, 1, 'no such']);
    front.endTurn();
    front.router.draining = true;
    send([Op.READ, 2, 'no such']);
    expect(front.router.inFlight).toBe(1);
    work(worker.shard);
    front.endTurn();
    expect(sink.messages).toEqual([
      [2, Status.UNAVAILABLE, RETRY_LATER_MS],
      [1, Status.UNKNOWN_SKU],
    ]);
    expect(front.router.inFlight).toBe(0);
  });
});
