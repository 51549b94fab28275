import { describe, expect, it } from 'vitest';
import { SCENARIOS } from '../../../perf/scenarios/index.ts';
import { expectDescriptors, tailored, WishError } from '../../../perf/stress/options.ts';
import { together } from '../../../perf/stress/repeats.ts';
import type { Scenario, Stream } from '../../../perf/stress/scenario.ts';
import { result } from './fixtures.ts';

const closed: Stream = { connections: 30, framesInFlight: 5, commandsPerFrame: 1, ttlMs: 200 };
const wave: Stream = {
  connections: 10,
  framesInFlight: 2,
  commandsPerFrame: 100,
  ttlMs: 0,
  endTogetherMs: 4000,
};
const scenario: Scenario = {
  name: 'some',
  summary: 'x',
  shows: 'y',
  seconds: 8,
  warmUpSeconds: 2,
  skus: 1000,
  popularity: 'uniform',
  unitsPerSku: 1_000_000,
  streams: [closed, wave],
  timesCapacity: 10,
};

describe('a scenario as it is wished for', () => {
  it('is the scenario itself without a wish', () => {
    expect(tailored(scenario, {})).toEqual(scenario);
  });

  it.each([
    ['--rate makes an open loop at that rate', { rate: 500 }, { ratePerSecond: 500 }, ['framesInFlight']],
    ['--in-flight makes a closed loop', { inFlight: 7 }, { framesInFlight: 7 }, ['ratePerSecond']],
    ['--commands-per-frame', { commandsPerFrame: 400 }, { commandsPerFrame: 400 }, []],
    ['--ttl', { ttlMs: 99 }, { ttlMs: 99 }, []],
  ])('%s, for the clients that are measured only', (_, wishes, expected, absent) => {
    const [main, other] = tailored(scenario, wishes).streams;
    expect(main).toMatchObject(expected);
    for (const key of absent) expect(main).not.toHaveProperty(key);
    expect(other).toEqual(wave);
  });

  it('has no rate by capacity when one is given', () => {
    expect(tailored(scenario, { rate: 500 })).not.toHaveProperty('timesCapacity');
    expect(tailored(scenario, { ttlMs: 5 })).toHaveProperty('timesCapacity', 10);
  });

  it('spreads connections over the groups as before', () => {
    expect(tailored(scenario, { connections: 8 }).streams.map(({ connections }) => connections)).toEqual([
      6, 2,
    ]);
    expect(tailored(scenario, { connections: 2 }).streams.map(({ connections }) => connections)).toEqual([
      1, 1,
    ]);
  });

  it('moves what happens at a time along with the length', () => {
    const { seconds, warmUpSeconds, streams } = tailored(scenario, { seconds: 1 });
    expect([seconds, warmUpSeconds]).toEqual([2, 1]);
    expect(streams[1]?.endTogetherMs).toBe(1000);
    expect(tailored(scenario, { seconds: 10 })).toMatchObject({ seconds: 12, warmUpSeconds: 2 });
  });

  it.each([
    ['both loops', { rate: 5, inFlight: 5 }, /--rate asks for an open loop and --in-flight for a closed one/],
    ['too few connections', { connections: 1 }, /--connections 1 is too few: the scenario has 2 groups/],
    [
      'too much under way',
      { inFlight: 10_000, commandsPerFrame: 1000 },
      /300,000,000 commands under way.*--in-flight/,
    ],
  ])('is refused with %s', (_, wishes, message) => {
    expect(() => tailored(scenario, wishes)).toThrow(WishError);
    expect(() => tailored(scenario, wishes)).toThrow(message);
  });

  it.each(SCENARIOS.map((each) => [each.name, each] as const))('is small when tiny: %s', (_, each) => {
    const tiny = tailored(each, { tiny: true });
    expect(tiny.seconds).toBeLessThan(0.5);
    expect(tiny.skus).toBeLessThanOrEqual(50);
    expect(tiny.streams).toHaveLength(each.streams.length);
    for (const { connections, ratePerSecond = 0, endTogetherMs = 0 } of tiny.streams) {
      expect(connections).toBeLessThanOrEqual(12);
      expect(ratePerSecond).toBeLessThanOrEqual(1500);
      expect(endTogetherMs).toBeLessThan(500);
    }
  });
});

describe('the limit of open files', () => {
  it('is enough, or says what to do', () => {
    expect(() => expectDescriptors(scenario, 140)).not.toThrow();
    expect(() => expectDescriptors(scenario, 139)).toThrow(
      /some makes 40 connections, and a process may have 139 files open here.*ulimit -n 140.*--connections 39/,
    );
  });
});

describe('repeated runs', () => {
  it('are told as the one with the median rate, with the books of all and the worst of what disturbed them', () => {
    const runs = [
      result([300], { startedAt: 'first', leaked: 1, problems: ['a'], steal: 2 }),
      result([100], { lost: 2, problems: ['b'], steal: 9, trusted: false }),
      result([200], { oversold: 3, steal: 0, others: 4 }),
    ] as const;
    const all = together([...runs]);
    expect(all).toMatchObject({
      acceptedPerSecond: 200,
      startedAt: 'first',
      ...{ oversold: 3, leaked: 1, lost: 2, problems: ['a', 'b'] },
      ...{ steal: 9, others: 4, trusted: false },
    });
    expect(all.runs.map(({ acceptedPerSecond }) => acceptedPerSecond)).toEqual([300, 100, 200]);
  });

  it('are told as the lower of the middle two when their number is even', () => {
    expect(together([result([400]), result([100]), result([300]), result([200])]).acceptedPerSecond).toBe(
      200,
    );
  });

  it('have no steal when one of them does not know it', () => {
    expect(together([result([1], { steal: null }), result([1])]).steal).toBeNull();
  });
});
