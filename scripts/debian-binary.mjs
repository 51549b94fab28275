import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findOnPath, refreshLists } from './debian-package.mjs';
import { runVisibly } from './run-visibly.mjs';
import { root } from './setup.mjs';

/** Where programs lie that were taken out of Debian's packages. */
export const BINARIES = join(root, 'node_modules/.debian');

/**
 * Makes sure that a program is on PATH or in BINARIES, by taking it out of Debian's package: for packages that would start a daemon, or
 * bring much that nobody needs. Returns its path, or undefined after saying what is missing (`without` says what that means).
 */
export async function ensureDebianBinary(binary, packageName, without) {
  const own = join(BINARIES, binary);
  const found = findOnPath(binary) ?? (existsSync(own) ? own : undefined);
  if (found !== undefined) return found;
  if (findOnPath('apt-get') === undefined || findOnPath('dpkg-deb') === undefined) {
    console.log(
      `${binary} is missing and cannot be fetched from here (no apt-get or no dpkg-deb). ${without}.`,
    );
    return undefined;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-debian-'));
  try {
    await refreshLists(packageName);
    await runVisibly(
      `Fetching ${binary} out of Debian's ${packageName}`,
      'apt-get',
      ['-qq', 'download', packageName],
      {
        cwd: scratch,
      },
    );
    const archive = readdirSync(scratch).find((name) => name.endsWith('.deb'));
    const unpacked = spawnSync('dpkg-deb', ['--extract', archive, 'all'], { cwd: scratch, encoding: 'utf8' });
    if (unpacked.status !== 0) throw new Error(unpacked.stderr);
    mkdirSync(BINARIES, { recursive: true });
    renameSync(join(scratch, 'all/usr/bin', binary), `${own}.new`);
    renameSync(`${own}.new`, own);
    return own;
  } catch (error) {
    console.log(`${error.message}\n  ${binary} could not be fetched. ${without}.`);
    return undefined;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
