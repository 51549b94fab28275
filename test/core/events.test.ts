import { describe, expect, it } from 'vitest';
import { MAX_SKU_BYTES } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import {
  eventBytes,
  eventGeneration,
  eventHold,
  eventLsns,
  eventSlot,
  lsnDistance,
  MAX_COMMAND_EVENT_BYTES,
  MAX_EXPIRY_EVENT_BYTES,
} from '../../src/core/events.ts';
import { Header } from '../../src/core/layout.ts';
import {
  DirectCaller,
  EncodedCaller,
  holderWords,
  makeSegment,
  type SegmentFixture,
  T0,
} from './fixtures.ts';
import { RecordingSink } from './recording.ts';
import { Table } from './table.ts';

/** Plays rows by bytes and by direct calls, and holds the events against the expected ones: type, LSN, time | segment | words. */
function expectEvents(commands: string, events: string, options: SegmentFixture = {}): void {
  for (const Caller of [EncodedCaller, DirectCaller]) {
    const sink = new RecordingSink();
    new Table(new Caller(makeSegment({ ...options, sink }))).play(commands);
    const rows = events.split('\n').map((row) => row.trim().replaceAll(/\s+/g, ' '));
    expect(sink.rows()).toEqual(rows.filter((row) => row !== ''));
  }
}

const ann = Object.values(holderWords('ann')).join(' ');
const bob = Object.values(holderWords('bob')).join(' ');
/** A hold in its slot's first generation, and in its second. */
const first = (slot: number): number => eventHold(slot, 1);
const second = (slot: number): number => eventHold(slot, 2);

