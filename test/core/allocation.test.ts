import { describe, expect, it } from 'vitest';
import { bytesPerCall, mostCalls } from '../../perf/allocation.ts';
import { MAX_REPLY_BYTES } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Writer } from '../../protocol/writer.ts';
import { SkuHash } from '../../src/base/hash.ts';
import { EVENT_HEAD_BYTES, type EventSink, EventType, eventBytes, eventType } from '../../src/core/events.ts';
import { executeCommand } from '../../src/core/execute.ts';
import { Header } from '../../src/core/layout.ts';
import { Replayer } from '../../src/core/replay.ts';
import { DirectCaller, EncodedCaller, makeSegment, T0 } from './fixtures.ts';

const CALLS = 20_000;
/** Less than this is nothing: a compilation now and then, spread over many calls. */
const NOTHING = 1;

/**
 * Times as objects, as a worker has the one that it reads for a batch. (An element that is no number keeps the array from storing
 * bare doubles, of which each read would make an object.)
 */
const TIMES: readonly unknown[] = ['', ...Array.from({ length: mostCalls(CALLS) }, (_, i) => T0 + i)];

/** Goes on by a millisecond with every call, over all measurements of a test. */
class Clock {
  private calls = 0;

  next(): number {
    this.calls++;
    return TIMES[this.calls] as number;
  }
}

describe('no command allocates memory', () => {
  it('a HOLD that is accepted, with a key and a limit per holder, and the expiry that makes room for it', () => {
    const scene = new Scene();
    const hold = scene.command([Op.HOLD, 'pen', 1, 20, 'key 0']);
    const key = scene.bytes[hold].length - 1;
    const clock = new Clock();
    let refused = 0;
    const bytes = bytesPerCall(
      (call) => {
        const now = clock.next();
        scene.bytes[hold][key] = call & 0xff;
        if (scene.run(hold, now) !== Status.OK) refused++;
        scene.segment.advance(now, 100);
      },
      CALLS,
      NOTHING,
    );
    expect(bytes).toBeLessThan(NOTHING);
    expect(refused).toBe(0);
  });

  it('HOLD, EXTEND, RELEASE in parts, CONFIRM, RETURN and READ_HOLD of one hold', () => {
    const scene = new Scene();
    const hold = scene.command([Op.HOLD, 'pen', 4, 60_000]);
    // The size of a hold's id, which is put in its place below.
    const id = 2n ** 40n;
    const life = [
      [Op.EXTEND, id, 70_000],
      [Op.RELEASE, id, 1],
      [Op.CONFIRM, id, 2],
      [Op.RETURN, id],
      [Op.READ_HOLD, id],
    ].map((command) => scene.command(command as [number]));
    const clock = new Clock();
    let wrong = 0;
    const bytes = bytesPerCall(
      () => {
        const now = clock.next();
        if (scene.run(hold, now) !== Status.OK) wrong++;
        const { holdLo, holdHi } = scene.segment;
        for (const command of life) if (scene.runOn(command, holdLo, holdHi, now) !== Status.OK) wrong++;
      },
      CALLS,
      NOTHING,
    );
    expect(bytes).toBeLessThan(NOTHING);
    expect(wrong).toBe(0);
  });

  it('any refusal, STOCK and READ', () => {
    const scene = new Scene();
    const commands = [
      [Op.HOLD, 'pin', 1, 1000],
      [Op.HOLD, 'pen', 2_000_000, 1000],
      [Op.HOLD, 'pen', 1, 90_000_000],
      [Op.HOLD, 'ink', 3, 1000],
      [Op.HOLD, 'ink', 1, 1000],
      [Op.HOLD, 'pen', 1, 1000, 'other'],
      [Op.CONFIRM, 2n ** 40n],
      [Op.STOCK, 'pen', StockMode.DELTA, 1],
      [Op.STOCK, 'ink', StockMode.TOTAL, 0],
      [Op.READ, 'pen'],
      [Op.READ, 'ink'],
      [Op.HOLD, 'pen', 'x', 1000],
    ].map((command) => scene.command(command as [number]));
    scene.caller.send([Op.HOLD, 'pen', 5, 1000, 'other'], T0);
    const seen = new Int32Array(32);
    const now = TIMES[1] as number;
    const bytes = bytesPerCall(
      () => {
        for (const command of commands) seen[scene.run(command, now)]++;
      },
      CALLS,
      NOTHING,
    );
    expect(bytes).toBeLessThan(NOTHING);
    const { UNKNOWN_SKU, HOLD_LIMIT, MALFORMED, SOLD_OUT, HELD_OUT, KEY_CONFLICT, STOCK_LIMIT } = Status;
    for (const status of [
      UNKNOWN_SKU,
      HOLD_LIMIT,
      MALFORMED,
      SOLD_OUT,
      HELD_OUT,
      KEY_CONFLICT,
      STOCK_LIMIT,
    ]) {
      expect(seen[status]).toBeGreaterThan(0);
    }
  });
});

