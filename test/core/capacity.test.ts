import { describe, expect, it } from 'vitest';
import { MAX_GENERATION } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Hold } from '../../src/core/layout.ts';
import { DirectCaller, idOf, makeSegment, T0 } from './fixtures.ts';
import { bothWays } from './table.ts';

describe('a full segment', () => {
  it('refuses another SKU, and goes on with those it has', () => {
    bothWays({ skus: 2 }).play(`
        0 | STOCK pen total 5 1 1 1   | OK 5 0 0 5
        0 | STOCK ink total 5         | OK 5 0 0 5
        1 | STOCK cap total 5         | SKU_CAPACITY
        1 | STOCK cap delta 0 1 1 1   | SKU_CAPACITY
        1 | STOCK cap delta -1        | STOCK_LIMIT 0 0 0 0
        1 | READ cap                  | UNKNOWN_SKU
        2 | STOCK pen delta 5         | OK 10 0 0 10
        2 | HOLD ink 5 1000           | OK $a @1002
    `);
  });

  it('refuses another hold until one has ended', () => {
    bothWays({ holds: 2 }).play(`
        0 | STOCK pen total 50        | OK 50 0 0 50
        0 | HOLD pen 1 1000           | OK $a @1000
        0 | HOLD pen 1 2000           | OK $b @2000
        1 | HOLD pen 1 1000           | HOLD_CAPACITY
        1 | HOLD pen 1 1000 k         | HOLD_CAPACITY
        1 | READ pen                  | OK 48 2 0 50 0 0 0 @1000
        2 | CONFIRM $a                | OK 1
        2 | HOLD pen 1 1000           | HOLD_CAPACITY
        3 | RELEASE $b                | OK 0
        3 | HOLD pen 1 1000 k         | OK $c @1003
        3 | READ_HOLD $b              | UNKNOWN_HOLD
        3 | CONFIRM $b                | UNKNOWN_HOLD
        3 | READ_HOLD $a              | OK CONFIRMED pen 0 1 0 @2
        4 | HOLD pen 1 1000           | HOLD_CAPACITY
     1011 | advance 100               | 1
     1011 | HOLD pen 1 1000           | OK $d @2011
     1011 | READ_HOLD $c              | UNKNOWN_HOLD
    `);
  });

  it('refuses another key, but not a hold without one', () => {
    bothWays({ keys: 1 }).play(`
        0 | STOCK pen total 50        | OK 50 0 0 50
        0 | HOLD pen 1 1000 k         | OK $a @1000
        1 | HOLD pen 1 1000 l         | KEY_CAPACITY
        1 | HOLD pen 1 1000 k         | OK $a @1000
        1 | READ pen                  | OK 49 1 0 50 0 0 0 @1000
        1 | HOLD pen 1 1000           | OK $b @1001
    `);
  });

  it('refuses another holder of a SKU with a limit, but none it knows, nor any of a SKU without', () => {
    bothWays({ holders: 1 }).play(`
        0 | STOCK pen total 50 nil 9  | OK 50 0 0 50
        0 | STOCK ink total 50        | OK 50 0 0 50
        0 | HOLD pen 1 1000           | OK $a @1000
        1 | bob: HOLD pen 1 1000 k    | HOLDER_CAPACITY
        1 | HOLD pen 1 1000           | OK $b @1001
        1 | bob: HOLD ink 1 1000      | OK $c @1001
        1 | READ pen                  | OK 48 2 0 50 0 9 0 @1000
        2 | RELEASE $a                | OK 0
        2 | bob: HOLD pen 1 1000 k    | HOLDER_CAPACITY
        2 | RELEASE $b                | OK 0
        2 | bob: HOLD pen 1 1000 k    | OK $d @1002
    `);
  });
});

