import { describe, expect, it } from 'vitest';
import { simulateDurable } from './durable.ts';
import { DURABLE_BAD } from './durable-bad.ts';

/** Seeds among which a mistake made on purpose has to be found. */
const SEEDS_FOR_MISTAKE = 300;

describe('the judge of the runs with a store notices when', () => {
  it.each(DURABLE_BAD.map((bad) => [bad.name, bad] as const))('%s', async (_name, bad) => {
    const found = new Set<string>();
    for (let seed = 1; seed <= SEEDS_FOR_MISTAKE; seed++) {
      for (const { kind } of (await simulateDurable(seed, { mutation: bad })).violations) found.add(kind);
      if (bad.kinds.some((kind) => found.has(kind))) return;
    }
    expect.unreachable(`${[...found].join(', ') || 'nothing'} found, not ${bad.kinds.join(' or ')}`);
  });
});
