/**
 * Packages that only some commands need, installed once into a place of their own: beside the project's packages, where neither tests
 * nor linters look. `folder` has their package.json and lockfile; `name` is that of the place in node_modules. Says so and shows progress;
 * rejects with npm's own words. Resolves to the place.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runVisibly } from './run-visibly.mjs';
import { root } from './setup.mjs';
import { withSetupLock } from './setup-lock.mjs';

/** `adapt`, where given, is called with the place after an install, and has to be done for the install to count. */
export async function installApart(folder, name, title, adapt = async () => {}) {
  const source = join(root, folder);
  const home = join(root, 'node_modules', name);
  const stamp = join(home, '.installed');
  mkdirSync(home, { recursive: true });
  await withSetupLock(`${home}.lock`, async () => {
    const hash = createHash('sha256')
      .update(readFileSync(join(source, 'package-lock.json')))
      .digest('hex');
    // Another one may have done it while this one waited for the lock.
    if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
    rmSync(stamp, { force: true });
    for (const file of ['package.json', 'package-lock.json'])
      copyFileSync(join(source, file), join(home, file));
    // `npm run` hands on where its own package lies, which is not the one to install.
    const { npm_config_local_prefix: _, ...env } = process.env;
    await runVisibly(
      title,
      'npm',
      ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--no-progress', '--loglevel=error'],
      { cwd: home, env },
    );
    await adapt(home);
    writeFileSync(stamp, hash);
  });
  return home;
}
