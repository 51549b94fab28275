import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PACKAGES } from '../../src/trace/exporter.ts';
import { root } from './source-files.ts';

type Versions = Record<string, string>;
interface LockEntry {
  version: string;
  integrity?: string;
  resolved?: string;
  os?: string | string[];
  cpu?: string | string[];
  libc?: string[];
  dependencies?: Versions;
  optionalDependencies?: Versions;
  devDependencies?: Versions;
}

const KINDS = ['dependencies', 'optionalDependencies', 'devDependencies'] as const;

/** The project; what draws flame graphs, and what fuzzes, which are installed when somebody needs them. */
const FOLDERS = ['.', 'perf/profile/clinic', 'test/fuzz/package'];

describe.each(FOLDERS)('package.json in %s', (folder) => {
  const { manifest, lock } = packageIn(folder);

  it.each(KINDS)('pins %s to exact versions', (kind) => {
    const exact = /^(npm:(@[\w.-]+\/)?[\w.-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/;
    const loose = Object.entries((manifest[kind] ?? {}) as Versions).filter(
      ([, version]) => !exact.test(version),
    );
    expect(loose).toEqual([]);
  });

  it('says the same as the lockfile', () => {
    for (const kind of KINDS) expect(lock[''][kind], kind).toEqual(manifest[kind]);
    expect(lock[''].version).toBe(manifest.version);
  });
});

describe.each(FOLDERS)('package-lock.json in %s', (folder) => {
  const { lock } = packageIn(folder);
  const entries = Object.entries(lock).filter(([path]) => path !== '');

  it('does not say from which registry a package came', () => {
    expect(entries.filter(([, entry]) => entry.resolved !== undefined).map(([path]) => path)).toEqual([]);
  });

  it('has a hash for every package that this platform installs', () => {
    const unhashed = entries.filter(([, entry]) => installsHere(entry) && entry.integrity === undefined);
    expect(unhashed.map(([path]) => path)).toEqual([]);
  });

  it('lists every platform package, so that `npm ci` accepts it', () => {
    const missing = entries.flatMap(([path, entry]) =>
      Object.keys(entry.optionalDependencies ?? {}).filter(
        (name) => !(`node_modules/${name}` in lock) && !(`${path}/node_modules/${name}` in lock),
      ),
    );
    expect(missing).toEqual([]);
  });
});

it('the packages for traces are tested in the versions that the server and the README tell to install', () => {
  const { lock } = packageIn('.');
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  for (const [name, version] of Object.entries(PACKAGES)) {
    expect([name, lock[`node_modules/${name}`].version]).toEqual([name, version]);
    expect(readme).toContain(`${name}@${version}`);
  }
});

function packageIn(folder: string) {
  const read = (name: string) => JSON.parse(readFileSync(join(root, folder, name), 'utf8'));
  return {
    manifest: read('package.json'),
    lock: read('package-lock.json').packages as Record<string, LockEntry>,
  };
}

function installsHere({ os, cpu, libc }: LockEntry): boolean {
  const fits = (wanted: string | string[] | undefined, have: string) =>
    wanted === undefined || [wanted].flat().includes(have);
  return fits(os, 'linux') && fits(cpu, 'x64') && fits(libc, 'glibc');
}
