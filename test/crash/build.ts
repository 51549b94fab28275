import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface BuiltServer {
  /** What Node runs. */
  readonly main: string;
  remove(): void;
}

/**
 * Builds the server as a package has it, in a temporary directory. A run starts it hundreds of times, and every thread of one that is run
 * from TypeScript strips the types anew: that would be half of its start.
 */
export function buildServer(): BuiltServer {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-crash-build-'));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const args = [
    tsc,
    '-p',
    join(root, 'tsconfig.build.json'),
    '--outDir',
    join(directory, 'dist'),
    '--declaration',
    'false',
  ];
  const { stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  const main = join(directory, 'dist/src/cli/main.js');
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  if (!existsSync(main)) {
    remove();
    throw new Error(`the server cannot be built: ${stdout}`);
  }
  copyFileSync(join(root, 'package.json'), join(directory, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  return { main, remove };
}
