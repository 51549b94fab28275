import { describe, it } from 'vitest';
import { MAX_QUANTITY, MAX_SKU_BYTES } from '../../protocol/limits.ts';
import { bothWays } from './table.ts';

const LONGEST = 'é'.repeat(MAX_SKU_BYTES / 2);

describe('HOLD', () => {
  it('sets units aside for a holder until a deadline', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        5 | HOLD pen 3 1000       | OK $a @1005
        6 | bob: HOLD pen 1 500   | OK $b @506
        7 | READ pen              | OK 6 4 0 10 0 0 0 @506
        8 | READ_HOLD $a          | OK HELD pen 3 0 0 @1005
        8 | bob: READ_HOLD $b     | OK HELD pen 1 0 0 @506
    `);
  });

  it('keeps SKUs apart, whatever their names have in common', () => {
    bothWays().play(`
        0 | STOCK pen total 1               | OK 1 0 0 1
        0 | STOCK pens total 2              | OK 2 0 0 2
        0 | STOCK pe total 3                | OK 3 0 0 3
        0 | STOCK Pen total 4               | OK 4 0 0 4
        0 | STOCK ${LONGEST} total 5        | OK 5 0 0 5
        1 | HOLD pen 1 1000                 | OK $a @1001
        1 | HOLD ${LONGEST} 5 1000          | OK $b @1001
        1 | READ_HOLD $b                    | OK HELD ${LONGEST} 5 0 0 @1001
        1 | READ pen                        | OK 0 1 0 1 0 0 0 @1001
        1 | READ pens                       | OK 2 0 0 2 0 0 0 0
        1 | READ pe                         | OK 3 0 0 3 0 0 0 0
        1 | READ Pen                        | OK 4 0 0 4 0 0 0 0
    `);
  });

  it('takes up to the whole stock, at the largest quantity there is', () => {
    bothWays().play(`
        0 | STOCK pen total ${MAX_QUANTITY}   | OK ${MAX_QUANTITY} 0 0 ${MAX_QUANTITY}
        1 | HOLD pen ${MAX_QUANTITY} 1000     | OK $a @1001
        1 | HOLD pen 1 1000                   | HELD_OUT 0 @1001
        2 | CONFIRM $a                        | OK ${MAX_QUANTITY}
        3 | HOLD pen 1 1000                   | SOLD_OUT 0
        4 | RETURN $a                         | OK 0
        4 | READ pen                          | OK ${MAX_QUANTITY} 0 0 ${MAX_QUANTITY} 0 0 0 0
    `);
  });

  it('is refused by a SKU that was never stocked', () => {
    bothWays().play(`
        0 | HOLD pen 1 1000       | UNKNOWN_SKU
        0 | READ pen              | UNKNOWN_SKU
        1 | STOCK pen delta 0     | OK 0 0 0 0
        1 | HOLD pen 1 1000       | SOLD_OUT 0
    `);
  });

  it('says SOLD_OUT when open holds cannot make enough, and else when the earliest of them ends', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 2 5000       | OK $a @5000
        0 | CONFIRM $a            | OK 2
        1 | HOLD pen 3 800        | OK $b @801
        2 | HOLD pen 3 300        | OK $c @302
        3 | HOLD pen 1 800        | OK $d @803
        4 | HOLD pen 2 1000       | HELD_OUT 1 @302
        4 | HOLD pen 8 1000       | HELD_OUT 1 @302
        4 | HOLD pen 9 1000       | SOLD_OUT 1
        5 | RELEASE $c            | OK 0
        5 | HOLD pen 5 1000       | HELD_OUT 4 @801
        6 | RELEASE $b            | OK 0
        6 | HOLD pen 8 1000       | HELD_OUT 7 @803
        7 | CONFIRM $d            | OK 1
        7 | HOLD pen 8 1000       | SOLD_OUT 7
        7 | HOLD pen 7 1000       | OK $e @1007
        7 | HOLD pen 1 1000       | HELD_OUT 0 @1007
    `);
  });

  it('obeys the limits of the SKU as they are now, and of the server', () => {
    bothWays({ maxHoldLifeMs: 50_000 }).play(`
        0 | STOCK pen total 100 5 nil 2000    | OK 100 0 0 100
        0 | HOLD pen 6 2000                   | HOLD_LIMIT 5
        0 | HOLD pen 5 2001                   | TTL_LIMIT 2000
        0 | HOLD pen 5 2000                   | OK $a @2000
        1 | STOCK pen delta 0 nil nil nil     | OK 95 5 0 100
        1 | HOLD pen 6 2000                   | HOLD_LIMIT 5
        2 | STOCK pen delta 0 0 nil 90000     | OK 95 5 0 100
        2 | HOLD pen 6 50000                  | OK $b @50002
        2 | HOLD pen 6 50001                  | TTL_LIMIT 50000
        3 | STOCK pen delta 0 nil nil 0       | OK 89 11 0 100
        3 | HOLD pen 6 50001                  | TTL_LIMIT 50000
        4 | STOCK pen delta 0 2               | OK 89 11 0 100
        4 | READ_HOLD $b                      | OK HELD pen 6 0 0 @50002
        4 | READ pen                          | OK 89 11 0 100 2 0 0 @2000
    `);
  });

  it('changes nothing when it is refused', () => {
    bothWays({ holds: 1 }).play(`
        0 | STOCK pen total 10 5 6 2000       | OK 10 0 0 10
        0 | STOCK ink total 10                | OK 10 0 0 10
        0 | HOLD pen 4 1000                   | OK $a @1000
        1 | HOLD pen 6 1000                   | HOLD_LIMIT 5
        1 | HOLD pen 4 3000                   | TTL_LIMIT 2000
        1 | HOLD pen 3 1000                   | HOLDER_LIMIT 6 4
        1 | HOLD ink 11 1000                  | SOLD_OUT 10
        1 | HOLD ink 1 1000                   | HOLD_CAPACITY
        1 | READ pen                          | OK 6 4 0 10 5 6 2000 @1000
        1 | READ ink                          | OK 10 0 0 10 0 0 0 0
    `);
  });
});

