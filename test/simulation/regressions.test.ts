import { afterEach, describe, expect, it, vi } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { DEFAULT_SEGMENT_OPTIONS } from '../../src/core/layout.ts';
import type { Sink } from '../../src/front/connections.ts';
import { Front } from '../../src/front/front.ts';
import { decodeAll } from '../../src/front/message.ts';
import { Doorbell } from '../../src/ring/doorbell.ts';
import { allocateEngine, type EngineMemory } from '../../src/shard/memory.ts';
import { Mode } from '../../src/shard/records.ts';
import { runWorker } from '../../src/shard/worker-loop.ts';
import { pack } from './commands.ts';

/** What the simulation has found, and what it cannot find because it stands for the thing itself: each played by hand. */
describe('found once', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('drops the rest of a frame whose first answers cost the connection', () => {
    const { front } = makeFront();
    const flooder = front.connections.add(closingSink(), 1, 1);
    // More answers than fit a frame: the first of them go out while the frame is still being read.
    const frame = [...many(6_000, (id) => [Op.TIME, id]), [Op.READ, 9_999_999, 'pen']];
    front.onFrame(flooder, encode(frame), Mode.BINARY);
    const received: unknown[] = [];
    const stranger = front.connections.add(collectingSink(received), 2, 2);

    expect(stranger.index).toBe(flooder.index);
    expect(front.router.inFlight).toBe(0);
    expect(received).toEqual([]);

    function closingSink(): Sink {
      return { ...collectingSink([]), send: () => front.connections.close(flooder) };
    }
  });

  it.each([1, 255, 256, 257, 512, 768, 1024])('wakes the front after %i commands', (count) => {
    const { front, memory } = makeFront();
    const received: unknown[] = [];
    const connection = front.connections.add(collectingSink(received), 1, 1);
    front.onFrame(connection, encode(many(count, (id) => [Op.READ, id, 'pen'])), Mode.BINARY);
    front.endTurn();
    goToSleep(memory.fronts[0], 0);
    runUntilIdle(memory);

    expect(isAwake(memory.fronts[0], 0)).toBe(true);
    front.endTurn();
    expect(received).toHaveLength(count);
  });

  it('goes on and on when the replies fill their ring again and again', () => {
    const { front, memory } = makeFront({ replyRingBytes: 4096 });
    const [own] = memory.workers;
    const received: unknown[] = [];
    const connection = front.connections.add(collectingSink(received), 1, 1);
    front.onFrame(connection, encode(many(2_000, (id) => [Op.READ, id, 'pen'])), Mode.BINARY);
    let turns = 0;
    for (; received.length < 2_000; turns++) {
      front.endTurn();
      goToSleep(memory.fronts[0], 0);
      expect(isAwake(own.sab, own.doorbell), `the worker after ${received.length} replies`).toBe(true);
      runUntilIdle(memory);
      expect(isAwake(memory.fronts[0], 0), `the front after ${received.length} replies`).toBe(true);
      front.endTurn();
    }
    expect(turns).toBeGreaterThan(5);
  });
});

/** A front whose turns are taken by hand, and one worker that nobody runs yet. */
function makeFront({ replyRingBytes = 1 << 18 } = {}): { front: Front; memory: EngineMemory } {
  const memory = allocateEngine({
    fronts: 1,
    workers: 1,
    segments: 1,
    segment: { ...DEFAULT_SEGMENT_OPTIONS, skus: 4, holds: 16, keys: 4, holders: 4 },
    commandRingBytes: 1 << 18,
    replyRingBytes,
  });
  const front = new Front({
    memory,
    front: 0,
    clock: () => 1_000,
    borrow: false,
    onFault: () => expect.unreachable(),
  });
  return { front: Object.assign(front, { schedule() {}, sleep() {} }), memory };
}

/** Runs the worker's loop in this thread until it goes to sleep. */
function runUntilIdle(memory: EngineMemory): void {
  const [own] = memory.workers;
  vi.spyOn(Doorbell.prototype, 'sleep').mockImplementation((_timeoutMs, ready) => {
    goToSleep(own.sab, own.doorbell);
    if (!ready()) throw new Error('asleep');
    return true;
  });
  expect(() => runWorker(memory, 0, () => 1_000, 0)).toThrow('asleep');
}

/** Raises a doorbell's flag, as its owner does before it sleeps. */
function goToSleep(sab: SharedArrayBuffer, at: number): void {
  new Int32Array(sab, at, 1)[0] = 1;
}

function isAwake(sab: SharedArrayBuffer, at: number): boolean {
  return !new Doorbell(sab, at).isSleeping();
}

function collectingSink(into: unknown[]): Sink {
  return { send: (frame) => void into.push(...decodeAll(frame)), sendDecoded() {}, close() {} };
}

function many(count: number, command: (id: number) => unknown[]): unknown[][] {
  return Array.from({ length: count }, (_, at) => command(1_000_000 + at));
}

function encode(commands: readonly unknown[][]): Uint8Array {
  return new Uint8Array(Buffer.concat(commands.map(pack)));
}
