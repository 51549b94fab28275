import { describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { SkuHash } from '../../src/base/hash.ts';
import { inspectSegment } from '../../src/core/invariant.ts';
import { EPOCH_MS, TICK_MS } from '../../src/core/layout.ts';
import { DirectCaller, makeSegment, T0 } from './fixtures.ts';
import { bothWays } from './table.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

describe('a command at the deadline', () => {
  it.each([
    ['CONFIRM $a', 'OK 2'],
    ['RELEASE $a', 'OK 0'],
    ['EXTEND $a 50', 'OK @1049'],
    ['RETURN $a', 'NOT_CONFIRMED'],
  ])('finds the hold ended, and one a millisecond earlier finds it held: %s', (command, before) => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 2 1000       | OK $a @1000
      999 | ${command}            | ${before}
    `);
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 2 1000       | OK $a @1000
     1000 | ${command}            | EXPIRED @1000
     1000 | READ pen              | OK 10 0 0 10 0 0 0 0
    `);
  });

  it('is told that the hold has ended when it only reads, and the hold ends when the wheel comes to it', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 2 1000       | OK $a @1000
      999 | READ_HOLD $a          | OK HELD pen 2 0 0 @1000
     1000 | READ_HOLD $a          | OK EXPIRED pen 0 0 0 @1000
     1000 | READ pen              | OK 8 2 0 10 0 0 0 @1000
     1008 | advance 100           | 1
     1008 | READ_HOLD $a          | OK EXPIRED pen 0 0 0 @1000
     1008 | READ pen              | OK 10 0 0 10 0 0 0 0
    `);
  });

  it('gets the units of holds that are due, though nothing has ended them yet', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 6 1000       | OK $a @1000
        0 | HOLD pen 4 1001       | OK $b @1001
      999 | HOLD pen 6 1000       | HELD_OUT 0 @1000
     1000 | HOLD pen 7 1000       | HELD_OUT 6 @1001
     1000 | HOLD pen 6 500        | OK $c @1500
     1001 | HOLD pen 5 500        | HELD_OUT 4 @1500
     1001 | HOLD pen 11 500       | SOLD_OUT 4
     1500 | HOLD pen 10 500       | OK $d @2000
     1500 | READ_HOLD $c          | OK EXPIRED pen 0 0 0 @1500
    `);
  });
});

