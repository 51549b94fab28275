import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { microClock } from '../../src/base/clock.ts';
import { Front } from '../../src/front/front.ts';
import { RingProducer } from '../../src/ring/producer.ts';
import { Fault, plantFault } from '../../src/shard/faults.ts';
import { controlOf, durableWord, Lease, storageControlOf } from '../../src/shard/memory.ts';
import { Mode } from '../../src/shard/records.ts';
import { Shard } from '../../src/shard/shard.ts';
import { Publications } from '../../src/shard/stage-memory.ts';
import { readStages } from '../../src/shard/stage-reader.ts';
import { STAGES } from '../../src/shard/stage-report.ts';
import { frameOf, HOLDER, makeMemory, NOW, RecordingSink, skuIn, work } from './fixtures.ts';

const SEGMENTS = 4;
const sku = skuIn(0, SEGMENTS);
const reads = (count: number) => Array.from({ length: count }, (_, i) => [Op.READ, i + 1, sku]);
const stocks = (count: number) =>
  Array.from({ length: count }, (_, i) => [Op.STOCK, i + 1, sku, StockMode.TOTAL, i]);

/** The tests' time on the stage clocks, ms. */
let nowMs = 0;
beforeEach(() => {
  nowMs = 0;
  const hrtime = (): [number, number] => [Math.floor(nowMs / 1000), (nowMs % 1000) * 1e6];
  vi.spyOn(process, 'hrtime').mockImplementation(hrtime as typeof process.hrtime);
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
});
afterEach(() => vi.restoreAllMocks());

/** A front with one worker and a store, all played by the test. */
function setUp() {
  const memory = makeMemory({ segments: SEGMENTS, events: { ringBytes: 65_536, gated: true } });
  const [own] = memory.workers;
  if (memory.storage === undefined) throw new Error('there is a store');
  const durable = storageControlOf(memory.storage);
  const onFault = () => expect.unreachable();
  const front = new Front({ memory, front: 0, clock: () => NOW, borrow: false, onFault });
  const shard = new Shard(memory, 0);
  const events = new RingProducer(own.sab, own.events, own.eventRingBytes);
  const publications = new Publications(memory.stages);
  const clock = microClock();
  const connect = () => front.connections.add(new RecordingSink(), HOLDER.lo, HOLDER.hi);
  const send = (commands: unknown[][], connection = connect()) => {
    front.router.onFrame(connection, frameOf(...commands), Mode.BINARY);
    return connection;
  };
  /** The store makes durable what was published up to now. */
  const makeDurable = () => {
    events.refresh();
    publications.begin(clock());
    publications.note(0, events.position);
    Atomics.store(durable, durableWord(0), events.position);
  };
  const report = () => readStages(memory, NOW);
  const worker = () => report().workers[0];
  const counts = () => STAGES.map((stage) => worker().stages[stage].count);
  const sumsMs = () => STAGES.map((stage) => worker().stages[stage].sumUs / 1000);
  return { memory, front, shard, connect, send, makeDurable, report, worker, counts, sumsMs };
}

/** Lets the worker take what waits at one time and publish it at another. */
function workFrom(shard: Shard, takenMs: number, repliedMs: number): void {
  nowMs = takenMs;
  expect(shard.acquire(Lease.WORKER)).toBe(true);
  shard.runCommands(NOW, 100_000);
  nowMs = repliedMs;
  shard.release();
}

function endTurn(front: Front, atMs: number): void {
  nowMs = atMs;
  front.endTurn();
}

