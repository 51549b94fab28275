/**
 * `npm test`: set-up, lint, types, the direction of imports, then every test. The first stage that fails ends it.
 * With arguments (`npm test -- test/ring`) it hands them to vitest and runs nothing else.
 * The last line is always `N passed, N failed`, with `, N skipped` where tests were skipped.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { ensureDebianBinary } from './debian-binary.mjs';
import { ensureDebianPackage } from './debian-package.mjs';
import { installFuzzer } from './fuzz-packages.mjs';
import { ensurePeers } from './peer-packages.mjs';
import { pinnedNode, root, setUp } from './setup.mjs';

const bin = join(root, 'node_modules/.bin');
const scratch = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
const countsFile = join(scratch, 'counts.json');
/** What the last line says when no test ran at all: something did fail. */
const NOTHING_RAN = { passed: 0, failed: 1, skipped: 0 };

let running;
let stoppedBy;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stoppedBy ??= signal;
    running?.kill(signal);
  });
}

const { code, counts } = await runAll(process.argv.slice(2)).catch((error) => {
  console.error(`\n${error.message}`);
  return { code: 1, counts: NOTHING_RAN };
});
rmSync(scratch, { recursive: true, force: true });
if (stoppedBy !== undefined) console.log(`\nStopped by ${stoppedBy}.`);
console.log(`\n${summary(counts)}`);
process.exitCode = code;

async function runAll(args) {
  await setUp('development');
  await ensureDebianPackage('chromium', 'chromium', 'The test in a browser will be skipped');
  await ensureDebianBinary(
    'promtool',
    'prometheus',
    'Checks of metrics and alert rules by it will be skipped',
  );
  await ensurePeers('The tests');
  await installFuzzer().catch(({ message }) => console.log(`${message}\n  The fuzzing will be skipped.`));
  if (args.length > 0) {
    console.log(`\nOnly vitest ${args.join(' ')}: no lint, no types, no import direction.`);
    return vitest(args);
  }
  for (const [title, ...command] of [
    ['Lint and format (biome)', 'biome', 'check', '--error-on-warnings'],
    ['Types (tsc)', 'tsc'],
  ]) {
    const failed = await stage(title, join(bin, command[0]), command.slice(1));
    if (failed !== 0) return { code: failed, counts: NOTHING_RAN };
  }
  const imports = await vitest(['test/hygiene/imports.test.ts'], 'Import direction and circles');
  return imports.code === 0 ? vitest([], 'Tests (vitest)') : imports;
}

async function vitest(args, title) {
  rmSync(countsFile, { force: true });
  const reporters = ['--reporter=default', `--reporter=${join(root, 'scripts/test-counts.ts')}`];
  const code = await stage(title, pinnedNode, [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    ...reporters,
    ...args,
  ]);
  const counts = readCounts();
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  return { code: code === 0 && counts.failed > 0 ? 1 : code, counts };
}

/** Runs one stage with its output in sight. Resolves with its exit code, never 0 after a signal. */
async function stage(title, command, args) {
  if (title !== undefined) console.log(`\n${title}`);
  if (stoppedBy !== undefined) return 1;
  const env = {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    HOLDFAST_TEST_COUNTS: countsFile,
  };
  running = spawn(command, args, { cwd: root, env, stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    running.on('error', reject);
    running.on('close', (code) => resolve(stoppedBy === undefined ? (code ?? 1) : code || 1));
  });
}

function readCounts() {
  try {
    return JSON.parse(readFileSync(countsFile, 'utf8'));
  } catch {
    // vitest ended before its reporters were asked.
    return { ...NOTHING_RAN };
  }
}

function summary({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
