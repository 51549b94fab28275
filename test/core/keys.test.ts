import { describe, expect, it } from 'vitest';
import { MAX_KEY_BYTES } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { EncodedCaller, makeSegment, T0 } from './fixtures.ts';
import { bothWays } from './table.ts';

describe('an idempotency key', () => {
  it('makes a repeated HOLD give the first answer, whatever became of the hold', () => {
    bothWays().play(`
        0 | STOCK pen total 10      | OK 10 0 0 10
        0 | HOLD pen 3 1000 k       | OK $a @1000
        5 | HOLD pen 3 1000 k       | OK $a @1000
        5 | READ pen                | OK 7 3 0 10 0 0 0 @1000
        6 | EXTEND $a 2000          | OK @2006
        6 | HOLD pen 3 1000 k       | OK $a @1000
        7 | RELEASE $a 1            | OK 2
        7 | HOLD pen 3 1000 k       | OK $a @1000
        8 | CONFIRM $a              | OK 2
        9 | HOLD pen 3 1000 k       | OK $a @1000
     9999 | READ pen                | OK 8 0 2 10 0 0 0 0
    `);
  });

  it('of another quantity or time is a conflict, which names the hold', () => {
    bothWays().play(`
        0 | STOCK pen total 10      | OK 10 0 0 10
        0 | HOLD pen 3 1000 k       | OK $a @1000
        1 | HOLD pen 4 1000 k       | KEY_CONFLICT $a
        1 | HOLD pen 3 1001 k       | KEY_CONFLICT $a
        2 | RELEASE $a              | OK 0
        3 | HOLD pen 4 1000 k       | KEY_CONFLICT $a
        3 | HOLD pen 3 1000 k       | OK $a @1000
        3 | READ pen                | OK 10 0 0 10 0 0 0 0
    `);
  });

  it('belongs to one holder and one SKU', () => {
    bothWays().play(`
        0 | STOCK pen total 10      | OK 10 0 0 10
        0 | STOCK ink total 10      | OK 10 0 0 10
        0 | HOLD pen 3 1000 k       | OK $a @1000
        0 | bob: HOLD pen 2 1000 k  | OK $b @1000
        0 | HOLD ink 1 1000 k       | OK $c @1000
        1 | HOLD pen 3 1000 k       | OK $a @1000
        1 | bob: HOLD pen 2 1000 k  | OK $b @1000
        1 | HOLD ink 1 1000 k       | OK $c @1000
    `);
  });

  it('is not stored by a refusal, so the command may be tried again', () => {
    bothWays().play(`
        0 | STOCK pen total 1       | OK 1 0 0 1
        0 | HOLD pen 1 1000         | OK $a @1000
        1 | HOLD pen 1 2000 k       | HELD_OUT 0 @1000
        1 | HOLD pen 2 2000 k       | SOLD_OUT 0
        2 | RELEASE $a              | OK 0
        3 | HOLD pen 1 2000 k       | OK $b @2003
        4 | HOLD pen 1 2000 k       | OK $b @2003
    `);
  });

  it('stays as long as its hold is open, however long that is', () => {
    bothWays({ keyRetentionMs: 1000 }).play(`
        0 | STOCK pen total 10      | OK 10 0 0 10
        0 | HOLD pen 1 60000 k      | OK $a @60000
    59999 | advance 100             | 0
    59999 | HOLD pen 1 60000 k      | OK $a @60000
    59999 | EXTEND $a 60000         | OK @119999
   119990 | advance 100             | 0
   119998 | HOLD pen 1 60000 k      | OK $a @60000
    `);
  });

  it.each([
    ['CONFIRM', 'CONFIRM $a', 'OK 1'],
    ['RELEASE', 'RELEASE $a', 'OK 0'],
    ['expiry', 'RETURN $a', 'EXPIRED @500'],
  ])('is kept its time past the end of the hold by %s, and then forgotten', (_end, command, reply) => {
    bothWays({ keyRetentionMs: 1000 }).play(`
        0 | STOCK pen total 10      | OK 10 0 0 10
        0 | HOLD pen 1 500 k        | OK $a @500
      500 | ${command}              | EXPIRED @500
     1499 | advance 100             | 0
     1499 | HOLD pen 1 500 k        | OK $a @500
     1500 | advance 100             | 1
     1500 | HOLD pen 1 500 k        | OK $b @2000
    `);
    if (reply.startsWith('OK')) {
      bothWays({ keyRetentionMs: 1000 }).play(`
        0 | STOCK pen total 10      | OK 10 0 0 10
        0 | HOLD pen 1 500 k        | OK $a @500
      100 | ${command}              | ${reply}
     1099 | advance 100             | 0
     1099 | HOLD pen 2 500 k        | KEY_CONFLICT $a
     1100 | advance 100             | 1
     1100 | HOLD pen 2 500 k        | OK $b @1600
      `);
    }
  });

  it('is kept from the time when its hold was really ended, not from the deadline', () => {
    bothWays({ keyRetentionMs: 1000 }).play(`
        0 | STOCK pen total 10      | OK 10 0 0 10
        0 | HOLD pen 1 500 k        | OK $a @500
      900 | advance 100             | 1
     1899 | advance 100             | 0
     1899 | HOLD pen 1 500 k        | OK $a @500
     1900 | advance 100             | 1
    `);
  });

  it.each([
    ['32 bits', 2 ** 32],
    ['31 bits', 2 ** 31],
  ])('is kept its time also where the low %s of the clock begin anew', (_name, period) => {
    const begin = Math.ceil(T0 / period) * period;
    const caller = new EncodedCaller(makeSegment({ keyRetentionMs: 1000 }));
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 10], begin - 600);
    const hold = [Op.HOLD, 'pen', 1, 100, 'k'] as const;
    const first = caller.send([...hold], begin - 600);
    expect(caller.segment.advance(begin - 400, 100)).toBe(1);
    for (const at of [begin - 1, begin, begin + 599]) {
      expect(caller.segment.advance(at, 100)).toBe(0);
      expect(caller.send([...hold], at)).toEqual(first);
    }
    expect(caller.segment.advance(begin + 600, 100)).toBe(1);
    expect(caller.send([...hold], begin + 600)).not.toEqual(first);
  });

  it('that is full of time gives its place to a new one without being asked', () => {
    bothWays({ keys: 2, keyRetentionMs: 1000 }).play(`
        0 | STOCK pen total 10      | OK 10 0 0 10
        0 | HOLD pen 1 500 k        | OK $a @500
        0 | HOLD pen 1 9000 l       | OK $b @9000
      100 | RELEASE $a              | OK 0
     1099 | HOLD pen 1 500 m        | KEY_CAPACITY
     1099 | HOLD pen 1 500          | OK $c @1599
     1100 | HOLD pen 1 500 k        | OK $a @500
     1100 | HOLD pen 1 500 m        | OK $d @1600
     1100 | HOLD pen 1 500 k        | KEY_CAPACITY
     1100 | HOLD pen 1 9000 l       | OK $b @9000
     1100 | HOLD pen 1 500 m        | OK $d @1600
    `);
  });

  it('may be text or bytes, from one byte to the most, and every byte of it counts', () => {
    const caller = new EncodedCaller(makeSegment({ keys: 1024, holds: 1024 }));
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 1000], T0);
    const ids = new Set<unknown>();
    const hold = (key: unknown): unknown => {
      const reply = caller.send([Op.HOLD, 'pen', 1, 1000, key], T0);
      expect(reply[0]).toBe(Status.OK);
      return reply[1];
    };
    const keys: Buffer[] = [];
    for (let bytes = 1; bytes <= MAX_KEY_BYTES; bytes++) {
      // As long as before with zeroes behind; and a change of each byte of the longest.
      keys.push(Buffer.alloc(bytes), Buffer.alloc(bytes, 'x'));
      const changed = Buffer.alloc(MAX_KEY_BYTES, 'x');
      changed[bytes - 1] = 0;
      keys.push(changed);
    }
    for (const key of keys) ids.add(hold(key));
    expect(ids.size).toBe(keys.length);
    for (const [index, key] of keys.entries()) expect(hold(key)).toBe([...ids][index]);
    expect(hold('xxx')).toBe(hold(Buffer.from('xxx')));
    expect(caller.segment.keys.count).toBe(keys.length);
  });
});