describe('nothing allocates memory', () => {
  it('when an event of any type is written, and when it is applied', () => {
    const journal = new LatestEvents();
    const options = { holds: 4096, keys: 256, keyRetentionMs: 0, endedRetentionMs: 0, soldRetentionMs: 0 };
    const caller = new DirectCaller(makeSegment({ ...options, sink: journal }));
    const live = caller.segment;
    const recovered = makeSegment(options);
    // LSNs that are no small integers.
    for (const { memory } of [live, recovered]) memory.f64[Header.LSN_F64] = 2 ** 40;
    const replayer = new Replayer(recovered);
    const name = Buffer.from('pen and a key');
    const hash = new SkuHash();
    hash.run(name, 0, 3);
    const { lo, hi } = hash;
    const clock = new Clock();
    let wrong = 0;
    const stock = (mode: number, now: number): number =>
      live.stock(lo, hi, name, 0, 3, mode, 1000, 0, 900, 0, now);
    const hold = (keyStart: number, now: number): number =>
      live.hold(lo, hi, name, 0, 3, 7, 8, 4, 2, keyStart, keyStart === 0 ? 0 : 3, now);
    stock(StockMode.TOTAL, T0);
    journal.apply(replayer);
    const bytes = bytesPerCall(
      () => {
        const now = clock.next();
        wrong += stock(StockMode.TOTAL, now) + hold(4, now);
        const { holdLo, holdHi } = live;
        wrong += live.extend(holdLo, holdHi, 7, 8, 9, now) + live.release(holdLo, holdHi, 7, 8, 1, 0, now);
        wrong +=
          live.confirm(holdLo, holdHi, 7, 8, 2, now) + live.returnSold(holdLo, holdHi, 7, 8, 0, 0, now);
        wrong += hold(0, now);
        live.advance(now, 100);
        journal.apply(replayer);
      },
      CALLS,
      NOTHING,
    );
    expect(bytes).toBeLessThan(NOTHING);
    expect(wrong).toBe(0);
    expect(journal.seen).toEqual(new Set(Object.values(EventType)));
    expect(recovered.lsn).toBe(live.lsn);
  });
});

/** Events since they were last applied. */
class LatestEvents implements EventSink {
  readonly u8 = new Uint8Array(65_536);
  readonly i32 = new Int32Array(this.u8.buffer);
  readonly seen = new Set<number>();
  private bytes = 0;

  claim(payloadBytes: number, tag: number): number {
    const at = this.bytes;
    this.i32[at >> 2] = payloadBytes;
    this.i32[(at >> 2) + 1] = tag;
    this.bytes = at + eventBytes(payloadBytes);
    return at + EVENT_HEAD_BYTES;
  }

  apply(replayer: Replayer): void {
    for (let at = 0; at < this.bytes; at += eventBytes(this.i32[at >> 2] as number)) {
      replayer.apply(this.i32, at >> 2);
      this.seen.add(eventType(this.i32[(at >> 2) + 1] as number));
    }
    this.bytes = 0;
  }
}

/** A segment with some stock, and commands that were encoded beforehand. */
class Scene {
  readonly caller = new EncodedCaller(
    makeSegment({ holds: 4096, keys: 256, keyRetentionMs: 100, soldRetentionMs: 100 }),
  );
  readonly segment = this.caller.segment;
  readonly bytes: Uint8Array[] = [];
  private readonly writer = new Writer(new Uint8Array(MAX_REPLY_BYTES));

  constructor() {
    this.caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 1_000_000, 1_000_000, 900_000], T0);
    this.caller.send([Op.STOCK, 'ink', StockMode.TOTAL, 2], T0);
    this.caller.send([Op.HOLD, 'ink', 2, 80_000_000], T0);
  }

  command(command: [number, ...unknown[]]): number {
    return this.bytes.push(this.caller.encode(command)) - 1;
  }

  run(index: number, now: number): number {
    const { caller, writer } = this;
    caller.aim(this.bytes[index] as Uint8Array, 'ann');
    writer.pos = 0;
    return executeCommand(this.segment, caller.head, caller.cursor, writer, now);
  }

  /** The same on another hold than the bytes say. */
  runOn(index: number, lo: number, hi: number, now: number): number {
    const { caller, writer } = this;
    caller.aim(this.bytes[index] as Uint8Array, 'ann');
    caller.head.lo = lo;
    caller.head.hi = hi;
    writer.pos = 0;
    return executeCommand(this.segment, caller.head, caller.cursor, writer, now);
  }
}
