import { describe, expect, it } from 'vitest';
import { compare, NotComparableError } from '../../../perf/stress/compare.ts';
import type { RunHeadline, StressResult } from '../../../perf/stress/result.ts';
import { comparisonText } from '../../../perf/stress/text.ts';
import { latency, result } from './fixtures.ts';

const STEADY = [1000, 1010, 990, 1000, 1005, 995, 1000, 1010, 990, 1000, 1000, 1000];
const WILD = [1000, 1500, 500, 1400, 700, 1300, 600, 1500, 900, 1100, 400, 1600];

const times = (rates: readonly number[], factor: number) => rates.map((rate) => rate * factor);

function verdicts(before: StressResult, after: StressResult): Record<string, string> {
  return Object.fromEntries(compare(before, after).changes.map(({ measure, verdict }) => [measure, verdict]));
}

/** A result of several runs with these accepted rates and a p50. */
function repeated(rates: readonly number[], p50s: readonly number[]): StressResult {
  const middle = result([rates[rates.length >> 1] as number], {}, p50s[p50s.length >> 1]);
  const runs = rates.map(
    (rate, i): RunHeadline => ({
      offeredPerSecond: rate,
      acceptedPerSecond: rate,
      refusedPerSecond: 0,
      unanswered: 0,
      latencyMs: latency(p50s[i] as number),
    }),
  );
  return { ...middle, runs };
}

describe('comparing two single runs', () => {
  it.each([
    ['the same', STEADY, STEADY, 'within noise'],
    ['less than a per cent more', STEADY, times(STEADY, 1.008), 'within noise'],
    ['ten per cent more, steadily', STEADY, times(STEADY, 1.1), 'better'],
    ['ten per cent less, steadily', STEADY, times(STEADY, 0.9), 'worse'],
    ['ten per cent more of a rate that jumps about', WILD, times(WILD, 1.1), 'within noise'],
    ['twice the rate, though it jumps about', WILD, times(WILD, 2), 'better'],
  ])('says of %s: %s → %s: %s', (_, before, after, verdict) => {
    expect(verdicts(result(before), result(after)).accepted).toBe(verdict);
  });

  it('knows that a longer wait is worse, and by how much', () => {
    const { changes } = compare(result(STEADY, {}, 1), result(STEADY, {}, 1.5));
    const p99 = changes.find(({ measure }) => measure === 'p99');
    expect(p99).toMatchObject({ before: 3, after: 4.5, changePercent: 50, verdict: 'worse' });
  });

  it('notices what is unanswered without any spread', () => {
    expect(verdicts(result(STEADY), result(STEADY, { unanswered: 1 })).unanswered).toBe('worse');
    expect(verdicts(result(STEADY, { unanswered: 1 }), result(STEADY)).unanswered).toBe('better');
  });

  it('does not take a run in which nothing was answered for a fast one', () => {
    const silent = result([0, 0, 0, 0, 0, 0, 0], { unanswered: 7, latencyMs: latency(0) });
    const { changes, warnings } = compare(result(STEADY), silent);
    expect(Object.fromEntries(changes.map(({ measure, verdict }) => [measure, verdict]))).toEqual({
      ...{ answered: 'worse', accepted: 'worse', unanswered: 'worse' },
      ...{ p50: 'unknown', p99: 'unknown', 'p99.9': 'unknown' },
    });
    expect(warnings).toContain('Nothing was answered in the second result.');
    expect(comparisonText({ scenario: 'hot', changes, warnings })).toMatch(/p99 +3\.00 ms +→ +– +unknown\n/);
    expect(verdicts(silent, result(STEADY))).toMatchObject({ accepted: 'better', p50: 'unknown' });
    expect(verdicts(silent, silent)).toMatchObject({ accepted: 'within noise', p50: 'unknown' });
  });

  it('does not judge by a series that is too short to have a spread', () => {
    expect(verdicts(result([1000]), result([1500])).accepted).toBe('unknown');
  });
});

