import { describe, expect, test } from 'vitest';
import { restoreProgress, withProgress } from '../../src/cli/progress.ts';
import { storeText } from '../../src/cli/serve.ts';

/** Stands in for stderr. */
function output(isTTY: boolean) {
  const written: string[] = [];
  const write = (text: string): boolean => written.push(text) > 0;
  const out = {
    isTTY,
    write,
    columns: 120,
    cursorTo: () => true,
    clearLine: () => true,
    on: () => out,
    once: () => out,
  };
  return { written, out: out as unknown as NodeJS.WriteStream };
}

const HALF = { segments: 4, loaded: 2, events: 1234, checked: 0 };

describe('the progress of a start', () => {
  test.each([
    ['a short one shows nothing', [0, 100, 999], []],
    [
      'then a line',
      [1000],
      ['Restoring: 2 of 4 segments loaded, 1,234 events replayed, 0 segments checked, 1 s\n'],
    ],
    [
      'at most one a second',
      [1000, 1100, 1999, 2000, 2500],
      [expect.stringMatching(/, 1 s\n$/), expect.stringMatching(/, 2 s\n$/)],
    ],
  ])('in a log: %s', (_, times, lines) => {
    const { written, out } = output(false);
    let now = 0;
    const progress = restoreProgress(out, false, () => now);
    for (now of times) progress.show(HALF);
    progress.stop();
    expect(written).toEqual(lines);
  });

  test('on a terminal is a bar, which is taken away at the end', () => {
    const { written, out } = output(true);
    let now = 0;
    const progress = restoreProgress(out, false, () => now);
    now = 2000;
    progress.show(HALF);
    progress.stop();
    expect(written.join('')).toContain('2/4 segments loaded   1,234 events   0 checked');
    expect(written.join('')).not.toContain('Restoring:');
  });

  test('for a program is lines on a terminal, too', () => {
    const { written, out } = output(true);
    let now = 0;
    const progress = restoreProgress(out, true, () => now);
    now = 2000;
    progress.show(HALF);
    progress.stop();
    expect(written).toEqual([expect.stringMatching(/^Restoring: .*\n$/)]);
  });

  test('ends with the work, also with one that failed', async () => {
    let stopped = 0;
    const shown = { show: () => {}, stop: () => void stopped++ };
    await expect(withProgress(shown, 1, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await withProgress(shown, 1, async () => 7)).toBe(7);
    expect(stopped).toBe(2);
  });
});

const FOUND = { fresh: false, fromSnapshots: 0, events: 0, journalBytes: 0, tookMs: 310, remarks: [] };

test.each([
  ['no store', { store: undefined, recovery: undefined }, 'none: everything is gone when the process ends'],
  ['a new one', { store: 'file:x', recovery: { ...FOUND, fresh: true } }, 'file:x, new'],
  ['an empty one', { store: 'file:x', recovery: FOUND }, 'file:x, nothing in it yet'],
  [
    'a snapshot',
    { store: 'file:x', recovery: { ...FOUND, fromSnapshots: 1 } },
    'file:x, restored from 1 snapshot in 0.31 s',
  ],
  [
    'both, and remarks',
    { store: 'file:x', recovery: { ...FOUND, fromSnapshots: 64, events: 1234, remarks: ['cut off'] } },
    'file:x, restored from 64 snapshots and 1,234 events in 0.31 s\n             Note: cut off',
  ],
])('the start-up block tells of %s', (_, server, text) => {
  expect(storeText(server)).toBe(text);
});
