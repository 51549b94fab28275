import { describe, it } from 'vitest';
import { bothWays } from './table.ts';

describe('CONFIRM', () => {
  it('sells the hold, once, and answers a repeat as it answered first', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 3 1000       | OK $a @1000
      200 | CONFIRM $a            | OK 3
      200 | READ pen              | OK 7 0 3 10 0 0 0 0
      300 | CONFIRM $a            | OK 3
      300 | CONFIRM $a 3          | OK 3
      300 | CONFIRM $a nil        | OK 3
      400 | CONFIRM $a 2          | CONFIRMED 3
      400 | CONFIRM $a 4          | CONFIRMED 3
     5000 | advance 100           | 0
     5000 | CONFIRM $a            | OK 3
     5000 | READ_HOLD $a          | OK CONFIRMED pen 0 3 0 @200
     5000 | READ pen              | OK 7 0 3 10 0 0 0 0
    `);
  });

  it('of a part sells it and gives the rest back', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 5 1000       | OK $a @1000
        1 | CONFIRM $a 6          | EXCEEDS_HOLD 5
        2 | CONFIRM $a 2          | OK 2
        2 | READ pen              | OK 8 0 2 10 0 0 0 0
        3 | CONFIRM $a 2          | OK 2
        3 | CONFIRM $a            | OK 2
        3 | CONFIRM $a 5          | CONFIRMED 2
        3 | READ_HOLD $a          | OK CONFIRMED pen 0 2 0 @2
    `);
  });

  it('is refused by a hold that ended otherwise', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 3 1000       | OK $a @1000
        0 | HOLD pen 3 1000       | OK $b @1000
        9 | RELEASE $a            | OK 0
       10 | CONFIRM $a            | RELEASED @9
       10 | CONFIRM $a 9          | RELEASED @9
     1000 | CONFIRM $b 9          | EXPIRED @1000
     2000 | CONFIRM $b            | EXPIRED @1000
    `);
  });
});

describe('RELEASE', () => {
  it('gives the hold back, and says so again', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 3 1000       | OK $a @1000
       20 | RELEASE $a            | OK 0
       20 | READ pen              | OK 10 0 0 10 0 0 0 0
       30 | RELEASE $a            | OK 0
       30 | RELEASE $a 3          | OK 0
       30 | RELEASE $a 3 3        | OK 0
       30 | RELEASE $a nil 3      | OK 0
       30 | RELEASE $a 2          | RELEASED @20
     5000 | READ_HOLD $a          | OK RELEASED pen 0 0 0 @20
    `);
  });

  it('of a part shrinks the hold', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 5 1000       | OK $a @1000
        1 | RELEASE $a 6          | EXCEEDS_HOLD 5
        1 | RELEASE $a 2          | OK 3
        1 | READ pen              | OK 7 3 0 10 0 0 0 @1000
        2 | RELEASE $a 2          | OK 1
        3 | RELEASE $a 2          | EXCEEDS_HOLD 1
        3 | READ_HOLD $a          | OK HELD pen 1 0 0 @1000
        4 | RELEASE $a 1          | OK 0
        4 | READ_HOLD $a          | OK RELEASED pen 0 0 0 @4
        5 | RELEASE $a 1          | OK 0
        5 | RELEASE $a 2          | RELEASED @4
    `);
  });

  it('is safe to repeat when it says of how many', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 5 1000       | OK $a @1000
        1 | RELEASE $a 2 5        | OK 3
        1 | RELEASE $a 2 5        | OK 3
        2 | RELEASE $a 2 3        | OK 1
        2 | RELEASE $a 2 3        | OK 1
        2 | RELEASE $a 2 5        | EXCEEDS_HOLD 1
        2 | RELEASE $a 1 5        | CHANGED 1
        2 | RELEASE $a nil 5      | CHANGED 1
        2 | RELEASE $a nil 3      | CHANGED 1
        3 | RELEASE $a nil 1      | OK 0
        3 | RELEASE $a nil 1      | OK 0
        3 | READ pen              | OK 10 0 0 10 0 0 0 0
    `);
  });

  it('says more is wanted than there is before it says that the hold has changed', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 5 1000       | OK $a @1000
        1 | RELEASE $a 6 4        | EXCEEDS_HOLD 5
        1 | RELEASE $a 5 4        | CHANGED 5
        1 | RELEASE $a 1 6        | OK 5
    `);
  });

  it('is refused by a hold that ended otherwise', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 3 1000       | OK $a @1000
        0 | HOLD pen 3 1000       | OK $b @1000
        5 | CONFIRM $a            | OK 3
        6 | RELEASE $a            | CONFIRMED 3
        6 | RELEASE $a 9 9        | CONFIRMED 3
     1000 | RELEASE $b            | EXPIRED @1000
     1000 | RELEASE $b 9          | EXPIRED @1000
    `);
  });
});

