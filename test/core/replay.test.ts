import { describe, expect, it } from 'vitest';
import { MAX_QUANTITY, MAX_TTL_MS } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Event, EventType, eventHold, eventType } from '../../src/core/events.ts';
import { inspectSegment } from '../../src/core/invariant.ts';
import { Header, type SegmentOptions, TICK_MS } from '../../src/core/layout.ts';
import { ReplayError, Replayer } from '../../src/core/replay.ts';
import type { Segment } from '../../src/core/segment.ts';
import { describeSegment, missingKeys } from './describe-segment.ts';
import { DirectCaller, EncodedCaller, makeSegment, T0 } from './fixtures.ts';
import { RecordingSink, replay } from './recording.ts';
import { Table } from './table.ts';

const HOUR_MS = 3_600_000;
const END = T0 + 5000;

/** Every type of event, a slot that is used again, keys, a limit per holder, and holds that end together. */
const STORY = `
    0 | STOCK pen total 10          | OK 10 0 0 10
    0 | STOCK ink total 20 9 9 4000 | OK 20 0 0 20
    1 | HOLD pen 3 1000 k           | OK $a @1001
    1 | HOLD ink 4 1000             | OK $b @1001
    2 | bob: HOLD ink 2 500         | OK $c @502
    3 | RELEASE $b 1                | OK 3
    4 | CONFIRM $b 2                | OK 2
    5 | RETURN $b 1                 | OK 1
    6 | RELEASE $a                  | OK 0
    7 | HOLD pen 2 1000 m           | OK $d @1007
    8 | EXTEND $d 2000              | OK @2008
    9 | bob: HOLD ink 1 494         | OK $e @503
   10 | HOLD pen 8 50               | OK $f @60
   61 | HOLD pen 8 50               | OK $g @111
  520 | advance 100                 | 3
  521 | STOCK pen delta 5           | OK 13 2 0 15
  522 | CONFIRM $d                  | OK 2
`;

interface Told {
  readonly segment: Segment;
  readonly journal: RecordingSink;
}

function tell(options: Partial<SegmentOptions> = {}, story = STORY): Told {
  const journal = new RecordingSink();
  const { segment } = new Table(new EncodedCaller(makeSegment({ ...options, sink: journal }))).play(
    story,
  ).caller;
  return { segment, journal };
}

/** Index of the first event of a type, or of a later one. */
function indexOf(journal: RecordingSink, type: keyof typeof EventType, number = 0): number {
  const of = journal.starts.flatMap((start, index) =>
    eventType(journal.i32[start + Event.TAG]) === EventType[type] ? [index] : [],
  );
  return of[number] as number;
}

function expectSame(recovered: Segment, live: Segment): void {
  const { keys: keysOfLive, ...wanted } = describeSegment(live);
  const { keys: keysOfRecovered, ...came } = describeSegment(recovered);
  expect(came).toEqual(wanted);
  expect(missingKeys(keysOfLive, keysOfRecovered)).toEqual([]);
  expect(inspectSegment(recovered).violations).toEqual([]);
}

