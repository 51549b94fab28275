import { describe, expect, it } from 'vitest';
import { parseProcess, readOthersTicks, ticksOutside } from '../../perf/processes.ts';

describe('the ticks of a process', () => {
  const fields = 'S 7 1 1 0 -1 4194560 9 9 9 9 100 20 3 4 20 0 1 0 55 0 0';

  it.each([
    ['a plain name', `42 (node) ${fields}`, { pid: 42, parent: 7, ticks: 127 }],
    ['a name with brackets and spaces', `42 (a) S 1 (b) ${fields}`, { pid: 42, parent: 7, ticks: 127 }],
    ['a line cut off', '42 (node) S 7 1 1 0 -1 4194560 9 9 9 9 100 20 3', null],
    ['nothing', '', null],
  ])('are read: %s', (_name, text, expected) => {
    expect(parseProcess(text)).toEqual(expected);
  });
});

describe('the ticks of others', () => {
  const before = [
    { pid: 1, parent: 0, ticks: 5 },
    { pid: 10, parent: 1, ticks: 100 },
    { pid: 11, parent: 10, ticks: 1000 },
    { pid: 20, parent: 1, ticks: 10_000 },
    { pid: 21, parent: 20, ticks: 100_000 },
    { pid: 22, parent: 21, ticks: 1_000_000 },
  ];

  it.each([
    { root: 20, sum: 1105 },
    { root: 10, sum: 1_110_005 },
    { root: 22, sum: 111_105 },
    { root: 99, sum: 1_111_105 },
  ])('outside the tree of process $root are $sum', ({ root, sum }) => {
    expect(ticksOutside(root, before)).toBe(sum);
  });

  it('do not change when a process ends and its parent gets its ticks', () => {
    const after = before.filter(({ pid }) => pid !== 11);
    after[1] = { pid: 10, parent: 1, ticks: 1100 };
    expect(ticksOutside(20, after)).toBe(ticksOutside(20, before));
  });

  it('are there on the machine that this runs on', () => {
    expect(readOthersTicks()).toBeGreaterThanOrEqual(0);
  });
});