describe('the event of', () => {
  it('STOCK tells the whole state of the SKU, its number and its name', () => {
    expectEvents(
      `
        0 | STOCK pen total 10              | OK 10 0 0 10
        7 | STOCK ink total 5 2 3 4000      | OK 5 0 0 5
        8 | STOCK ink delta -1 nil 0        | OK 4 0 0 4
      `,
      `
        STOCKED 1 @0 | 3 | 0 10 0 0 0 3 pen
        STOCKED 2 @7 | 3 | 1 5 2 3 4000 3 ink
        STOCKED 3 @8 | 3 | 1 4 2 0 4000 3 ink
      `,
    );
  });

  it('HOLD names slot and generation, SKU, holder, quantity and time to live', () => {
    expectEvents(
      `
        0 | STOCK pen total 10              | OK 10 0 0 10
        5 | HOLD pen 3 1000                 | OK $a @1005
        6 | bob: HOLD pen 2 70              | OK $b @76
      `,
      `
        STOCKED 1 @0 | 1023 | 0 10 0 0 0 3 pen
        HELD 2 @5 | 1023 | ${first(0)} 0 ${ann} 3 1000
        HELD 3 @6 | 1023 | ${first(1)} 0 ${bob} 2 70
      `,
      { number: 1023 },
    );
  });

  it('CONFIRM, RELEASE, EXTEND and RETURN names the hold and how much', () => {
    expectEvents(
      `
        0 | STOCK pen total 10              | OK 10 0 0 10
        0 | HOLD pen 6 1000                 | OK $a @1000
        1 | EXTEND $a 2000                  | OK @2001
        2 | RELEASE $a 1                    | OK 5
        3 | CONFIRM $a 3                    | OK 3
        4 | RETURN $a 1                     | OK 2
        5 | RETURN $a                       | OK 0
        6 | HOLD pen 4 1000                 | OK $b @1006
        7 | RELEASE $b                      | OK 0
        8 | HOLD pen 1 1000                 | OK $c @1008
        9 | CONFIRM $c                      | OK 1
      `,
      `
        STOCKED 1 @0 | 3 | 0 10 0 0 0 3 pen
        HELD 2 @0 | 3 | ${first(0)} 0 ${ann} 6 1000
        EXTENDED 3 @1 | 3 | ${first(0)} 2000
        RELEASED 4 @2 | 3 | ${first(0)} 1
        CONFIRMED 5 @3 | 3 | ${first(0)} 3
        RETURNED 6 @4 | 3 | ${first(0)} 1
        RETURNED 7 @5 | 3 | ${first(0)} 2
        HELD 8 @6 | 3 | ${first(1)} 0 ${ann} 4 1000
        RELEASED 9 @7 | 3 | ${first(1)} 4
        HELD 10 @8 | 3 | ${second(1)} 0 ${ann} 1 1000
        CONFIRMED 11 @9 | 3 | ${second(1)} 1
      `,
      { endedRetentionMs: 0 },
    );
  });

  it('expiry comes once for each hold that a command ends, and once for many that advance() ends', () => {
    expectEvents(
      `
        0 | STOCK pen total 10              | OK 10 0 0 10
        0 | HOLD pen 6 100                  | OK $a @100
        0 | HOLD pen 4 101                  | OK $b @101
      101 | HOLD pen 9 50                   | OK $c @151
      101 | HOLD pen 1 50                   | OK $d @151
      151 | CONFIRM $c                      | EXPIRED @151
      151 | HOLD pen 1 50                   | OK $e @201
      207 | advance 100                     | 2
      `,
      `
        STOCKED 1 @0 | 3 | 0 10 0 0 0 3 pen
        HELD 2 @0 | 3 | ${first(0)} 0 ${ann} 6 100
        HELD 3 @0 | 3 | ${first(1)} 0 ${ann} 4 101
        EXPIRED 4 @101 | 3 | ${first(0)}
        EXPIRED 5 @101 | 3 | ${first(1)}
        HELD 6 @101 | 3 | ${first(2)} 0 ${ann} 9 50
        HELD 7 @101 | 3 | ${first(3)} 0 ${ann} 1 50
        EXPIRED 8 @151 | 3 | ${first(2)}
        HELD 9 @151 | 3 | ${first(4)} 0 ${ann} 1 50
        EXPIRED 10 @207 | 3 | ${first(3)}
        EXPIRED 11 @207 | 3 | ${first(4)}
      `,
    );
  });

  it('holds that are due together is one for up to 16, with as many LSNs', () => {
    const sink = new RecordingSink();
    const caller = new DirectCaller(makeSegment({ sink }));
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 100], T0);
    for (let i = 0; i < 20; i++) caller.send([Op.HOLD, 'pen', 1, 100], T0);
    expect(caller.segment.advance(T0 + 200, 100)).toBe(20);
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 100], T0 + 201);
    const slots = (from: number, to: number): string =>
      Array.from({ length: to - from }, (_, i) => first(from + i)).join(' ');
    expect(sink.rows().slice(21)).toEqual([
      `EXPIRED 22 @200 | 3 | ${slots(0, 16)}`,
      `EXPIRED 38 @200 | 3 | ${slots(16, 20)}`,
      'STOCKED 42 @201 | 3 | 0 100 0 0 0 3 pen',
    ]);
    const lsns = sink.starts.map((start) => eventLsns(sink.i32, start));
    expect(lsns.slice(20)).toEqual([1, 16, 4, 1]);
    expect(caller.segment.lsn).toBe(42);
  });

  it('a HOLD with a key carries the print of holder, SKU and key', () => {
    const sink = new RecordingSink();
    const caller = new DirectCaller(makeSegment({ sink }));
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 10], T0);
    caller.send([Op.HOLD, 'pen', 1, 100, 'key'], T0);
    const held = sink.words(1);
    expect(held).toHaveLength(14);
    const [p0, p1, p2, p3] = held.subarray(10);
    const { lo, hi } = holderWords('ann');
    const key = Buffer.from('key');
    expect(caller.segment.keys.find(0, lo, hi, key, 0, key.length)).toBe(0);
    expect(caller.segment.keys.findAgain(p0, p1, p2, p3)).toBe(0);
    expect(caller.segment.keys.findAgain(p0, p1, p2, p3 ^ 1)).toBe(-1);
  });
});

