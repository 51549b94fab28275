import { afterEach, describe, expect, it, vi } from 'vitest';
import { crashRuns, type Ends } from './power-loss.ts';

const SEEDS = 150;
/** Set to run one seed alone, as a failure's message says. */
const only = process.env.HOLDFAST_SEED;

const rows = [
  { what: 'a loss of power, by ack sync', ack: 'sync', ends: 'power' },
  { what: 'losses of power and kills, by ack sync', ack: 'sync', ends: 'either' },
  { what: 'a kill, by ack sync', ack: 'sync', ends: 'kill' },
  { what: 'a kill, by ack journal', ack: 'journal', ends: 'kill' },
  // What is left begins where the journal begins, in order, and is never taken for damaged.
  { what: 'a loss of power, as far as ack journal goes', ack: 'journal', ends: 'power' },
] as const;

describe('the file store', () => {
  it.each(rows)('keeps what it acknowledged through $what', async ({ ack, ends }) => {
    const seeds = only === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(only)];
    const sum = { crashes: 0, torn: 0, events: 0, trimmedFiles: 0, bases: 0 };
    for (const seed of seeds) {
      const report = await crashRuns(seed, ack, ends);
      expect(report.violations, `HOLDFAST_SEED=${seed}`).toEqual([]);
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += report[key];
    }
    if (only !== undefined) return;
    // A run without faults proves nothing.
    expect(sum.crashes).toBeGreaterThan(SEEDS);
    expect(sum.torn).toBeGreaterThan(SEEDS / 10);
    if (ends === 'kill' || ack === 'sync') {
      expect(sum.trimmedFiles).toBeGreaterThan(SEEDS / 10);
      expect(sum.bases).toBeGreaterThan(SEEDS / 10);
    }
    expect(sum.events).toBeGreaterThan(SEEDS * 100);
  });
});

describe('the check of these promises', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.resetModules();
  });

  it.each<{ flaw: string; ends: Ends }>([
    { flaw: 'ack-before-sync', ends: 'power' },
    { flaw: 'ack-before-sync', ends: 'kill' },
    { flaw: 'trim-early', ends: 'kill' },
  ])('finds the mistake $flaw ($ends)', async ({ flaw, ends }) => {
    vi.stubEnv('HOLDFAST_FLAW', flaw);
    vi.resetModules();
    const flawed = await import('./power-loss.ts');
    const found: string[] = [];
    for (let seed = 1; seed <= 40 && found.length === 0; seed++) {
      found.push(...(await flawed.crashRuns(seed, 'sync', ends)).violations);
    }
    expect(found.join()).toMatch(/gone/);
  });
});
