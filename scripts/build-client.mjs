/** `npm run build:client`: the SDK as one file for browsers, with its size. */
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import { root } from './setup.mjs';

export const bundleFile = join(root, 'dist/holdfast-client.js');

export async function buildClient() {
  const build = await rolldown({ input: join(root, 'src/client/index.ts'), platform: 'browser', cwd: root });
  const { output } = await build.generate({ format: 'es', minify: true });
  await build.close();
  const [bundle] = output;
  const outside = [...bundle.imports, ...bundle.dynamicImports];
  if (output.length !== 1 || outside.length > 0) {
    throw new Error(`A browser cannot load the SDK as one file: it still imports ${outside.join(', ')}`);
  }
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(bundleFile, bundle.code);
  const bytes = Buffer.from(bundle.code);
  console.log(
    `${relative(root, bundleFile)}: ${kilobytes(bytes)} kB, ${kilobytes(gzipSync(bytes))} kB gzipped`,
  );
}

function kilobytes(bytes) {
  return (bytes.length / 1_000).toFixed(1);
}

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await buildClient();