describe('EXTEND', () => {
  it('moves the deadline, and never back', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 3 1000       | OK $a @1000
      100 | EXTEND $a 1000        | OK @1100
      100 | EXTEND $a 1000        | OK @1100
      200 | EXTEND $a 100         | OK @1100
      200 | READ pen              | OK 7 3 0 10 0 0 0 @1100
     1099 | READ_HOLD $a          | OK HELD pen 3 0 0 @1100
     1099 | EXTEND $a 20000       | OK @21099
     1107 | advance 100           | 0
    20000 | READ_HOLD $a          | OK HELD pen 3 0 0 @21099
    21099 | EXTEND $a 1           | EXPIRED @21099
    21099 | READ pen              | OK 10 0 0 10 0 0 0 0
    `);
  });

  it('does not go beyond the longest life of a hold, nor beyond the longest time to live', () => {
    bothWays({ maxHoldLifeMs: 5000 }).play(`
        0 | STOCK pen total 10 nil nil 3000   | OK 10 0 0 10
        0 | HOLD pen 1 3000                   | OK $a @3000
     1000 | EXTEND $a 3001                    | TTL_LIMIT 3000
     1000 | EXTEND $a 3000                    | OK @4000
     2500 | EXTEND $a 3000                    | LIFE_LIMIT @5000
     2500 | EXTEND $a 2500                    | OK @5000
     2500 | EXTEND $a 2501                    | LIFE_LIMIT @5000
     4999 | EXTEND $a 1                       | OK @5000
     4999 | EXTEND $a 2                       | LIFE_LIMIT @5000
     4999 | STOCK pen delta 0 nil nil 0       | OK 9 1 0 10
     4999 | EXTEND $a 5001                    | TTL_LIMIT 5000
     4999 | EXTEND $a 5000                    | LIFE_LIMIT @5000
     5000 | EXTEND $a 1                       | EXPIRED @5000
    `);
  });

  it('is refused by a hold that has ended, but for too long a time by any', () => {
    bothWays().play(`
        0 | STOCK pen total 10 nil nil 2000   | OK 10 0 0 10
        0 | HOLD pen 1 1000                   | OK $a @1000
        0 | HOLD pen 2 1000                   | OK $b @1000
        0 | HOLD pen 3 1000                   | OK $c @1000
        5 | CONFIRM $a                        | OK 1
        6 | RELEASE $b                        | OK 0
        7 | EXTEND $a 2000                    | CONFIRMED 1
        7 | EXTEND $b 2000                    | RELEASED @6
     1000 | EXTEND $c 2000                    | EXPIRED @1000
     1000 | EXTEND $a 2001                    | TTL_LIMIT 2000
     1000 | EXTEND $b 2001                    | TTL_LIMIT 2000
     1000 | EXTEND $c 2001                    | TTL_LIMIT 2000
     1000 | bob: EXTEND $c 2001               | UNKNOWN_HOLD
    `);
  });
});

describe('RETURN', () => {
  it('puts sold units back on sale, in parts or all that are left', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 5 1000       | OK $a @1000
        1 | CONFIRM $a            | OK 5
        2 | RETURN $a 6           | EXCEEDS_HOLD 5
        2 | RETURN $a 2           | OK 3
        2 | READ_HOLD $a          | OK CONFIRMED pen 0 3 2 @1
        2 | READ pen              | OK 7 0 3 10 0 0 0 0
        3 | RETURN $a 2           | OK 1
        3 | RETURN $a 2           | EXCEEDS_HOLD 1
        4 | RETURN $a             | OK 0
        4 | RETURN $a             | OK 0
        4 | RETURN $a 1           | EXCEEDS_HOLD 0
        4 | READ_HOLD $a          | OK CONFIRMED pen 0 0 5 @1
        4 | READ pen              | OK 10 0 0 10 0 0 0 0
        5 | CONFIRM $a            | OK 5
        5 | RELEASE $a            | CONFIRMED 5
    `);
  });

  it('is safe to repeat when it says of how many', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 5 1000       | OK $a @1000
        1 | CONFIRM $a            | OK 5
        2 | RETURN $a 2 5         | OK 3
        2 | RETURN $a 2 5         | OK 3
        3 | RETURN $a 1 5         | CHANGED 3
        3 | RETURN $a 4 5         | EXCEEDS_HOLD 3
        3 | RETURN $a nil 5       | CHANGED 3
        3 | RETURN $a nil 3       | OK 0
        3 | RETURN $a nil 3       | OK 0
        3 | RETURN $a 3 3         | OK 0
        3 | READ pen              | OK 10 0 0 10 0 0 0 0
    `);
  });

  it('is refused where nothing was sold', () => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 1 1000       | OK $a @1000
        0 | HOLD pen 2 1000       | OK $b @1000
        1 | RETURN $a             | NOT_CONFIRMED
        1 | RETURN $a 9 9         | NOT_CONFIRMED
        1 | RELEASE $a            | OK 0
        2 | RETURN $a             | RELEASED @1
     1000 | RETURN $b 9           | EXPIRED @1000
    `);
  });
});

