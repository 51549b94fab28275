import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { DEFAULT_SEGMENT_OPTIONS, layoutSegment, segmentBytes, viewSegment } from '../../src/core/layout.ts';
import { Segment } from '../../src/core/segment.ts';
import { type Caller, type Command, DirectCaller, EncodedCaller, makeSegment, T0 } from './fixtures.ts';

/** A day in a small segment: every command, expiry, and time in between. */
const SCRIPT: readonly (readonly [waitMs: number, command: Command | 'advance'])[] = [
  [0, [Op.STOCK, 'pen', StockMode.TOTAL, 50, null, 30]],
  [0, [Op.STOCK, 'a name that does not fit into the first cache line', StockMode.TOTAL, 9]],
  [1, [Op.HOLD, 'pen', 3, 100, 'key']],
  [1, [Op.HOLD, 'pen', 4, 70_000]],
  [1, [Op.HOLD, 'a name that does not fit into the first cache line', 2, 900]],
  [1, [Op.HOLD, 'pen', 1, 100]],
  [2, [Op.HOLD, 'pen', 99, 100, 'refused']],
  [5, [Op.CONFIRM, 0, 2]],
  [5, [Op.RELEASE, 1, 1, 4]],
  [5, [Op.EXTEND, 1, 80_000]],
  [9, [Op.RETURN, 0, 1]],
  [100, 'advance'],
  [1, [Op.HOLD, 'pen', 2, 50, 'other']],
  [1, [Op.READ, 'pen']],
  [1, [Op.READ_HOLD, 3]],
  [40_000, 'advance'],
  [40_000, 'advance'],
  [600_000, 'advance'],
  [1, [Op.STOCK, 'pen', StockMode.DELTA, -5]],
];

/** Plays the script from one place to another; holds are named by how many there were before. */
function playScript(caller: Caller, from = 0, to = SCRIPT.length, ids: number[] = []): number[] {
  let now = T0;
  for (const [index, [waitMs, command]] of SCRIPT.entries()) {
    now += waitMs;
    if (index < from || index >= to) continue;
    if (command === 'advance') {
      caller.segment.advance(now, 100);
      continue;
    }
    const [op, target, ...args] = command;
    const [status, id] = caller.send([op, typeof target === 'number' ? ids[target] : target, ...args], now);
    if (op === Op.HOLD && status === Status.OK) ids.push(id as number);
  }
  return ids;
}

function bytesOf({ segment }: Caller): Buffer {
  return Buffer.from(segment.memory.u8);
}

describe('the memory of a segment', () => {
  it('is the same, byte for byte, after the same commands', () => {
    const first = new EncodedCaller(makeSegment());
    const second = new EncodedCaller(makeSegment());
    playScript(first);
    playScript(second);
    expect(bytesOf(first).equals(bytesOf(second))).toBe(true);
    expect(first.segment.lsn).toBeGreaterThan(10);
  });

  it('is the same whether commands come as bytes or as calls', () => {
    const first = new EncodedCaller(makeSegment());
    const second = new DirectCaller(makeSegment());
    playScript(first);
    playScript(second);
    expect(bytesOf(first).equals(bytesOf(second))).toBe(true);
  });

  it('holds all of its state: another segment object carries on exactly, from any step', () => {
    const whole = new EncodedCaller(makeSegment());
    playScript(whole);
    for (let cut = 0; cut <= SCRIPT.length; cut++) {
      const before = new EncodedCaller(makeSegment());
      const ids = playScript(before, 0, cut);
      const { segment } = before;
      const memory = segment.memory.u8.buffer as SharedArrayBuffer;
      const after = new EncodedCaller(new Segment(segment.number, segment.options, memory));
      playScript(after, cut, SCRIPT.length, ids);
      expect(bytesOf(after).equals(bytesOf(whole)), `cut before step ${cut}`).toBe(true);
    }
  });

  it('is valid when it is all zeroes, and must be large enough', () => {
    const { options } = makeSegment();
    const bytes = segmentBytes(options);
    expect(() => new Segment(0, options, new SharedArrayBuffer(bytes - 4))).toThrow('large enough');
    expect(new Segment(0, options, new SharedArrayBuffer(bytes)).openHolds).toBe(0);
  });

  it.each([
    ['holds', 0],
    ['holds', 2 ** 22 + 1],
    ['skus', 0],
    ['keys', 0],
    ['holders', 0],
  ])('cannot be laid out for %s: %i', (name, count) => {
    expect(() => layoutSegment({ ...DEFAULT_SEGMENT_OPTIONS, [name]: count })).toThrow('assertion failed');
  });

  it('gives each table a place of its own, at the start of a cache line where 16 bytes of malloc are in front', () => {
    const counts = fc.integer({ min: 1, max: 5000 });
    fc.assert(
      fc.property(fc.record({ skus: counts, holds: counts, keys: counts, holders: counts }), (capacity) => {
        const layout = layoutSegment({ ...DEFAULT_SEGMENT_OPTIONS, ...capacity });
        const { skuIndex, skus, holds, wheel, keyBuckets, keyStates, keys, holderBuckets, holders, bytes } =
          layout;
        const starts = [skuIndex, skus, holds, wheel, keyBuckets, keyStates, keys, holderBuckets, holders];
        expect(starts).toEqual([...starts].sort((a, b) => a - b));
        for (const start of starts) expect((16 + start * 4) % 64).toBe(0);
        expect(holders * 4 + capacity.holders * 24).toBeLessThanOrEqual(bytes);
        expect(bytes % 8).toBe(0);
        expect(() => viewSegment(new SharedArrayBuffer(bytes))).not.toThrow();
      }),
      { numRuns: 50 },
    );
  });
});

describe('time', () => {
  it('never goes back, whatever the caller says', () => {
    const caller = new EncodedCaller(makeSegment());
    caller.send([Op.STOCK, 'pen', StockMode.TOTAL, 9], T0 + 1000);
    expect(caller.send([Op.HOLD, 'pen', 1, 100], T0)).toEqual([Status.OK, expect.anything(), T0 + 1100]);
    const id = caller.send([Op.HOLD, 'pen', 1, 100], T0 + 1050)[1];
    expect(caller.send([Op.CONFIRM, id], T0)).toEqual([Status.OK, 1]);
    expect(caller.send([Op.READ_HOLD, id], 0).slice(-1)).toEqual([T0 + 1050]);
    expect(caller.segment.advance(T0, 100)).toBe(0);
  });
});
