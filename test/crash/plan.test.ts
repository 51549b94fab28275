import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { FAILPOINTS } from '../../src/storage/failpoints.ts';
import { type PlanOptions, planRounds, reachable } from './plan.ts';

const file: PlanOptions = { rounds: 200, redis: false, syncs: true, failpoint: undefined, flawed: false };
const redis: PlanOptions = { ...file, redis: true, syncs: false };
const faults = (options: PlanOptions, seed = 1): Set<string> =>
  new Set(
    planRounds(new Prng(seed), options).map((round) =>
      round.fault === 'failpoint' ? round.name : round.fault,
    ),
  );

describe('the plan of a crash run', () => {
  it('is the same for the same seed, and another one for another', () => {
    expect(planRounds(new Prng(7), file)).toEqual(planRounds(new Prng(7), file));
    expect(planRounds(new Prng(7), file)).not.toEqual(planRounds(new Prng(8), file));
  });

  it.each([
    ['the file store', file, ['kill', 'kill-in-recovery', 'term', 'sync.error', ...FAILPOINTS]],
    [
      'Redis',
      redis,
      ['kill', 'kill-in-recovery', 'term', 'redis-kill', 'redis-stop', 'sync.after', 'trim.after'],
    ],
  ])('has every fault of %s among some rounds', (_store, options, expected) => {
    expect([...faults(options)]).toEqual(expect.arrayContaining(expected));
  });

  it('leaves out what a store or level does not come to', () => {
    expect(reachable({ redis: true, syncs: false })).not.toContain('snapshot.rename');
    expect(reachable({ redis: false, syncs: false }).filter((name) => name.startsWith('sync'))).toEqual([]);
  });

  it('visits each failpoint first when asked to', () => {
    const all = reachable(file);
    const options = { ...file, rounds: all.length, failpoint: 'each' } as const;
    expect(faults(options)).toEqual(new Set(all));
  });

  it('only kills a server with a planted mistake', () => {
    expect(faults({ ...file, flawed: true })).toEqual(new Set(['kill']));
  });
});