describe('a hold', () => {
  it.each(['CONFIRM', 'RELEASE', 'RETURN', 'READ_HOLD'])('is unknown to %s by another holder', (op) => {
    bothWays().play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 1 1000       | OK $a @1000
        1 | bob: ${op} $a         | UNKNOWN_HOLD
        1 | CONFIRM $a            | OK 1
        2 | bob: ${op} $a         | UNKNOWN_HOLD
     2000 | bob: ${op} $a         | UNKNOWN_HOLD
        2 | READ pen              | OK 9 0 1 10 0 0 0 0
    `);
  });

  it.each(['CONFIRM', 'RELEASE', 'RETURN', 'READ_HOLD'])(
    'that never was is unknown to %s: no generation, no slot, another segment',
    (op) => {
      // An id is generation * 2^32 + segment * 2^22 + slot; this is segment 3, whose first hold has slot 0.
      const id = (generation: number, segment: number, slot: number): number =>
        generation * 2 ** 32 + segment * 2 ** 22 + slot;
      bothWays({ number: 3 }).play(`
        0 | ${op} ${id(1, 3, 0)}  | UNKNOWN_HOLD
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 1 1000       | OK $a @1000
        1 | ${op} 0               | UNKNOWN_HOLD
        1 | ${op} ${id(0, 3, 0)}  | UNKNOWN_HOLD
        1 | ${op} ${id(2, 3, 0)}  | UNKNOWN_HOLD
        1 | ${op} ${id(1, 3, 1)}  | UNKNOWN_HOLD
        1 | ${op} ${id(1, 3, 63)} | UNKNOWN_HOLD
        1 | ${op} ${id(1, 3, 2 ** 22 - 1)} | UNKNOWN_HOLD
        1 | ${op} ${id(1, 2, 0)}  | UNKNOWN_HOLD
        1 | ${op} ${id(1, 1023, 0)} | UNKNOWN_HOLD
        1 | ${op} ${2 ** 53 - 1}  | UNKNOWN_HOLD
        1 | READ_HOLD ${id(1, 3, 0)} | OK HELD pen 1 0 0 @1000
      `);
    },
  );

  it('has an id that is a safe integer in the last segment too', () => {
    bothWays({ number: 1023 }).play(`
        0 | STOCK pen total 10    | OK 10 0 0 10
        0 | HOLD pen 1 1000       | OK ${2 ** 32 + 1023 * 2 ** 22} @1000
        0 | HOLD pen 1 1000       | OK ${2 ** 32 + 1023 * 2 ** 22 + 1} @1000
        0 | CONFIRM ${2 ** 32 + 1023 * 2 ** 22 + 1} | OK 1
    `);
  });
});
