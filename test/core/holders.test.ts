import { describe, it } from 'vitest';
import { bothWays } from './table.ts';

describe('the limit per holder', () => {
  it('counts what a holder has held and bought, not what was given back', () => {
    bothWays().play(`
        0 | STOCK pen total 100 nil 10    | OK 100 0 0 100
        0 | HOLD pen 11 1000              | HOLDER_LIMIT 10 0
        0 | HOLD pen 6 1000               | OK $a @1000
        0 | HOLD pen 5 1000               | HOLDER_LIMIT 10 6
        0 | HOLD pen 4 1000               | OK $b @1000
        0 | HOLD pen 1 1000               | HOLDER_LIMIT 10 10
        1 | RELEASE $b 1                  | OK 3
        1 | HOLD pen 2 1000               | HOLDER_LIMIT 10 9
        2 | CONFIRM $a 4                  | OK 4
        2 | HOLD pen 4 1000               | HOLDER_LIMIT 10 7
        3 | RELEASE $b                    | OK 0
        3 | HOLD pen 7 1000               | HOLDER_LIMIT 10 4
        4 | RETURN $a 3                   | OK 1
        4 | HOLD pen 10 1000              | HOLDER_LIMIT 10 1
        4 | HOLD pen 9 1000               | OK $c @1004
        5 | CONFIRM $c                    | OK 9
     5000 | HOLD pen 1 1000               | HOLDER_LIMIT 10 10
        6 | RETURN $a                     | OK 0
        6 | RETURN $c                     | OK 0
        6 | HOLD pen 10 1000              | OK $d @6000
     6007 | advance 100                   | 1
     6007 | HOLD pen 10 1000              | OK $e @7007
    `);
  });

  it('counts each holder and each SKU by itself', () => {
    bothWays().play(`
        0 | STOCK pen total 100 nil 5     | OK 100 0 0 100
        0 | STOCK ink total 100 nil 5     | OK 100 0 0 100
        0 | HOLD pen 5 1000               | OK $a @1000
        0 | HOLD ink 5 1000               | OK $b @1000
        0 | bob: HOLD pen 5 1000          | OK $c @1000
        0 | bob: HOLD ink 6 1000          | HOLDER_LIMIT 5 0
        0 | HOLD pen 1 1000               | HOLDER_LIMIT 5 5
    `);
  });

  it('can be changed and lifted, and goes on counting meanwhile', () => {
    bothWays().play(`
        0 | STOCK pen total 100 nil 5     | OK 100 0 0 100
        0 | HOLD pen 5 1000               | OK $a @1000
        1 | STOCK pen delta 0 nil 0       | OK 95 5 0 100
        1 | HOLD pen 20 1000              | OK $b @1001
        2 | CONFIRM $b                    | OK 20
        3 | STOCK pen delta 0 nil 26      | OK 75 5 20 100
        3 | HOLD pen 2 1000               | HOLDER_LIMIT 26 25
        3 | HOLD pen 1 1000               | OK $c @1003
        4 | STOCK pen delta 0 nil 3       | OK 74 6 20 100
        4 | HOLD pen 1 1000               | HOLDER_LIMIT 3 26
        5 | READ_HOLD $a                  | OK HELD pen 5 0 0 @1000
    `);
  });

  it('set during the sale counts what is there already', () => {
    bothWays().play(`
        0 | STOCK pen total 100           | OK 100 0 0 100
        0 | STOCK ink total 100           | OK 100 0 0 100
        0 | HOLD ink 50 1000              | OK $x @1000
        0 | HOLD pen 6 1000               | OK $a @1000
        0 | HOLD pen 5 1000               | OK $b @1000
        0 | HOLD pen 9 1000               | OK $c @1000
        0 | HOLD pen 9 30                 | OK $d @30
        0 | bob: HOLD pen 2 1000          | OK $e @1000
        1 | CONFIRM $b                    | OK 5
        1 | RETURN $b 2                   | OK 3
        2 | RELEASE $c                    | OK 0
       31 | advance 100                   | 1
       40 | STOCK pen delta 0 nil 10      | OK 89 8 3 100
       40 | HOLD pen 2 1000               | HOLDER_LIMIT 10 9
       40 | HOLD pen 1 1000               | OK $f @1040
       41 | RELEASE $a                    | OK 0
       41 | HOLD pen 7 1000               | HOLDER_LIMIT 10 4
       42 | RETURN $b                     | OK 0
       42 | HOLD pen 9 1000               | OK $g @1042
       43 | bob: HOLD pen 9 1000          | HOLDER_LIMIT 10 2
       43 | bob: HOLD pen 8 1000          | OK $h @1043
    `);
  });

  it('cannot be set while there are more holders than the table takes, and then counts nobody', () => {
    bothWays({ holders: 2 }).play(`
        0 | STOCK pen total 100           | OK 100 0 0 100
        0 | ann: HOLD pen 1 1000          | OK $a @1000
        0 | bob: HOLD pen 1 1000          | OK $b @1000
        0 | cid: HOLD pen 1 1000          | OK $c @1000
        1 | STOCK pen delta 5 3 2 90      | HOLDER_CAPACITY
        1 | READ pen                      | OK 97 3 0 100 0 0 0 @1000
        1 | ann: HOLD pen 5 1000          | OK $d @1001
        2 | RELEASE $d                    | OK 0
        2 | STOCK ink total 9 nil 2       | OK 9 0 0 9
        2 | ann: HOLD ink 1 1000          | OK $e @1002
        2 | bob: HOLD ink 1 1000          | OK $f @1002
        2 | cid: HOLD ink 1 1000          | HOLDER_CAPACITY
        3 | RELEASE $e                    | OK 0
        3 | cid: HOLD ink 1 1000          | OK $g @1003
        3 | ann: HOLD ink 1 1000          | HOLDER_CAPACITY
        4 | bob: RELEASE $f               | OK 0
        4 | cid: RELEASE $g               | OK 0
        5 | cid: RELEASE $c               | OK 0
        5 | STOCK pen delta 5 3 2 90      | OK 103 2 0 105
        5 | ann: HOLD pen 2 90            | HOLDER_LIMIT 2 1
        5 | cid: HOLD pen 1 90            | HOLDER_CAPACITY
        6 | bob: RELEASE $b               | OK 0
        6 | cid: HOLD pen 1 90            | OK $h @96
    `);
  });

  it('still counts what was bought after the hold of it is forgotten', () => {
    bothWays({ holds: 1, soldRetentionMs: 1000 }).play(`
        0 | STOCK pen total 100 nil 5     | OK 100 0 0 100
        0 | HOLD pen 4 100                | OK $a @100
        1 | CONFIRM $a                    | OK 4
     1001 | HOLD pen 2 100                | HOLDER_LIMIT 5 4
     1001 | HOLD pen 1 100                | OK $b @1101
     1001 | RETURN $a                     | UNKNOWN_HOLD
     1002 | RELEASE $b                    | OK 0
     1002 | HOLD pen 2 100                | HOLDER_LIMIT 5 4
    `);
  });
});
