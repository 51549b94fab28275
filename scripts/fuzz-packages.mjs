/** Installs what fuzzes (test/fuzz/package, some 100 packages), once, and sees that its native part loads here. */
import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { forOlderGlibc } from './older-glibc.mjs';
import { installApart } from './packages-apart.mjs';
import { pinnedNode } from './setup.mjs';

export function installFuzzer() {
  const title = 'Installing what fuzzes, once: npm ci of @jazzer.js/core';
  return installApart('test/fuzz/package', '.holdfast-fuzz', title, async (home) => {
    const addon = join(home, 'node_modules/@jazzer.js/fuzzer/prebuilds/fuzzer-linux-x64.node');
    const problem = loadProblem(addon);
    if (problem === undefined) return;
    // It is built for glibc 2.38; Debian 12 has 2.36. Put into its place whole, so that what was mapped from it stays as it was.
    writeFileSync(`${addon}.new`, forOlderGlibc(readFileSync(addon)));
    renameSync(`${addon}.new`, addon);
    const still = loadProblem(addon);
    if (still !== undefined) throw new Error(`jazzer.js does not load here:\n${problem}\n${still}`);
  });
}

/** In a process of its own: a native module that does not load, or worse, is no end of this one. */
function loadProblem(addon) {
  const { status, stderr } = spawnSync(pinnedNode, ['-e', `require(${JSON.stringify(addon)})`], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : stderr;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await installFuzzer().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
