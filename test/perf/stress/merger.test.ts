import { describe, expect, it } from 'vitest';
import { Merger } from '../../../perf/stress/merger.ts';
import { Meter } from '../../../perf/stress/meter.ts';
import type { Outcome } from '../../../perf/stress/traffic.ts';
import { Status } from '../../../protocol/status.ts';
import { account } from './fixtures.ts';

const PERIOD_MS = 250;
const COUNTED = 100;

/** What a run of one thread comes to whose periods end at `endsMs`, with so many commands in each. */
function headline(endsMs: readonly number[], warmUpMs: number, tookMs: number) {
  const [merger, meter] = [new Merger(1, PERIOD_MS, warmUpMs), new Meter()];
  for (const endMs of endsMs) {
    meter.offered += COUNTED;
    for (let i = 0; i < COUNTED; i++) meter.answer(Status.OK, 1);
    merger.take(0, meter.takePeriod(endMs, false));
  }
  const { offered, answered, byStatus } = meter;
  const outcome: Outcome = {
    ...{ account: account(), byStatus, counts: {}, tookMs },
    ...{ offered, unanswered: offered - answered },
  };
  return merger.headline([outcome]);
}

describe('the rate of a run', () => {
  it.each([
    ['on time', [250, 500, 750], 250, 750, 0.5, 400],
    ['whose warm-up ends late', [350, 500, 750], 250, 750, 0.4, 500],
    ['without a warm-up', [250, 500], 0, 500, 0.5, 400],
    ['whose warm-up ends behind its end', [800, 800], 250, 750, 0, 0],
  ])('%s is of the time behind the warm-up', (_, endsMs, warmUpMs, tookMs, seconds, rate) => {
    expect(headline(endsMs, warmUpMs, tookMs)).toMatchObject({
      ...{ seconds, offeredPerSecond: rate, acceptedPerSecond: rate, refusedPerSecond: 0, unanswered: 0 },
    });
  });
});
