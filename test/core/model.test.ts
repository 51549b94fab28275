import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Status } from '../../protocol/status.ts';
import { playSteps, type RunOptions, type Step } from './model-run.ts';

// A failure prints its seed; `HOLDFAST_SEED=… npm test -- test/core/model` plays it again. HOLDFAST_RUNS asks for more runs.
const SEED = process.env.HOLDFAST_SEED;
const RUNS = Number(process.env.HOLDFAST_RUNS ?? 100);
const STEPS = 150;

/** Every field is a small number with the plain choice at 0, to which fast-check shrinks. */
function steps(
  kinds: readonly (readonly [Step['kind'], number])[],
  waits: readonly number[],
): fc.Arbitrary<Step[]> {
  const step = fc.record<Step>({
    kind: fc.oneof(...kinds.map(([kind, weight]) => ({ weight, arbitrary: fc.constant(kind) }))),
    waitMs: fc.constantFrom(...waits),
    sku: fc.oneof({ weight: 9, arbitrary: fc.nat(2) }, { weight: 1, arbitrary: fc.constant(3) }),
    holder: fc.nat(3),
    hold: fc.oneof({ weight: 4, arbitrary: fc.nat(5) }, { weight: 1, arbitrary: fc.nat(40) }),
    quantity: fc.nat(6),
    of: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(6) }),
    ttl: fc.nat(5),
    key: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(5) }),
    encoded: fc.boolean(),
  });
  return fc.array(step, { minLength: STEPS, maxLength: STEPS, size: 'max' });
}

const MOSTLY_HOLDS = [
  ['hold', 12],
  ['confirm', 3],
  ['release', 3],
  ['extend', 2],
  ['return', 2],
  ['stock', 3],
  ['read', 2],
  ['readHold', 1],
  ['advance', 4],
  ['adopt', 1],
  ['snapshot', 1],
  ['recover', 1],
] as const;

/** One kind of run a row: what is small or short in it, so that a few dozen commands reach it. */
const RUN_KINDS: { name: string; options: RunOptions; waits: readonly number[] }[] = [
  { name: 'two times to live, room for all', options: { ttlsMs: [40, 200] }, waits: [0, 0, 1, 2, 7, 8, 30] },
  { name: 'any time to live', options: { ttlsMs: [1, 7, 8, 50, 333, 90] }, waits: [0, 0, 1, 3, 8, 60] },
  {
    name: 'deadlines over several epochs of the wheel',
    options: { ttlsMs: [40_000, 100_000, 7, 250_000, 32_768, 70_000] },
    waits: [0, 1, 8, 5_000, 32_768, 33_001],
  },
  {
    name: 'few places for holds',
    options: { ttlsMs: [50, 400], holds: 5, endedRetentionMs: 100, soldRetentionMs: 300 },
    waits: [0, 1, 8, 45],
  },
  {
    name: 'places for holds that are given again at once',
    options: { ttlsMs: [50, 9], holds: 40, endedRetentionMs: 0, soldRetentionMs: 0 },
    waits: [0, 1, 8, 20],
  },
  {
    name: 'few places for keys and holders',
    options: { ttlsMs: [50, 120], keys: 2, holders: 2, skus: 2, keyRetentionMs: 60 },
    waits: [0, 1, 8, 30],
  },
  {
    name: 'a short longest life',
    options: { ttlsMs: [20, 150, 250], maxHoldLifeMs: 200, keyRetentionMs: 0 },
    waits: [0, 1, 8, 30],
  },
];

describe('a segment does what the model does', () => {
  it.each(RUN_KINDS)('with $name', ({ options, waits }) => {
    fc.assert(
      fc.property(steps(MOSTLY_HOLDS, waits), (run) => void playSteps(run, options)),
      { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
    );
  });

  it('and the runs reach every refusal that a segment gives', () => {
    const seen = new Set<string>();
    for (const { options, waits } of RUN_KINDS) {
      for (const run of fc.sample(steps(MOSTLY_HOLDS, waits), { numRuns: 12, seed: 1 })) {
        for (const row of playSteps(run, options))
          seen.add(row.split('|')[2]?.trim().split(' ')[0] as string);
      }
    }
    const { UNKNOWN_SKU, HOLDER_CAPACITY } = Status;
    const given = Object.entries(Status).filter(([, code]) => code >= UNKNOWN_SKU && code <= HOLDER_CAPACITY);
    expect(given.map(([name]) => name).filter((name) => !seen.has(name))).toEqual([]);
  });
});