describe('advance()', () => {
  // One of each place in a bucket: the bucket is worked off at its last millisecond.
  it.each(Array.from({ length: 2 * TICK_MS }, (_, i) => 1000 + i))(
    'ends a hold at most a tick late, never early: deadline %i',
    (deadline) => {
      const worked = Math.floor(deadline / TICK_MS) * TICK_MS + TICK_MS - 1;
      expect(worked - deadline).toBeLessThan(TICK_MS);
      bothWays().play(`
          0 | STOCK pen total 10          | OK 10 0 0 10
          0 | HOLD pen 2 ${deadline}      | OK $a @${deadline}
  ${worked - 1} | advance 100             | 0
  ${worked - 1} | READ pen                | OK 8 2 0 10 0 0 0 @${deadline}
      ${worked} | advance 100             | 1
      ${worked} | READ pen                | OK 10 0 0 10 0 0 0 0
      ${worked} | CONFIRM $a              | EXPIRED @${deadline}
      ${worked} | advance 100             | 0
      `);
    },
  );

  // Fine buckets, their end, the coarse buckets behind them, and the last one that a hold can reach.
  it.each([
    1,
    TICK_MS,
    EPOCH_MS - 1,
    EPOCH_MS,
    2 * EPOCH_MS - 1,
    2 * EPOCH_MS,
    2 * EPOCH_MS + 1,
    3 * EPOCH_MS + 12_345,
    HOUR_MS,
    7 * HOUR_MS + 1,
    DAY_MS - 1,
    DAY_MS,
  ])('ends a hold of %i ms in time, whatever steps the time takes', (ttlMs) => {
    for (const start of [0, 1, EPOCH_MS - 1, EPOCH_MS - TICK_MS, EPOCH_MS / 2]) {
      for (const stepMs of [ttlMs + TICK_MS, ttlMs / 3 + 1, EPOCH_MS, EPOCH_MS + 777, HOUR_MS]) {
        const end = endOf(start, ttlMs, stepMs);
        expect(end, `from ${start} by ${stepMs}`).toBeGreaterThanOrEqual(start + ttlMs);
        expect(end, `from ${start} by ${stepMs}`).toBeLessThan(start + ttlMs + TICK_MS);
      }
    }
  });

  /** When advance() ends a hold that is placed at `start`: steps to just before its deadline, from there by milliseconds. */
  function endOf(start: number, ttlMs: number, stepMs: number): number {
    const caller = new DirectCaller(makeSegment());
    const { segment } = caller;
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 10], T0 + start);
    const reply = caller.send([Op.HOLD, 'pen', 1, ttlMs], T0 + start);
    expect(reply[0]).toBe(Status.OK);
    let now = start;
    while (now + stepMs < start + ttlMs - 1) {
      now += Math.round(stepMs);
      segment.advance(T0 + now, 100);
      expect(segment.openHolds, `at ${now}`).toBe(1);
    }
    now = Math.max(now, start + ttlMs - 2);
    while (segment.openHolds > 0) segment.advance(T0 + ++now, 100);
    expect(inspectSegment(segment)).toMatchObject({ held: 0, available: 10, violations: [] });
    return now;
  }

  it('ends what is due after a jump of the time over weeks, and nothing else', () => {
    bothWays({ maxHoldLifeMs: 7 * DAY_MS }).play(`
        0 | STOCK pen total 10                | OK 10 0 0 10
        0 | HOLD pen 1 1000                   | OK $a @1000
        0 | HOLD pen 1 ${DAY_MS}              | OK $b @${DAY_MS}
  ${HOUR_MS} | HOLD pen 1 ${DAY_MS}           | OK $c @${HOUR_MS + DAY_MS}
  ${DAY_MS + 7} | advance 100                 | 2
  ${DAY_MS + 7} | READ pen                    | OK 9 1 0 10 0 0 0 @${HOUR_MS + DAY_MS}
  ${30 * DAY_MS} | advance 100                | 1
  ${30 * DAY_MS} | HOLD pen 1 20              | OK $d @${30 * DAY_MS + 20}
  ${30 * DAY_MS + 23} | advance 100           | 1
    `);
  });

  it('ends holds that were placed while the time had run far ahead of it', () => {
    // Far enough that deadlines come to lie a whole turn of the coarse wheel and more behind its hand.
    const far = 40 * DAY_MS;
    const rows = ['0 | STOCK pen total 900 | OK 900 0 0 900', `0 | HOLD pen 1 ${DAY_MS} | OK $a @${DAY_MS}`];
    for (let days = 1; days <= 40; days++) {
      const end = days * DAY_MS + 1000;
      rows.push(`${days * DAY_MS} | HOLD pen 1 1000 | OK $d${days} @${end}`);
    }
    rows.push(`${far} | advance 1000 | 40`);
    rows.push(`${far + 999} | READ_HOLD $d40 | OK HELD pen 1 0 0 @${far + 1000}`);
    rows.push(`${far + 1007} | advance 1000 | 1`);
    bothWays().play(rows.join('\n'));
  });

  it('stays within its budget, and says less only when nothing is left', () => {
    const rows = ['0 | STOCK pen total 50 | OK 50 0 0 50'];
    for (let i = 0; i < 20; i++) rows.push(`${i} | HOLD pen 1 ${100 - i} | OK $h${i} @100`);
    bothWays().play(`
      ${rows.join('\n')}
      103 | advance 7             | 7
      103 | READ pen              | OK 37 13 0 50 0 0 0 @100
      103 | advance 7             | 7
      103 | advance 7             | 6
      103 | advance 7             | 0
      103 | advance 0             | 0
    `);
  });

  it('gives holds that are due half of its budget at least, however many keys and far deadlines wait', () => {
    const caller = new DirectCaller(makeSegment({ keyRetentionMs: EPOCH_MS }));
    const { segment } = caller;
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 99], T0);
    for (let i = 0; i < 20; i++) caller.send([Op.HOLD, 'pen', 1, 10, `key ${i}`], T0);
    expect(segment.advance(T0 + 15, 100)).toBe(20);
    for (let i = 0; i < 10; i++) caller.send([Op.HOLD, 'pen', 1, 2 * EPOCH_MS], T0 + 16);
    for (let i = 0; i < 10; i++) caller.send([Op.HOLD, 'pen', 1, EPOCH_MS], T0 + 16);
    // Into the next epoch: ten holds of the one after it are to be moved from now on, and soon all is due at once.
    segment.advance(T0 + EPOCH_MS + 1, 1);
    const open = [segment.openHolds];
    for (let slice = 0; slice < 5; slice++) {
      expect(segment.advance(T0 + EPOCH_MS + 23, 8)).toBeLessThanOrEqual(8);
      open.push(segment.openHolds);
    }
    expect(open).toEqual([20, 16, 12, 10, 10, 10]);
    expect(segment.keys.count).toBe(0);
  });
});

describe('a million holds that end at the same instant', () => {
  it('are moved to the fine buckets and worked off in slices of the size that is asked for', () => {
    const count = 1_000_000;
    const ttlMs = 3 * EPOCH_MS + 1000;
    const budget = 1000;
    const segment = makeSegment({ holds: count });
    const name = Buffer.from('pen');
    const hash = new SkuHash();
    hash.run(name, 0, name.length);
    const { lo, hi } = hash;
    segment.stock(lo, hi, name, 0, name.length, StockMode.TOTAL, count, -1, -1, -1, T0);
    for (let i = 0; i < count; i++) segment.hold(lo, hi, name, 0, name.length, i, 0, 1, ttlMs, 0, 0, T0);
    expect(segment.openHolds).toBe(count);
    let most = 0;
    for (let now = T0; now < T0 + ttlMs; now += TICK_MS) most = Math.max(most, segment.advance(now, budget));
    expect(segment.openHolds).toBe(count);
    let slices = 0;
    for (; segment.openHolds > 0 && slices < count; slices++) {
      const before = segment.openHolds;
      const done = segment.advance(T0 + ttlMs + TICK_MS, budget);
      most = Math.max(most, done);
      expect(before - segment.openHolds).toBe(done);
    }
    expect(most).toBe(budget);
    expect(slices).toBe(count / budget);
    expect(inspectSegment(segment)).toMatchObject({ held: 0, available: count, violations: [] });
  });
});
