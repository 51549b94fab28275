import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** A node of clinic's tree, as far as it is of use here. */
export interface ClinicNode {
  readonly functionName: string | null;
  /** `app` for the project's own code, `deps`, `core` for Node's, `wasm`, `all-v8` for the engine and native code. */
  readonly category: string;
  readonly children: readonly ClinicNode[];
}

interface ClinicFlame {
  visualize(dataPath: string, htmlPath: string, callback: (error?: Error | null) => void): void;
}

const INSTALLER = fileURLToPath(new URL('../../scripts/clinic-packages.mjs', import.meta.url));
/** Where it installs. */
const HOME = fileURLToPath(new URL('../../node_modules/.holdfast-clinic/', import.meta.url));

/** Draws a data folder as one HTML file. `installClinic` comes before. */
export async function drawFlameGraph(dataPath: string, htmlPath: string): Promise<void> {
  const Flame = createRequire(HOME)('@clinic/flame') as new () => ClinicFlame;
  const flame = new Flame();
  await promisify(flame.visualize.bind(flame))(dataPath, htmlPath);
}

/** Installs what draws, where it is not there. Its words and npm's go to the error output. Rejects when that does not work. */
export async function installClinic(): Promise<void> {
  const child = spawn(process.execPath, [INSTALLER], { stdio: ['ignore', process.stderr, process.stderr] });
  const [code] = await once(child, 'close');
  if (code !== 0) {
    throw new Error('What draws flame graphs could not be installed, see above. --no-html does without it.');
  }
}
