import { expect, it } from 'vitest';
import { DrainRate } from '../../src/admission/drain-rate.ts';

function measured(...readings: [finished: number, elapsedMs: number, idle: boolean][]): DrainRate {
  const rate = new DrainRate();
  for (const reading of readings) rate.note(...reading);
  return rate;
}

it.each<[string, [number, number, boolean][], number]>([
  ['nothing measured', [], 0],
  ['the first reading is the rate', [[1000, 100, false]], 10_000],
  [
    'a later one moves it by a fifth',
    [
      [1000, 100, false],
      [2000, 100, false],
    ],
    12_000,
  ],
  [
    'one that was late counts by its own length',
    [
      [1000, 100, false],
      [4000, 400, false],
    ],
    10_000,
  ],
  [
    'what a worker with little to do finishes says nothing',
    [
      [1000, 100, false],
      [1, 100, true],
    ],
    10_000,
  ],
  [
    'unless it is more',
    [
      [1000, 100, false],
      [2000, 100, true],
    ],
    12_000,
  ],
  [
    'no time has passed',
    [
      [1000, 100, false],
      [5, 0, false],
    ],
    10_000,
  ],
])('the rate at which a worker drains its queue: %s', (_, readings, perSecond) => {
  expect(measured(...readings).perSecond).toBeCloseTo(perSecond);
});

it.each([
  [500, 50],
  [1, 1],
  [0, 1],
  [10_000_000, 5000],
])('behind %i commands at 10,000 a second, a client had better wait %i ms', (commands, ms) => {
  expect(measured([1000, 100, false]).retryMs(commands, 77)).toBe(ms);
});

it('a client waits as long as it was told otherwise while nothing is known', () => {
  expect(new DrainRate().retryMs(500, 77)).toBe(77);
});
