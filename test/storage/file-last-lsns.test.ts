import { describe, expect, it } from 'vitest';
import { LastLsns } from '../../src/storage/file-last-lsns.ts';
import { EventMaker } from './events.ts';

describe('the last LSNs of a journal file', () => {
  it.each([0, 2 ** 31 - 5, 2 ** 32 - 5, 2 ** 33 - 3, 2 ** 45 + 2 ** 32 - 9])(
    'follow events from LSN %i on',
    (start) => {
      const maker = new EventMaker(3, Float64Array.of(start, 7, start + 1));
      const last = new LastLsns(maker.lsns);
      for (let lot = 0; lot < 30; lot++) {
        // Segment 1 gets none.
        const bytes = maker.make(lot % 2 === 0 ? 0 : 2, 1 + (lot % 9));
        const i32 = new Int32Array(bytes.buffer);
        last.follow(i32, 0, i32.length);
        if (lot % 4 === 0) expect([...last.now()]).toEqual([...maker.lsns]);
      }
      expect([...last.now()]).toEqual([...maker.lsns]);
    },
  );

  it('are kept as they were asked for', () => {
    const maker = new EventMaker(1);
    const last = new LastLsns(maker.lsns);
    const before = last.now();
    const bytes = maker.make(0, 5);
    last.follow(new Int32Array(bytes.buffer), 0, bytes.length >>> 2);
    expect([...before]).toEqual([0]);
  });

  it('take no half event', () => {
    const last = new LastLsns(new Float64Array(1));
    const bytes = new EventMaker(1).make(0, 1);
    expect(() => last.follow(new Int32Array(bytes.buffer), 0, (bytes.length >>> 2) - 2)).toThrow(
      /ends with an event/,
    );
  });
});
