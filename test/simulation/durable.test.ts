import { describe, expect, it } from 'vitest';
import { complaints } from './complaints.ts';
import { simulateDurable } from './durable.ts';

/** Set to run one seed alone, as a failure's message says; and how many to run, for more than the suite has time for. */
const only = process.env.HOLDFAST_SEED;
const RUNS = Math.max(480, Number(process.env.HOLDFAST_RUNS ?? 0));
const RUNS_A_TEST = 60;

/** What has to come about in the runs taken together, or they have shown nothing. */
const FAULTS = [
  ...['kill', 'power', 'sync-failed', 'commit-without-room', 'snapshot-failed', 'snapshot-damaged', 'stop'],
  ...['write', 'fdatasync', 'rename', 'syncDirectory', 'open'].flatMap((call) => [
    `kill-in-${call}`,
    `power-in-${call}`,
  ]),
  ...['kill-in-unlink', 'kill-in-ftruncate', 'recovery-interrupted', 'torn', 'snapshot-passed-over'],
  ...[
    'unacknowledged-lost',
    'unacknowledged-kept',
    'wall-jump',
    'stalled',
    'events-full-vip',
    'events-full-normal',
    'busy',
  ],
  ...['group', 'snapshot', 'copy-given-up', 'trimmed', 'from-snapshot'],
  ...['death-in-command', 'death-in-expiry', 'death-borrowing', 'death-unpublished', 'fenced', 'adopted'],
  ...['rebuilt-from-snapshot', 'rebuilt-from-journal'],
];

describe('simulation with a store', () => {
  if (only !== undefined) {
    it(`keeps every promise with seed ${only}`, async () => {
      expect(complaints(await simulateDurable(Number(only)), '--durable ')).toEqual([]);
    });
    return;
  }
  const counts = new Map<string, number>();
  const blocks = Array.from({ length: Math.ceil(RUNS / RUNS_A_TEST) }, (_, block) => 1 + block * RUNS_A_TEST);

  it.each(blocks)(`keeps every promise in ${RUNS_A_TEST} runs from seed %i`, async (first) => {
    for (let seed = first; seed < first + RUNS_A_TEST; seed++) {
      const report = await simulateDurable(seed);
      expect(complaints(report, '--durable ')).toEqual([]);
      const ends = (report.counts.get('kill') ?? 0) + (report.counts.get('power') ?? 0);
      expect(ends, `ends of the server with seed ${seed}`).toBeGreaterThan(1);
      for (const [what, times] of report.counts) counts.set(what, (counts.get(what) ?? 0) + times);
    }
  });

  it('has met every fault', () => {
    expect(FAULTS.filter((fault) => !counts.has(fault))).toEqual([]);
  });

  it.each([2, 22])('does the same again for seed %i', async (seed) => {
    const first = await simulateDurable(seed);
    expect(await simulateDurable(seed)).toEqual(first);
    expect(await simulateDurable(seed, { print: () => {} })).toEqual(first);
    expect((await simulateDurable(seed + 1)).hash).not.toBe(first.hash);
  });
});