describe('of several refusals of a HOLD', () => {
  // Everything that can forbid a HOLD applies at once; row by row the first of it is taken away.
  it('the one with the lowest number is the answer', () => {
    bothWays({ holds: 2, keys: 1, holders: 1 }).play(`
        0 | STOCK pen total 10                | OK 10 0 0 10
        0 | HOLD pen 4 9000 k                 | OK $a @9000
        0 | HOLD pen 1 9000                   | OK $b @9000
        1 | STOCK pen delta 0 1 5 500         | OK 5 5 0 10
        2 | HOLD pin 20 1000 k                | UNKNOWN_SKU
        2 | HOLD pen 20 1000 k                | KEY_CONFLICT $a
        2 | HOLD pen 20 1000 new              | HOLD_LIMIT 1
        3 | STOCK pen delta 0 0               | OK 5 5 0 10
        3 | HOLD pen 20 1000 new              | TTL_LIMIT 500
        3 | HOLD pen 20 500 new               | HOLDER_LIMIT 5 5
        4 | bob: HOLD pen 5 501 new           | TTL_LIMIT 500
        4 | bob: HOLD pen 20 500 new          | HOLDER_LIMIT 5 0
        5 | STOCK pen delta 0 nil 0           | OK 5 5 0 10
        5 | bob: HOLD pen 20 500 new          | SOLD_OUT 5
        5 | bob: HOLD pen 6 500 new           | HELD_OUT 5 @9000
        5 | bob: HOLD pen 5 500 new           | HOLD_CAPACITY
        6 | RELEASE $b                        | OK 0
        6 | bob: HOLD pen 5 500 new           | KEY_CAPACITY
        6 | bob: HOLD pen 5 500               | HOLDER_CAPACITY
        6 | HOLD pen 5 500                    | OK $c @506
    `);
  });
});
