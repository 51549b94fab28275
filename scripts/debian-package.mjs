import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runVisibly } from './run-visibly.mjs';

const APT_OPTIONS = ['-qq', '-y', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0'];
/** Debian's update of package lists fails now and then on a slow mirror, and the lists at hand often do. */
const LIST_HINT = 'apt-get update failed; going on with the package lists that are here.';

/**
 * Makes sure that a program is on PATH, by Debian's package of that name where that can be done without
 * asking. Returns its path, or undefined after saying what is missing (`without` says what that means).
 * Where there are several programs, any of them will do; the last is what Debian's package brings.
 */
export async function ensureDebianPackage(programs, packageName, without) {
  const binary = [programs].flat().at(-1);
  const found = [programs]
    .flat()
    .map(findOnPath)
    .find((path) => path !== undefined);
  if (found !== undefined) return found;

  const prefix = findOnPath('apt-get') === undefined ? undefined : rootPrefix();
  if (prefix === undefined) {
    console.log(
      `${binary} is missing and cannot be installed from here (no apt-get, or neither root nor sudo without a password).`,
    );
    console.log(`  ${without}. To change that: sudo apt-get install ${packageName}`);
    return undefined;
  }
  try {
    await refreshLists(packageName, prefix);
    await apt(
      prefix,
      `Installing Debian's ${packageName}`,
      'install',
      '--no-install-recommends',
      packageName,
    );
  } catch (error) {
    console.log(`${error.message}\n  ${binary} could not be installed. ${without}.`);
  }
  return findOnPath(binary);
}

/** The lists at hand often do where they cannot be refreshed, be it for want of rights. */
export async function refreshLists(packageName, prefix = rootPrefix()) {
  if (prefix === undefined) return;
  await apt(prefix, `Refreshing Debian's package lists for ${packageName}`, 'update').catch(() =>
    console.log(`  ${LIST_HINT}`),
  );
}

function apt(prefix, title, ...args) {
  const [command, ...rest] = [
    ...prefix,
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'apt-get',
    ...APT_OPTIONS,
    ...args,
  ];
  return runVisibly(title, command, rest);
}

/** What goes before a command to run it as root, or undefined when that would need a password. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  const sudo = spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' });
  return sudo.status === 0 ? ['sudo', '-n'] : undefined;
}

/** Path of a program, or undefined. */
export function findOnPath(binary) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, binary);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}
