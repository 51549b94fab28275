/**
 * Installs what draws flame graphs (perf/profile/clinic, some 360 packages) into a place of its own, once: beside the project's
 * packages, where neither tests nor linters look. Says so and shows progress; fails with npm's own words.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runVisibly } from './run-visibly.mjs';
import { root } from './setup.mjs';
import { withSetupLock } from './setup-lock.mjs';

const source = join(root, 'perf/profile/clinic');
const home = join(root, 'node_modules/.holdfast-clinic');
const stamp = join(home, '.installed');

try {
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
      'Installing what draws flame graphs, once: npm ci of @clinic/flame',
      'npm',
      ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--no-progress', '--loglevel=error'],
      { cwd: home, env },
    );
    writeFileSync(stamp, hash);
  });
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
