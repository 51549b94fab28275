import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../fixtures/temp-dir.ts';
import { canFuzz, corpusOf, type FuzzResult, fuzzTarget, TARGETS } from './jazzer.ts';

/** A minute in all: half for each target, side by side. */
const SECONDS = 30;
/** Where a busy machine takes far longer. */
const MOST_MS = 900_000;
const temp = tempDir();

describe.skipIf(!canFuzz()).concurrent('half a minute of fuzzing', () => {
  const seed = Number(process.env.HOLDFAST_SEED ?? Date.now() % 1_000_000_000);

  it.each(TARGETS)(`finds nothing in %s, seed ${seed}`, { timeout: MOST_MS }, async (target) => {
    const corpus = corpusOf(target);
    const { finding, runs, output } = await fuzzTarget({
      ...{ target, seconds: SECONDS, seed, corpus: [corpus], findings: corpus },
    });
    // The input stays in the corpus, so that the tests go on failing until it is dealt with.
    expect(finding, output.slice(-4000)).toBeUndefined();
    // Beyond those of the corpus, which are run first.
    expect(runs, output.slice(-4000)).toBeGreaterThan(readdirSync(corpus).length + 10);
  });
});

describe.skipIf(!canFuzz())('a target that is made to fail on inputs that nobody wrote down', () => {
  let result: FuzzResult;

  beforeAll(async () => {
    const findings = temp('findings');
    result = await fuzzTarget({ target: 'known-bad', seconds: 600, seed: 1, corpus: [], findings });
  }, MOST_MS);

  it('is found out, and the input is kept', () => {
    expect(basename(result.finding ?? '')).toMatch(/^crash-/);
    expect(result.output).toContain('int32 of');
  });
});