describe('replay', () => {
  it('makes the same segment of its events', () => {
    const { segment, journal } = tell({ endedRetentionMs: 0 });
    expect(new Set(journal.starts.map((start) => eventType(journal.i32[start + 1])))).toEqual(
      new Set(Object.values(EventType)),
    );
    const recovered = makeSegment({ endedRetentionMs: 0 });
    replay(journal, recovered, END);
    expectSame(recovered, segment);
    expect(recovered.memory.f64[Header.NOW_F64]).toBe(END);
  });

  it('goes on over the LSN at which its low 32 bits begin anew', () => {
    const journal = new RecordingSink();
    const live = makeSegment({ sink: journal });
    const recovered = makeSegment();
    for (const { memory } of [live, recovered]) memory.f64[Header.LSN_F64] = 2 ** 33 - 5;
    new Table(new DirectCaller(live)).play(STORY);
    expect(live.lsn).toBeGreaterThan(2 ** 33);
    replay(journal, recovered, END);
    expectSame(recovered, live);
  });

  it('goes by the choices of its time where settings are others now', () => {
    const journal = new RecordingSink();
    const live = new DirectCaller(
      makeSegment({ endedRetentionMs: 0, keyRetentionMs: 10, soldRetentionMs: 0, sink: journal }),
    );
    const { segment } = live;
    live.send([Op.STOCK, 'pen', StockMode.TOTAL, 100], T0);
    for (let i = 0; i < 200; i++) {
      const now = T0 + i * 20;
      segment.advance(now, 100);
      // The same key again and again, which was forgotten each time.
      const [status, id] = live.send([Op.HOLD, 'pen', 1, 15, 'key'], now) as [number, number];
      expect(status).toBe(Status.OK);
      live.send([i % 3 === 0 ? Op.CONFIRM : Op.RELEASE, id], now + 1);
      if (i % 3 === 0) live.send([Op.RETURN, id], now + 1);
    }
    const recovered = makeSegment({ holds: 1000, keys: 1000, maxHoldLifeMs: 1 });
    replay(journal, recovered, T0);
    const { keys: _, ...came } = describeSegment(recovered);
    const { keys: __, ...wanted } = describeSegment(segment);
    expect(came).toEqual(wanted);
    expect(inspectSegment(recovered).violations).toEqual([]);
  });

  it('leaves what is due to advance(), which ends just that, days later too', () => {
    const journal = new RecordingSink();
    const live = new DirectCaller(
      makeSegment({ holds: 200, maxHoldLifeMs: 7 * 24 * HOUR_MS, sink: journal }),
    );
    live.send([Op.STOCK, 'pen', StockMode.TOTAL, 1000], T0);
    const deadlines: number[] = [];
    for (let i = 0; i < 150; i++) {
      const ttlMs = [30_000, 32_768, 40_000, HOUR_MS, 23 * HOUR_MS, 24 * HOUR_MS][i % 6] as number;
      const now = T0 + i * HOUR_MS;
      live.send([Op.HOLD, 'pen', 1, ttlMs], now);
      deadlines.push(now + ttlMs);
    }
    for (const hours of [149, 150, 160, 400]) {
      const recovered = makeSegment({ holds: 200 });
      const now = T0 + hours * HOUR_MS + 3;
      replay(journal, recovered, now);
      let ended = 0;
      for (let done = 7; done === 7; ended += done) done = recovered.advance(now, 7);
      const due = deadlines.filter((at) => Math.floor(at / TICK_MS) < Math.floor((now + 1) / TICK_MS)).length;
      expect([hours, ended, recovered.openHolds]).toEqual([hours, due, 150 - due]);
      expect(inspectSegment(recovered).violations).toEqual([]);
      // What is left ends in its time.
      const end = T0 + 400 * HOUR_MS;
      for (let at = now; at <= end; at += HOUR_MS / 2) while (recovered.advance(at, 50) === 50);
      expect(recovered.openHolds).toBe(0);
    }
  });
});

