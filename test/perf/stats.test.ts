import { describe, expect, it } from 'vitest';
import { median, spread } from '../../perf/stats.ts';

describe('median and spread', () => {
  it.each([
    { values: [5], middle: 5, range: [5, 5] },
    { values: [3, 1, 2], middle: 2, range: [1, 3] },
    { values: [10, 1, 2, 4], middle: 3, range: [1, 10] },
    { values: [100, 9, 20], middle: 20, range: [9, 100] },
    { values: [1.4, 2.6], middle: 2, range: [1, 3] },
  ])('of $values are $middle and $range', ({ values, middle, range }) => {
    expect(median(values)).toBe(middle);
    expect(spread(values)).toEqual(range);
  });

  it('leave the values in their order', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });

  it('do not exist for no values', () => {
    expect(() => median([])).toThrow(RangeError);
    expect(() => spread([])).toThrow(RangeError);
  });
});
