import { describe, expect, it } from 'vitest';
import { MAX_QUANTITY } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Fence } from '../../src/core/layout.ts';
import { EncodedCaller, makeSegment, T0 } from './fixtures.ts';
import { bothWays, encodedTable } from './table.ts';

describe('STOCK', () => {
  it('sets the total or changes it, and makes the SKU', () => {
    bothWays().play(`
        0 | STOCK pen total 10        | OK 10 0 0 10
        1 | STOCK pen delta 5         | OK 15 0 0 15
        2 | STOCK pen delta -5        | OK 10 0 0 10
        3 | STOCK pen total 3         | OK 3 0 0 3
        4 | STOCK pen total 0         | OK 0 0 0 0
        5 | STOCK ink delta 7         | OK 7 0 0 7
        6 | STOCK cap delta 0         | OK 0 0 0 0
        7 | READ pen                  | OK 0 0 0 0 0 0 0 0
    `);
  });

  it('never takes units that are held or sold', () => {
    bothWays().play(`
        0 | STOCK pen total 10        | OK 10 0 0 10
        0 | HOLD pen 3 1000           | OK $a @1000
        0 | HOLD pen 4 1000           | OK $b @1000
        1 | CONFIRM $b                | OK 4
        2 | STOCK pen delta -4        | STOCK_LIMIT 3 3 4 10
        2 | STOCK pen total 6 1 1 1   | STOCK_LIMIT 3 3 4 10
        2 | READ pen                  | OK 3 3 4 10 0 0 0 @1000
        2 | STOCK pen total 7         | OK 0 3 4 7
        2 | HOLD pen 3 1000           | HELD_OUT 0 @1000
        3 | STOCK pen delta 3         | OK 3 3 4 10
    `);
  });

  it('keeps the total within its bounds', () => {
    bothWays().play(`
        0 | STOCK pen total ${MAX_QUANTITY}   | OK ${MAX_QUANTITY} 0 0 ${MAX_QUANTITY}
        1 | STOCK pen delta 1                 | STOCK_LIMIT ${MAX_QUANTITY} 0 0 ${MAX_QUANTITY}
        1 | STOCK pen delta ${MAX_QUANTITY}   | STOCK_LIMIT ${MAX_QUANTITY} 0 0 ${MAX_QUANTITY}
        2 | STOCK pen delta -${MAX_QUANTITY}  | OK 0 0 0 0
        3 | STOCK pen delta -1                | STOCK_LIMIT 0 0 0 0
        3 | STOCK ink delta -1                | STOCK_LIMIT 0 0 0 0
        3 | READ ink                          | UNKNOWN_SKU
    `);
  });

  it('changes the settings that it names, and leaves the others', () => {
    bothWays().play(`
        0 | STOCK pen total 10 1 2 3              | OK 10 0 0 10
        0 | READ pen                              | OK 10 0 0 10 1 2 3 0
        1 | STOCK pen delta 0                     | OK 10 0 0 10
        1 | STOCK pen delta 0 nil nil nil         | OK 10 0 0 10
        1 | READ pen                              | OK 10 0 0 10 1 2 3 0
        2 | STOCK pen delta 0 nil 20              | OK 10 0 0 10
        2 | READ pen                              | OK 10 0 0 10 1 20 3 0
        3 | STOCK pen delta 0 0 nil ${86_400_000} | OK 10 0 0 10
        3 | READ pen                              | OK 10 0 0 10 0 20 ${86_400_000} 0
        4 | STOCK pen delta 0 ${MAX_QUANTITY} 0 0 | OK 10 0 0 10
        4 | READ pen                              | OK 10 0 0 10 ${MAX_QUANTITY} 0 0 0
    `);
  });

  it('makes room for as many SKUs as the segment takes', () => {
    const caller = new EncodedCaller(makeSegment({ skus: 5000 }));
    for (let i = 0; i < 5000; i++) {
      expect(caller.send([Op.STOCK, `sku ${i}`, StockMode.TOTAL, i], T0)).toEqual([Status.OK, i, 0, 0, i]);
    }
    expect(caller.send([Op.STOCK, 'sku 5000', StockMode.TOTAL, 1], T0)).toEqual([Status.SKU_CAPACITY]);
    for (let i = 0; i < 5000; i++) {
      expect(caller.send([Op.READ, `sku ${i}`], T0)).toEqual([Status.OK, i, 0, 0, i, 0, 0, 0, 0]);
    }
  });
});

describe('INSPECT', () => {
  it('adds up the books of the segment', () => {
    encodedTable({ number: 3 }).play(`
        0 | INSPECT 3                 | OK 0 0 0 0 0 0 0 0
        0 | STOCK pen total 10        | OK 10 0 0 10
        0 | STOCK ink total 20        | OK 20 0 0 20
        0 | HOLD pen 3 1000 k         | OK $a @1000
        0 | HOLD ink 5 1000           | OK $b @1000
        0 | HOLD ink 1 1000           | OK $c @1000
        1 | CONFIRM $b                | OK 5
        1 | INSPECT 3                 | OK 2 2 21 4 5 30 1 0
    `);
  });

  it('counts what contradicts itself', () => {
    const caller = new EncodedCaller(makeSegment());
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 10], T0);
    caller.segment.memory.i32[caller.segment.skus.at(0)] = 9;
    expect(caller.send([Op.INSPECT, 3], T0)).toEqual([Status.OK, 1, 0, 9, 0, 0, 10, 0, 1]);
    caller.segment.memory.i32[caller.segment.skus.at(0)] = -1;
    expect(caller.send([Op.INSPECT, 3], T0)).toEqual([Status.OK, 1, 0, 0, 0, 0, 10, 0, 2]);
  });
});

describe('a segment that is fenced off', () => {
  it('answers nothing but UNAVAILABLE, and keeps its state', () => {
    const table = encodedTable().play(`
        0 | STOCK pen total 10        | OK 10 0 0 10
        0 | HOLD pen 3 1000           | OK $a @1000
    `);
    const { segment } = table.caller;
    expect(segment.fenced).toBe(false);
    segment.fence(Fence.FOR_GOOD);
    expect(segment.fenced).toBe(true);
    table.play(`
        1 | STOCK pen total 10        | UNAVAILABLE 0
        1 | HOLD pen 1 1000           | UNAVAILABLE 0
        1 | HOLD pen x 1000           | UNAVAILABLE 0
        1 | CONFIRM $a                | UNAVAILABLE 0
        1 | RELEASE $a                | UNAVAILABLE 0
        1 | EXTEND $a 1000            | UNAVAILABLE 0
        1 | RETURN $a                 | UNAVAILABLE 0
        1 | READ pen                  | UNAVAILABLE 0
        1 | READ_HOLD $a              | UNAVAILABLE 0
        1 | INSPECT 3                 | UNAVAILABLE 0
    `);
    expect(segment.openHolds).toBe(1);
  });
});
