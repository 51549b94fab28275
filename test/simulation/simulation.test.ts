import { describe, expect, it } from 'vitest';
import { STATUS_COUNT, statusName } from '../../protocol/status.ts';
import { complaints } from './complaints.ts';
import { KNOWN_BAD } from './known-bad.ts';
import { simulate } from './simulator.ts';

/** Set to run one seed alone, as a failure's message says. */
const only = process.env.HOLDFAST_SEED;
const RUNS = 4_000;
const RUNS_A_TEST = 200;

/** Seeds among which a mistake made on purpose has to be found. */
const SEEDS_FOR_MISTAKE = 400;

/** What has to come about in the runs taken together, or they have shown nothing. */
const FAULTS = [
  ...[
    'death-before-command',
    'death-in-command',
    'death-after-command',
    'death-in-expiry',
    'death-in-publish',
  ],
  ...['death-unpublished', 'death-leased', 'death-asleep', 'death-idle', 'death-borrowing'],
  ...['adopted', 'fenced', 'refused-after-death', 'busy', 'replies-full'],
  ...[
    'closed-in-flight',
    'closed-slow',
    'closed-left',
    'closed-code-1008',
    'closed-in-frame',
    'index-reused',
  ],
  ...[
    'settle-ring-wrapped',
    'vip-ring-wrapped',
    'normal-ring-wrapped',
    'reply-ring-wrapped',
    'position-past-2^31',
    'position-past-2^32',
  ],
  ...['borrowed', 'rung', 'slept', 'expiry-sliced', 'call', 'flood'],
  ...[1, 2, 3, 4, 5, 6, 7, 9].map((reason) => `flaw-front-${reason}`),
  ...[5, 6].map((reason) => `flaw-segment-${reason}`),
];
/** Comes from the front alone. */
const STATUSES = Array.from({ length: STATUS_COUNT }, (_, status) => statusName(status)).filter(
  (name) => !['BUSY', 'UNAUTHENTICATED', 'FORBIDDEN', 'RATE_LIMITED'].includes(name),
);

describe('simulation', () => {
  if (only !== undefined) {
    it(`keeps every promise with seed ${only}`, () => {
      expect(complaints(simulate(Number(only)))).toEqual([]);
    });
    return;
  }
  const counts = new Map<string, number>();
  const blocks = Array.from({ length: RUNS / RUNS_A_TEST }, (_, block) => 1 + block * RUNS_A_TEST);

  it.each(blocks)(`keeps every promise in ${RUNS_A_TEST} runs from seed %i`, (first) => {
    for (let seed = first; seed < first + RUNS_A_TEST; seed++) {
      const report = simulate(seed);
      expect(complaints(report)).toEqual([]);
      for (const [what, times] of report.counts) counts.set(what, (counts.get(what) ?? 0) + times);
    }
  });

  it('has met every fault', () => {
    expect(FAULTS.filter((fault) => !counts.has(fault))).toEqual([]);
  });

  it('has met every status', () => {
    expect(STATUSES.filter((name) => !counts.has(`status-${name}`))).toEqual([]);
  });

  it.each([1, 7, 77, 777])('does the same again for seed %i', (seed) => {
    const [first, second, watched] = [simulate(seed), simulate(seed), simulate(seed, { print: () => {} })];
    expect(second).toEqual(first);
    expect(watched).toEqual(first);
    expect(simulate(seed + 1).hash).not.toBe(first.hash);
  });
});

describe('the judge notices when', () => {
  it.each(KNOWN_BAD.map((bad) => [bad.name, bad] as const))('%s', (_name, bad) => {
    const found = new Set<string>();
    for (let seed = 1; seed <= SEEDS_FOR_MISTAKE; seed++) {
      for (const { kind } of simulate(seed, { mutation: bad }).violations) found.add(kind);
      if (bad.kinds.some((kind) => found.has(kind))) return;
    }
    expect.unreachable(`${[...found].join(', ') || 'nothing'} found, not ${bad.kinds.join(' or ')}`);
  });
});
