import { describe, expect, it } from 'vitest';
import { describeMachine, judge, parseCpuTicks, watched } from '../../perf/machine.ts';

describe('CPU ticks', () => {
  it.each([
    ['a kernel of today', 'cpu  100 1 50 800 20 2 7 20 40 3\ncpu0 1 2 3', { steal: 20, total: 1000 }],
    ['no guests', 'cpu 1 2 3 4 5 6 7 8\n', { steal: 8, total: 36 }],
    ['a kernel without steal', 'cpu 1 2 3 4 5 6 7\n', null],
    ['another first line', 'cpu0 1 2 3 4 5 6 7 8\n', null],
    ['words for numbers', 'cpu 1 2 x 4 5 6 7 8\n', null],
    ['nothing', '', null],
  ])('are read from /proc/stat: %s', (_name, text, ticks) => {
    expect(parseCpuTicks(text)).toEqual(ticks);
  });
});

describe('a result', () => {
  const before = { steal: 100, others: 300, total: 10_000 };

  it.each([
    { steal: 0, others: 0, trusted: true },
    { steal: 5, others: 5, trusted: true },
    { steal: 5.1, others: 0, trusted: false },
    { steal: 70, others: 3, trusted: false },
    { steal: 0, others: 5.1, trusted: false },
  ])(
    'with $steal % stolen and $others % taken by others has trusted: $trusted',
    ({ steal, others, trusted }) => {
      const after = { steal: 100 + steal * 10, others: 300 + others * 10, total: 11_000 };
      expect(judge(before, after)).toEqual({ steal, others, trusted });
    },
  );

  it('is not the worse for others whose time went unaccounted', () => {
    expect(judge(before, { steal: 100, others: 200, total: 11_000 })).toMatchObject({
      others: 0,
      trusted: true,
    });
  });

  it('is not trusted where the system does not tell', () => {
    const unknown = { steal: null, others: null, trusted: false };
    expect(judge(null, before)).toEqual(unknown);
    expect(judge(before, null)).toEqual(unknown);
  });

  it('taken within one tick has no steal', () => {
    expect(judge(before, before)).toEqual({ steal: 0, others: 0, trusted: true });
  });

  it('keeps its own figures beside the steal', async () => {
    expect(await watched(async () => ({ rate: 7 }))).toMatchObject({ rate: 7, trusted: expect.any(Boolean) });
  });
});

describe('the machine', () => {
  it('has a name, cores and memory', () => {
    const machine = describeMachine();
    expect(machine.cpu).not.toBe('');
    expect(machine.cores).toBeGreaterThan(0);
    expect(machine.memoryGiB).toBeGreaterThan(0);
    expect(machine.node).toBe(process.version);
  });
});