describe('the stages of a command', () => {
  it('follow one another from its frame to the socket', () => {
    const { front, shard, send, makeDurable, counts, sumsMs } = setUp();
    nowMs = 1;
    send(stocks(1));
    endTurn(front, 3);
    workFrom(shard, 7, 12);
    endTurn(front, 15);
    expect(counts()).toEqual([0, 0, 0, 0, 0]);
    nowMs = 20;
    makeDurable();
    nowMs = 22;
    makeDurable();
    endTurn(front, 50);
    expect(counts()).toEqual([1, 1, 1, 1, 1]);
    expect(sumsMs()).toEqual([2, 4, 5, 8, 30]);
  });

  it('have no waiting for the store where nothing changed', () => {
    const { front, shard, send, sumsMs } = setUp();
    send(reads(1));
    endTurn(front, 1);
    workFrom(shard, 3, 6);
    endTurn(front, 10);
    expect(sumsMs()).toEqual([1, 2, 3, 0, 4]);
  });

  it('are those of each command, where others are under way', () => {
    const { front, shard, send, makeDurable, sumsMs } = setUp();
    send(stocks(1));
    endTurn(front, 1);
    workFrom(shard, 2, 3);
    send(stocks(1));
    nowMs = 4;
    makeDurable();
    front.router.publish();
    workFrom(shard, 6, 10);
    nowMs = 15;
    makeDurable();
    endTurn(front, 30);
    // The first: 0, 1, 2, 3, 4, 30. The second: 3, 4, 6, 10, 15, 30.
    expect(sumsMs()).toEqual([1 + 1, 1 + 2, 1 + 4, 1 + 5, 26 + 15]);
  });

  it.each([0, 1])(
    'are told of a refusal that has nothing to wait for, after %i publications',
    (publications) => {
      // Far enough for the clock to be negative.
      const startMs = 3_000_000;
      const { front, shard, send, makeDurable, sumsMs } = setUp();
      nowMs = startMs;
      for (let i = 0; i < publications; i++) makeDurable();
      send([[Op.HOLD, 1, 'no such', 1, 1000]]);
      endTurn(front, startMs + 1);
      workFrom(shard, startMs + 2, startMs + 4);
      endTurn(front, startMs + 7);
      expect(sumsMs()).toEqual([1, 1, 2, 0, 3]);
    },
  );

  it('are no longer than they were when the thread that should have told died', () => {
    const { memory, front, shard, send, counts, sumsMs } = setUp();
    for (let i = 0; i < 20; i++) {
      front.stages.tick();
      send(reads(20));
      front.endTurn();
      work(shard);
      front.endTurn();
    }
    expect(sumsMs()).toEqual([0, 0, 0, 0, 0]);
    nowMs = 1000;
    send([...reads(20), [Op.READ, 50, skuIn(1, SEGMENTS)]]);
    endTurn(front, 1001);
    plantFault(controlOf(memory.workers[0]), Fault.THROW, 1);
    expect(() => work(new Shard(memory, 0))).toThrow('planted fault');
    nowMs = 1010;
    front.shardOf(0).adopt(Lease.FRONT);
    front.shardOf(0).release();
    endTurn(front, 1011);
    expect(counts()).toEqual([421, 421, 421, 421, 421]);
    expect(sumsMs().reduce((sum, ms) => sum + ms)).toBe(21 * 11);
  });

  it.each([1, 15, 16, 40])('know when a change became durable, %i publications ago', (later) => {
    const { front, shard, send, makeDurable, sumsMs } = setUp();
    send(stocks(1));
    endTurn(front, 0);
    workFrom(shard, 0, 0);
    nowMs = 5;
    makeDurable();
    for (let i = 1; i <= later; i++) {
      nowMs = 5 + i;
      makeDurable();
    }
    endTurn(front, 100);
    // Sixteen are remembered: of one that is forgotten, the earliest that is known.
    const reachedMs = later < 16 ? 5 : 5 + later - 15;
    expect(sumsMs()).toEqual([0, 0, 0, reachedMs, 100 - reachedMs]);
  });

  it('add up to the whole time of every command of a frame', () => {
    const { front, shard, send, counts, sumsMs } = setUp();
    send(reads(30));
    endTurn(front, 2);
    workFrom(shard, 4, 7);
    endTurn(front, 9);
    expect(counts()).toEqual([30, 30, 30, 30, 30]);
    expect(sumsMs().reduce((sum, ms) => sum + ms)).toBe(30 * 9);
  });

  it('go on over the turn of the clock', () => {
    const wholeTurnMs = 2 ** 32 / 1000;
    const { front, shard, send, sumsMs } = setUp();
    nowMs = wholeTurnMs - 2;
    send(reads(1));
    endTurn(front, wholeTurnMs - 1);
    workFrom(shard, wholeTurnMs + 1, wholeTurnMs + 2);
    endTurn(front, wholeTurnMs + 4);
    expect(sumsMs().map(Math.round)).toEqual([1, 2, 1, 0, 2]);
  });
});