describe('replay refuses', () => {
  const wrong: [
    string,
    keyof typeof EventType,
    number,
    number,
    number | ((old: number) => number),
    RegExp,
  ][] = [
    [
      'another segment',
      'HELD',
      0,
      Event.TAG,
      (old) => old ^ 0x10,
      /event of segment 3, found one of segment 2/,
    ],
    ['an unknown type', 'HELD', 0, Event.TAG, (old) => old | 0xf, /known type.* found type 15/],
    ['a length that is not of the type', 'HELD', 0, Event.BYTES, 44, /its length, found type 2 of 44 bytes/],
    ['a gap', 'HELD', 0, Event.LSN, (old) => old + 1, /LSN 3, found 4/],
    ['what it would pass over as known', 'HELD', 0, Event.LSN, (old) => old - 1, /LSN 3, found 4/],
    ['a time before', 'HELD', 1, Event.TIME, (old) => old - 1, /a time not before \d+ ms/],
    ['a SKU under a new number', 'STOCKED', 2, Event.STOCKED_SKU, 2, /number 0 for SKU "pen", found 2/],
    [
      'a SKU under the number of another',
      'STOCKED',
      1,
      Event.STOCKED_SKU,
      0,
      /number 1 for SKU "ink", found 0/,
    ],
    ['a total below what is taken', 'STOCKED', 2, Event.STOCKED_TOTAL, 1, /held and sold at least, from 2/],
    [
      'a negative limit',
      'STOCKED',
      1,
      Event.STOCKED_MAX_PER_HOLD,
      -1,
      /most units per hold from 0, found -1/,
    ],
    ['a SKU that there is not', 'HELD', 0, Event.HELD_SKU, 2, /number of a SKU from 0 to 1, found 2/],
    ['more than is available', 'HELD', 0, Event.HELD_QUANTITY, 11, /available from 1 to 10, found 11/],
    ['more than the limit per hold', 'HELD', 1, Event.HELD_QUANTITY, 10, /limit per hold from 1 to 9/],
    ['more than the limit per holder', 'HELD', 4, Event.HELD_QUANTITY, 8, /limit per holder from 1 to 7/],
    ['a longer life than the SKU allows', 'HELD', 1, Event.HELD_TTL, 4001, /limit of the SKU from 1 to 4000/],
    ['a life of nothing', 'HELD', 0, Event.HELD_TTL, 0, /a time to live from 1 to \d+, found 0/],
    [
      'a slot that is not the next',
      'HELD',
      0,
      Event.HOLD,
      eventHold(1, 1),
      /free \(0 unused, none ended, none sold\), found 1/,
    ],
    [
      'a slot in use',
      'HELD',
      1,
      Event.HOLD,
      eventHold(0, 2),
      /free \(1 unused, none ended, none sold\), found 0/,
    ],
    [
      'a generation that does not follow',
      'HELD',
      0,
      Event.HOLD,
      eventHold(0, 2),
      /generation 1 of slot 0, found 2/,
    ],
    ['more sold than held', 'CONFIRMED', 0, Event.AMOUNT, 4, /units to sell from 1 to 3, found 4/],
    ['a sale of nothing', 'CONFIRMED', 0, Event.AMOUNT, 0, /units to sell from 1 to 3, found 0/],
    ['an end of no hold', 'CONFIRMED', 0, Event.HOLD, eventHold(9, 1), /a slot below 3, found 9/],
    [
      'an end of an older hold',
      'CONFIRMED',
      0,
      Event.HOLD,
      eventHold(1, 0),
      /generation 1 of slot 1, found 0/,
    ],
    ['more given back than held', 'RELEASED', 0, Event.AMOUNT, 5, /units to give back from 1 to 4, found 5/],
    ['more returned than sold', 'RETURNED', 0, Event.AMOUNT, 3, /units to take back from 1 to 2, found 3/],
    [
      'a return of an open hold',
      'RETURNED',
      0,
      Event.HOLD,
      eventHold(2, 1),
      /a confirmed hold in slot 2, found it held/,
    ],
    [
      'an end of one that has ended',
      'CONFIRMED',
      1,
      Event.HOLD,
      eventHold(1, 1),
      /an open hold in slot 1, found it confirmed/,
    ],
    [
      'expiry before the deadline',
      'EXPIRED',
      0,
      Event.HOLD,
      eventHold(2, 1),
      /a deadline up to \d+, found \d+/,
    ],
    [
      'expiry of a hold twice',
      'EXPIRED',
      2,
      Event.HOLD + 1,
      eventHold(2, 1),
      /an open hold in slot 2, found it expired/,
    ],
    ['an extension that shortens', 'EXTENDED', 0, Event.AMOUNT, 5, /a deadline after \d+, found \d+/],
  ];

  it.each(wrong)('%s', (_what, type, number, word, value, message) => {
    const { journal } = tell();
    const index = indexOf(journal, type, number);
    const at = (journal.starts[index] as number) + word;
    const old = journal.i32[at] as number;
    const next = typeof value === 'number' ? value : value(old);
    expect(next).not.toBe(old);
    journal.i32[at] = next;
    const segment = makeSegment();
    expect(() => replay(journal, segment, END)).toThrow(ReplayError);
    expect(() => replay(journal, makeSegment(), END)).toThrow(message);
    expect(() => replay(journal, makeSegment(), END)).toThrow(/^segment 3, LSN \d+: [A-Z]+|an event/);
  });

  it.each<[Partial<SegmentOptions>, RegExp]>([
    [{ skus: 1 }, /all 1 places taken: the setting "skus" is too small/],
    [{ holds: 3 }, /all 3 places taken: the setting "holds" is too small/],
    [
      { keys: 1 },
      /all 1 places taken: the setting "keys" is too small, or "keyRetentionMs", 600000, too long/,
    ],
    [{ holders: 1 }, /all 1 places taken: the setting "holders" is too small/],
  ])('what has no room any more: %o', (options, message) => {
    const { journal } = tell({});
    expect(() => replay(journal, makeSegment(options), END)).toThrow(message);
  });

  it('holders that have no room when their counting begins', () => {
    const { journal } = tell(
      {},
      `
      0 | STOCK pen total 10          | OK 10 0 0 10
      1 | HOLD pen 3 1000             | OK $a @1001
      1 | bob: HOLD pen 3 1000        | OK $b @1001
      2 | STOCK pen delta 0 nil 5     | OK 4 6 0 10
    `,
    );
    expect(() => replay(journal, makeSegment({ holders: 1 }), END)).toThrow('"holders" is too small');
  });

  it('a key that an open hold has', () => {
    const { journal } = tell();
    const [from, to] = [indexOf(journal, 'HELD', 0), indexOf(journal, 'HELD', 3)];
    // The first hold's end does not come: its LSN goes to another.
    const released = journal.starts[indexOf(journal, 'RELEASED', 1)] as number;
    const segment = makeSegment();
    const replayer = new Replayer(segment);
    for (const start of journal.starts) {
      if (start === released) break;
      replayer.apply(journal.i32, start);
    }
    const print = (index: number): number => (journal.starts[index] as number) + Event.HELD_PRINT;
    journal.i32.copyWithin(print(to), print(from), print(from) + 4);
    const held = journal.starts[to] as number;
    journal.i32[held + Event.LSN] = segment.lsn + 1;
    expect(() => replayer.apply(journal.i32, held)).toThrow(/a new key, found that of an open hold/);
  });

  it('an event that is left out, doubled, or swapped with the next', () => {
    const { journal } = tell();
    const { starts } = journal;
    const last = starts.length - 1;
    for (let index = 0; index <= last; index++) {
      const at = starts[index] as number;
      const orders = [
        // Without the last event nothing is missing.
        ...(index === last
          ? []
          : [starts.toSpliced(index, 1), starts.toSpliced(index, 2, starts[index + 1] as number, at)]),
        starts.toSpliced(index, 0, at),
      ];
      for (const order of orders) {
        const replayer = new Replayer(makeSegment());
        expect(() => {
          for (const start of order) replayer.apply(journal.i32, start);
        }).toThrow(ReplayError);
      }
    }
  });

  it('an event that ends behind the words, and what is none', () => {
    const { journal } = tell();
    const whole = journal.i32.slice(0, journal.bytes / 4);
    const last = journal.starts.at(-1) as number;
    const segment = makeSegment();
    const replayer = new Replayer(segment);
    for (const start of journal.starts.slice(0, -1)) replayer.apply(whole, start);
    for (let words = last; words < whole.length; words++) {
      expect(() => replayer.apply(whole.subarray(0, words), last)).toThrow(ReplayError);
    }
    replayer.apply(whole, last);
    expect(() => replayer.apply(new Int32Array(64), 0)).toThrow(ReplayError);
  });
});

describe('a changed word', () => {
  it('is found, or leaves books that are right', () => {
    const { journal } = tell({ endedRetentionMs: 0 });
    const end = journal.bytes / 4;
    let found = 0;
    for (let word = 0; word < end; word++) {
      const old = journal.i32[word] as number;
      for (const value of [old + 1, old - 1, old ^ 0x80, ~old, 0, -1, MAX_QUANTITY, MAX_TTL_MS]) {
        journal.i32[word] = value;
        const segment = makeSegment({ endedRetentionMs: 0 });
        try {
          replay(journal, segment, END);
        } catch (error) {
          if (!(error instanceof ReplayError)) throw error;
          found++;
          continue;
        }
        expect(inspectSegment(segment).violations, `word ${word} is ${value}`).toEqual([]);
      }
      journal.i32[word] = old;
    }
    // Holders, prints, names and times, and amounts that are possible too, cannot be told from right ones.
    expect(found).toBeGreaterThan(end * 3);
  });
});
