import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { root } from './source-files.ts';

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-counts-'));
afterAll(() => rmSync(scratch, { recursive: true }));

// What the last line of `npm test` says rests on these counts.
it.each([
  { run: 'nothing but success', files: ['clean'], counts: { passed: 1, failed: 0, skipped: 0 } },
  { run: 'tests that pass, fail and skip', files: ['mixed'], counts: { passed: 2, failed: 1, skipped: 2 } },
  { run: 'files that do not load', files: ['mixed', 'broken'], counts: { passed: 2, failed: 2, skipped: 2 } },
  { run: 'hooks that fail', files: ['clean', 'hook'], counts: { passed: 1, failed: 1, skipped: 1 } },
  { run: 'rejections that nobody catches', files: ['stray'], counts: { passed: 1, failed: 1, skipped: 0 } },
])('counts $run', ({ run, files, counts }) => {
  const countsFile = join(scratch, `${run}.json`);
  const { status } = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      ...['run', ...files.map((file) => `${file}.spec.ts`)],
      ...['--root', root, '--config', join(root, 'test/hygiene/fixtures/counts/vitest.config.ts')],
      ...['--reporter', join(root, 'scripts/test-counts.ts')],
    ],
    // The variables that this vitest sets for its own workers would confuse the other one.
    { env: { PATH: process.env.PATH, HOLDFAST_TEST_COUNTS: countsFile } },
  );
  expect(JSON.parse(readFileSync(countsFile, 'utf8'))).toEqual(counts);
  expect(status).toBe(counts.failed === 0 ? 0 : 1);
});