describe('a timed command', () => {
  const ROUNDS = 12;
  const COMMANDS = 60;

  // More than there are slots in all: were they not given back, there would be none in the end.
  it.each<[string, (it: ReturnType<typeof setUp>) => void]>([
    [
      'is answered',
      ({ front, shard, send }) => {
        send(reads(COMMANDS));
        front.endTurn();
        work(shard);
      },
    ],
    [
      'waits for the store',
      ({ front, shard, send, makeDurable }) => {
        send(stocks(COMMANDS));
        front.endTurn();
        work(shard);
        front.endTurn();
        makeDurable();
      },
    ],
    [
      'is answered when its connection is gone',
      ({ front, shard, send }) => {
        front.connections.close(send(reads(COMMANDS)));
        front.endTurn();
        work(shard);
      },
    ],
    [
      'is taken aside while the store stands still',
      ({ front, shard, send, makeDurable }) => {
        send(stocks(COMMANDS));
        front.pump.parking = true;
        front.endTurn();
        work(shard);
        front.endTurn();
        front.pump.parking = false;
        makeDurable();
      },
    ],
    [
      'is run by a thread that dies, and by the next',
      ({ memory, front, send }) => {
        send(reads(COMMANDS - 2));
        send([
          [Op.READ, 9, skuIn(1, SEGMENTS)],
          [Op.READ, 10, sku],
        ]);
        front.endTurn();
        const thread = new Shard(memory, 0);
        plantFault(controlOf(memory.workers[0]), Fault.THROW, 1);
        expect(() => work(thread)).toThrow('planted fault');
        const shard = front.shardOf(0);
        shard.adopt(Lease.FRONT);
        shard.release();
        work(new Shard(memory, 0));
      },
    ],
  ])('gives its slot back when it %s', (_, round) => {
    const it = setUp();
    for (let i = 0; i < ROUNDS; i++) {
      it.front.stages.tick();
      round(it);
      it.front.endTurn();
    }
    expect(it.counts()).toEqual(STAGES.map(() => ROUNDS * COMMANDS));
  });
});

describe('the share of commands that are timed', () => {
  const run = (it: ReturnType<typeof setUp>, frames: number, perFrame: number) => {
    for (let i = 0; i < frames; i++) {
      it.send(reads(perFrame));
      it.front.endTurn();
      work(it.shard);
      it.front.endTurn();
    }
  };

  it('falls while many come, and rises again at once when they do not', () => {
    const it = setUp();
    expect(it.report().sampledOneIn).toBe(1);
    run(it, 200, 100);
    const [unknown] = it.counts();
    // One each, then one of two, of four…: 200 of each.
    expect(unknown).toBeGreaterThan(1000);
    expect(unknown).toBeLessThan(1600);
    it.front.stages.tick();
    expect(it.report().sampledOneIn).toBe(100);
    run(it, 200, 100);
    const settled = it.counts()[0] - unknown;
    expect(settled).toBeGreaterThan(150);
    expect(settled).toBeLessThan(250);
    it.front.stages.tick();
    it.front.stages.tick();
    expect(it.report().sampledOneIn).toBe(1);
    run(it, 50, 1);
    expect(it.counts()[0] - unknown - settled).toBeGreaterThanOrEqual(48);
  });

  it('is not stopped by a tick in the middle of a turn', () => {
    const it = setUp();
    run(it, 200, 100);
    it.front.stages.tick();
    it.send(reads(50));
    it.front.stages.tick();
    it.front.stages.tick();
    it.front.endTurn();
    work(it.shard);
    it.front.endTurn();
    const [before] = it.counts();
    run(it, 10, 1);
    expect(it.counts()[0] - before).toBeGreaterThanOrEqual(8);
  });
});

describe('what a report says of a worker', () => {
  it('counts what waits in its rings', () => {
    const { front, shard, send, makeDurable, worker } = setUp();
    const waiting = () => [worker().waitingCommands, worker().waitingReplies, worker().eventRingFill > 0];
    send(stocks(7));
    expect(waiting()).toEqual([0, 0, false]);
    front.router.publish();
    expect(waiting()).toEqual([7, 0, false]);
    expect(worker().commandRingFill).toBeGreaterThan(0);
    work(shard);
    expect(waiting()).toEqual([0, 7, true]);
    expect(worker().replyRingFill).toBeGreaterThan(0);
    makeDurable();
    front.endTurn();
    expect(waiting().slice(0, 2)).toEqual([0, 0]);
  });
});