describe('comparing repeated runs', () => {
  it.each([
    ['within the spread', [1000, 1100, 900], [1050, 1150, 950], 'within noise'],
    ['beyond it', [1000, 1010, 990], [1100, 1110, 1090], 'better'],
    ['beyond it for the worse', [1000, 1010, 990], [900, 910, 890], 'worse'],
  ])('takes the noise from run to run: %s', (_, before, after, verdict) => {
    const same = [1, 1, 1];
    expect(verdicts(repeated(before, same), repeated(after, same)).accepted).toBe(verdict);
  });

  it('does so for what is left unanswered, where some always is', () => {
    const left = (counts: readonly number[]) => {
      const { runs, ...rest } = repeated([1000, 1000, 1000], [1, 1, 1]);
      const each = runs.map((run, i) => ({ ...run, unanswered: counts[i] as number }));
      return { ...rest, unanswered: counts[1] as number, runs: each };
    };
    const some = left([4000, 5000, 6000]);
    expect(verdicts(some, left([4100, 5100, 6100])).unanswered).toBe('within noise');
    expect(verdicts(some, left([8100, 9100, 10_100])).unanswered).toBe('worse');
    expect(verdicts(some, left([0, 0, 0])).unanswered).toBe('better');
  });

  it('does so for latencies too', () => {
    const rates = [1000, 1000, 1000];
    expect(verdicts(repeated(rates, [1, 1.02, 0.98]), repeated(rates, [0.5, 0.52, 0.48])).p50).toBe('better');
    expect(verdicts(repeated(rates, [1, 2, 0.5]), repeated(rates, [0.9, 1.9, 0.4])).p50).toBe('within noise');
  });
});

describe('results that are not alike', () => {
  it.each<[string, Partial<StressResult>]>([
    ['another scenario', { scenario: 'zipf' }],
    ['another loop', { mode: 'open' }],
    ['other frames', { commandsPerFrame: 400 }],
    ['other connections', { connections: 11 }],
    ['other frames under way', { framesInFlight: 1 }],
    ['other SKUs', { skus: 20_000 }],
    ['another time to live', { ttlMs: 5000 }],
  ])('are not compared: %s', (_, change) => {
    expect(() => compare(result(STEADY), result(STEADY, change))).toThrow(NotComparableError);
  });

  const machine = result(STEADY).machine;
  it.each<[string, Partial<StressResult>, RegExp]>([
    ['steal', { trusted: false, steal: 12 }, /second result is not to be trusted: steal was 12 %/],
    ['another machine', { machine: { ...machine, cpu: 'y' } }, /cpu was x and is y/],
    ['other workers', { workers: 1 }, /workers was 2 and is 1/],
    ['other threads of the generator', { threads: 2 }, /threads was 1 and is 2/],
    ['a store', { store: 'file:/tmp/x' }, /store was none and is file/],
    ['wrong books', { leaked: 1 }, /books of the second result are wrong/],
    ['another length', { seconds: 60 }, /The runs took 3 s and 60 s/],
  ])('come with a warning: %s', (_, change, warning) => {
    expect(compare(result(STEADY), result(STEADY, change)).warnings.join('\n')).toMatch(warning);
  });

  it('come with a warning when another rate was offered', () => {
    const open = { mode: 'open' } as const;
    const [before, after] = [result(STEADY, open), result(times(STEADY, 2), open)];
    expect(compare(before, after).warnings.join('\n')).toMatch(/Different rates were offered: 1000 and 2000/);
  });
});

it('is printed as a table', () => {
  const text = comparisonText(compare(result(STEADY, {}, 1), result(times(STEADY, 1.1), {}, 1.5)));
  expect(text).toMatch(/^hot\n {2}answered +1,000\/s +→ +1,100\/s +\+10 % +± 1 % +better\n/);
  expect(text).toMatch(/p99 +3\.00 ms +→ +4\.50 ms +\+50 % +± 1 % +worse\n/);
});