describe('the place of an ended hold', () => {
  it('is used again after its time, sooner than one that was never used', () => {
    bothWays({ holds: 64, endedRetentionMs: 500 }).play(`
        0 | STOCK pen total 50        | OK 50 0 0 50
        0 | HOLD pen 1 1000           | OK $a @1000
       10 | RELEASE $a                | OK 0
      509 | HOLD pen 1 10             | OK $b @519
      509 | READ_HOLD $a              | OK RELEASED pen 0 0 0 @10
      510 | HOLD pen 1 10             | OK $c @520
      510 | READ_HOLD $a              | UNKNOWN_HOLD
      600 | advance 100               | 2
     1018 | HOLD pen 1 10             | OK $d @1028
     1018 | READ_HOLD $b              | OK EXPIRED pen 0 0 0 @519
     1019 | HOLD pen 1 10             | OK $e @1029
     1019 | READ_HOLD $b              | UNKNOWN_HOLD
     1019 | READ_HOLD $c              | OK EXPIRED pen 0 0 0 @520
    `);
  });

  it('is used before its time when there is no other, the oldest first', () => {
    bothWays({ holds: 3, endedRetentionMs: 60_000 }).play(`
        0 | STOCK pen total 50        | OK 50 0 0 50
        0 | HOLD pen 1 1000           | OK $a @1000
        0 | HOLD pen 1 1000           | OK $b @1000
        0 | HOLD pen 1 1000           | OK $c @1000
        5 | RELEASE $b                | OK 0
        6 | RELEASE $a                | OK 0
        7 | HOLD pen 1 1000           | OK $d @1007
        7 | READ_HOLD $b              | UNKNOWN_HOLD
        7 | READ_HOLD $a              | OK RELEASED pen 0 0 0 @6
        8 | HOLD pen 1 1000           | OK $e @1008
        8 | READ_HOLD $a              | UNKNOWN_HOLD
    `);
  });

  it('is used before its time when more than an eighth of all are ended ones', () => {
    bothWays({ holds: 16, endedRetentionMs: 60_000 }).play(`
        0 | STOCK pen total 50        | OK 50 0 0 50
        0 | HOLD pen 1 1000           | OK $a @1000
        0 | HOLD pen 1 1000           | OK $b @1000
        0 | HOLD pen 1 1000           | OK $c @1000
        5 | RELEASE $b                | OK 0
        6 | RELEASE $a                | OK 0
        7 | HOLD pen 1 1000           | OK $d @1007
        7 | READ_HOLD $b              | OK RELEASED pen 0 0 0 @5
        8 | RELEASE $c                | OK 0
        9 | HOLD pen 1 1000           | OK $e @1009
        9 | READ_HOLD $b              | UNKNOWN_HOLD
        9 | HOLD pen 1 1000           | OK $f @1009
        9 | READ_HOLD $a              | OK RELEASED pen 0 0 0 @6
        9 | READ_HOLD $c              | OK RELEASED pen 0 0 0 @8
    `);
  });

  it('is kept for RETURN while the hold is confirmed, for its own longer time', () => {
    bothWays({ holds: 2, endedRetentionMs: 10, soldRetentionMs: 5000 }).play(`
        0 | STOCK pen total 50        | OK 50 0 0 50
        0 | HOLD pen 2 1000           | OK $a @1000
        0 | HOLD pen 2 1000           | OK $b @1000
        5 | CONFIRM $a                | OK 2
        6 | CONFIRM $b                | OK 2
     5004 | HOLD pen 1 1000           | HOLD_CAPACITY
     5004 | RETURN $a 1               | OK 1
     5005 | HOLD pen 1 1000           | OK $c @6005
     5005 | RETURN $a 1               | UNKNOWN_HOLD
     5005 | RETURN $b 1               | OK 1
     5005 | HOLD pen 1 1000           | HOLD_CAPACITY
     5006 | HOLD pen 1 1000           | OK $d @6006
     5006 | CONFIRM $b                | UNKNOWN_HOLD
     5006 | READ pen                  | OK 46 2 2 50 0 0 0 @6005
    `);
  });

  it('gets a new generation with every use, and starts again behind the last', () => {
    const caller = new DirectCaller(makeSegment({ holds: 1 }));
    const { segment } = caller;
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 10], T0);
    const use = (): number => {
      const [status, id] = caller.send([Op.HOLD, 'pen', 1, 1000], T0) as [number, number];
      expect(status).toBe(Status.OK);
      expect(caller.send([Op.RELEASE, id], T0)).toEqual([Status.OK, 0]);
      return id;
    };
    const first = use();
    expect(use()).toBe(first + 2 ** 32);
    expect(caller.send([Op.READ_HOLD, first], T0)).toEqual([Status.UNKNOWN_HOLD]);
    const meta = segment.holds.at(0) + Hold.META;
    segment.memory.i32[meta] = ((MAX_GENERATION - 1) << 8) | (segment.memory.i32[meta] & 0xff);
    const last = use();
    expect(last).toBe(idOf(first | 0, MAX_GENERATION));
    expect(Number.isSafeInteger(last)).toBe(true);
    expect(use()).toBe(first);
  });
});
