import { describe, it } from 'vitest';
import { bothWays } from './table.ts';

describe('who may touch any hold', () => {
  it('does what its holder could do', () => {
    bothWays().play(`
        0 | STOCK pen total 20           | OK 20 0 0 20
        0 | HOLD pen 6 1000              | OK $a @1000
        1 | bob: READ_HOLD $a            | UNKNOWN_HOLD
        1 | any: READ_HOLD $a            | OK HELD pen 6 0 0 @1000
        1 | any: EXTEND $a 5000          | OK @5001
        2 | any: RELEASE $a 1            | OK 5
        3 | bob: CONFIRM $a              | UNKNOWN_HOLD
        3 | any: CONFIRM $a 4            | OK 4
        4 | any: RETURN $a 1             | OK 3
        5 | READ_HOLD $a                 | OK CONFIRMED pen 0 3 1 @3
        5 | any: RELEASE $a              | CONFIRMED 4
    `);
  });

  it('leaves the hold its holder, who goes on with it and for whom it counts', () => {
    bothWays().play(`
        0 | STOCK pen total 20 nil 5     | OK 20 0 0 20
        0 | HOLD pen 5 1000 key-1        | OK $a @1000
        1 | any: RELEASE $a 2            | OK 3
        1 | HOLD pen 3 1000              | HOLDER_LIMIT 5 3
        1 | HOLD pen 2 1000              | OK $b @1001
        2 | any: CONFIRM $a              | OK 3
        2 | HOLD pen 1 1000              | HOLDER_LIMIT 5 5
        2 | HOLD pen 5 1000 key-1        | OK $a @1000
        3 | RETURN $a                    | OK 0
        3 | bob: RETURN $a               | UNKNOWN_HOLD
        3 | HOLD pen 3 1000              | OK $c @1003
    `);
  });

  it('finds no hold that never was or is forgotten', () => {
    bothWays({ holds: 16, endedRetentionMs: 0 }).play(`
        0 | STOCK pen total 20           | OK 20 0 0 20
        0 | any: READ_HOLD 4294967296    | UNKNOWN_HOLD
        0 | HOLD pen 1 1000              | OK $a @1000
        1 | any: RELEASE $a              | OK 0
        2 | HOLD pen 1 1000              | OK $b @1002
        2 | any: RELEASE $a              | UNKNOWN_HOLD
        2 | any: RELEASE $b              | OK 0
    `);
  });
});
