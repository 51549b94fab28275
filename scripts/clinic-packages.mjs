/** Installs what draws flame graphs (perf/profile/clinic, some 360 packages), once. */
import { installApart } from './packages-apart.mjs';

try {
  const title = 'Installing what draws flame graphs, once: npm ci of @clinic/flame';
  await installApart('perf/profile/clinic', '.holdfast-clinic', title);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
