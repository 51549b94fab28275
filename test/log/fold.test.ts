import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LogEvent } from '../../src/log/events.ts';
import { Fold } from '../../src/log/fold.ts';

let written: LogEvent[];
let fold: Fold;

const refused = (reason: string, address = '10.0.0.1'): LogEvent => ({
  event: 'connection-refused',
  reason,
  address,
});
const counts = () => written.map(({ count }) => count);

beforeEach(() => {
  vi.useFakeTimers();
  written = [];
  fold = new Fold((event) => written.push(event));
});
afterEach(() => vi.useRealTimers());

describe('a flood of the same event', () => {
  it('is one line at once, then one a second with a count and the last of them', () => {
    for (let i = 0; i < 1000; i++) fold.log(refused('full', `10.0.0.${i}`));
    expect(written).toEqual([refused('full', '10.0.0.0')]);
    vi.advanceTimersByTime(1000);
    expect(written[1]).toEqual({ ...refused('full', '10.0.0.999'), count: 999 });
    fold.log(refused('full'));
    expect(written.length).toBe(2);
    vi.advanceTimersByTime(1000);
    expect(counts()).toEqual([undefined, 999, 1]);
    vi.advanceTimersByTime(5000);
    expect(written.length).toBe(3);
    fold.log(refused('full'));
    expect(written.length).toBe(4);
  });

  it('is told apart from another by the fields that the event says', () => {
    for (let i = 0; i < 10; i++) fold.log(refused(i % 2 === 0 ? 'full' : 'rate'));
    vi.advanceTimersByTime(1000);
    expect(written.map((event) => [(event as { reason: string }).reason, event.count])).toEqual([
      ['full', undefined],
      ['rate', undefined],
      ['full', 4],
      ['rate', 4],
    ]);
  });

  it('that another thread has folded already counts for as many as it says', () => {
    fold.log(refused('full'));
    fold.log({ ...refused('full'), count: 41 });
    fold.log(refused('full'));
    fold.flush();
    expect(counts()).toEqual([undefined, 42]);
    fold.flush();
    expect(written.length).toBe(2);
  });

  it('of many kinds is bounded: past 256 kinds they are counted together', () => {
    for (let i = 0; i < 100_000; i++) fold.log(refused(`reason ${i}`));
    vi.advanceTimersByTime(1000);
    expect(written.length).toBeLessThanOrEqual(2 * 257);
    expect(written.reduce((sum, { count = 1 }) => sum + count, 0)).toBe(100_000);
  });
});

it("an administrator's deeds are told one by one", () => {
  for (let i = 0; i < 300; i++) fold.log({ event: 'admin-action', action: 'RELEASE', hold: i });
  expect(written.length).toBe(300);
});
