import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fuzz as cursor } from './cursor.ts';
import { corpusOf, TARGETS } from './jazzer.ts';
import { fuzz as messageHandler } from './message-handler.ts';

const FUZZ = { 'message-handler': messageHandler, cursor };

/** What fuzzing begins with, and every input that a target ever failed on, without the fuzzer. */
describe.each(TARGETS)('the fuzz target %s', (target) => {
  const names = readdirSync(corpusOf(target));

  it('has a corpus', () => {
    expect(names.length).toBeGreaterThan(10);
  });

  it.each(names)('stands %s', (name) => {
    FUZZ[target](readFileSync(join(corpusOf(target), name)));
  });
});