describe('what changes nothing', () => {
  it('writes no event: refusals, repetitions and all that reads, also of a hold that is due', () => {
    const sink = new RecordingSink();
    const table = new Table(new EncodedCaller(makeSegment({ sink }))).play(`
        0 | STOCK pen total 10              | OK 10 0 0 10
        0 | HOLD pen 6 100 k                | OK $a @100
    `);
    table.play(`
        1 | HOLD pen 6 100 k                | OK $a @100
        1 | HOLD pen 5 100 k                | KEY_CONFLICT $a
        1 | HOLD pen 5 100                  | HELD_OUT 4 @100
        1 | HOLD pen 11 100                 | SOLD_OUT 4
        1 | HOLD pin 1 100                  | UNKNOWN_SKU
        1 | HOLD pen x 100                  | MALFORMED _ _
        1 | STOCK pen total 1               | STOCK_LIMIT 4 6 0 10
        1 | EXTEND $a 50                    | OK @100
        1 | RELEASE $a 7                    | EXCEEDS_HOLD 6
        1 | RETURN $a                       | NOT_CONFIRMED
        1 | bob: CONFIRM $a                 | UNKNOWN_HOLD
        1 | READ pen                        | OK 4 6 0 10 0 0 0 @100
      100 | READ_HOLD $a                    | OK EXPIRED pen 0 0 0 @100
      100 | READ pen                        | OK 4 6 0 10 0 0 0 @100
      103 | advance 0                       | 0
    `);
    expect(sink.starts).toHaveLength(2);
    expect(table.caller.segment.lsn).toBe(2);
  });
});

describe('an event', () => {
  it('carries times and LSNs beyond 32 bits', () => {
    const sink = new RecordingSink();
    const caller = new DirectCaller(makeSegment({ sink }));
    caller.segment.memory.f64[Header.LSN_F64] = 2 ** 40 + 2 ** 32 - 2;
    const late = 2 ** 47 + 2 ** 32 - 1;
    for (let i = 0; i < 3; i++) caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 10], late);
    expect(sink.rows()).toEqual(
      [-1, 0, 1].map((lsn) => `STOCKED ${lsn} @${late - T0} | 3 | 0 10 0 0 0 3 pen`),
    );
    const distances = sink.starts.map((start) => lsnDistance(sink.i32, start, 2 ** 40 + 2 ** 32 - 1));
    expect(distances).toEqual([0, 1, 2]);
  });

  it('names a hold by its slot and ten bits of its generation', () => {
    const hold = eventHold(4_194_303, 0x1fffff);
    expect([eventSlot(hold), eventGeneration(hold)]).toEqual([4_194_303, 0x3ff]);
    const other = eventHold(5, 0x401);
    expect([eventSlot(other), eventGeneration(other)]).toEqual([5, 1]);
  });

  it('finds no more room asked for than it takes: the most that a command and an expiry can cause', () => {
    const sink = new RecordingSink();
    const caller = new DirectCaller(makeSegment({ sink }));
    // Of 48 holds that are due the first 16 make room for the quantity, and 16 of ann's for her limit.
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 48, null, 47], T0);
    for (let i = 0; i < 16; i++) caller.send([Op.HOLD, 'pen', 1, 100 + i], T0, 'cid');
    for (let i = 0; i < 32; i++) caller.send([Op.HOLD, 'pen', 1, 200 + i], T0);
    const before = sink.bytes;
    expect(caller.send([Op.HOLD, 'pen', 16, 50, 'key'], T0 + 300)).toEqual([
      Status.OK,
      expect.any(Number),
      T0 + 350,
    ]);
    expect(sink.bytes - before).toBe(MAX_COMMAND_EVENT_BYTES);
    const name = 'x'.repeat(MAX_SKU_BYTES);
    const start = sink.bytes;
    caller.send([Op.STOCK, name, StockMode.TOTAL, 48], T0 + 300);
    expect(sink.bytes - start).toBeLessThanOrEqual(MAX_COMMAND_EVENT_BYTES);
    expect(eventBytes(12)).toBe(MAX_EXPIRY_EVENT_BYTES);
  });

  it('for which there is no room ends in an exception', () => {
    const full = { i32: new Int32Array(4), u8: new Uint8Array(16), claim: () => -1 };
    const caller = new DirectCaller(makeSegment({ sink: full }));
    expect(() => caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 1], T0)).toThrow(
      'there is room for the event',
    );
  });
});
