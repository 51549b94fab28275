import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import build from '../../tsconfig.build.json' with { type: 'json' };
import { filesIn, importsOf, type SourceFile } from './source-files.ts';

/** What files of one folder may import: other folders, packages from npm, modules of Node. */
interface Layer {
  folders: readonly string[];
  packages: 'any' | readonly string[];
  node: 'any' | readonly string[];
}

const BENEATH_STORAGE = ['src/shard', 'src/ring', 'src/core', 'src/base', 'protocol'];
const BENEATH_FRONT = [
  'src/metrics',
  'src/admission',
  'src/auth',
  'src/log',
  'src/trace',
  'src/profile',
  'src/storage',
  ...BENEATH_STORAGE,
];
const BENEATH_RUNTIME = ['src/front', ...BENEATH_FRONT];
const BENEATH_PERF = ['src/runtime', 'src/client', ...BENEATH_RUNTIME];

/** The direction of imports: each layer knows those before it, never one after. */
const LAYERS: Record<string, Layer> = {
  protocol: { folders: [], packages: [], node: [] },
  'src/base': { folders: ['protocol'], packages: [], node: 'any' },
  'src/core': { folders: ['src/base', 'protocol'], packages: [], node: [] },
  'src/ring': { folders: ['src/base', 'protocol'], packages: [], node: [] },
  'src/admission': { folders: ['src/base', 'protocol'], packages: ['zod'], node: [] },
  'src/shard': { folders: ['src/ring', 'src/core', 'src/base', 'protocol'], packages: [], node: 'any' },
  'src/log': { folders: ['src/base', 'protocol'], packages: ['pino'], node: 'any' },
  'src/metrics': { folders: ['src/log', ...BENEATH_STORAGE], packages: [], node: 'any' },
  'src/trace': {
    folders: ['src/shard', 'src/base', 'protocol'],
    packages: ['@opentelemetry/api'],
    node: 'any',
  },
  'src/profile': { folders: [], packages: [], node: 'any' },
  'src/storage': {
    folders: BENEATH_STORAGE,
    packages: ['ioredis', 'msgpackr'],
    node: 'any',
  },
  // Tokens know nothing of what they open.
  'src/auth': { folders: ['src/base', 'protocol'], packages: ['jose'], node: 'any' },
  'src/front': { folders: BENEATH_FRONT, packages: 'any', node: 'any' },
  'src/runtime': { folders: BENEATH_RUNTIME, packages: 'any', node: 'any' },
  // Measuring tools know what they measure. Of the product only the command line knows them, for `holdfast stress`.
  perf: { folders: BENEATH_PERF, packages: 'any', node: 'any' },
  'src/cli': { folders: ['perf', ...BENEATH_PERF], packages: 'any', node: 'any' },
  'src/client': { folders: ['protocol'], packages: ['msgpackr'], node: [] },
  workers: { folders: BENEATH_RUNTIME, packages: 'any', node: 'any' },
};

const files = filesIn(['protocol', 'src', 'workers', 'perf'], '.ts');
const installedForServing = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies });

/** What is built into the package: the folders that are named, and what they import. */
const shipped = reachedFrom(
  files.filter(({ path }) => build.include.some((folder) => path.startsWith(`${folder}/`))),
);

describe('the direction of imports', () => {
  it('gives every source file a layer', () => {
    expect(files.filter((file) => layerOf(file.path) === undefined).map((file) => file.path)).toEqual([]);
  });

  it.each(Object.keys(LAYERS))('%s imports only what lies beneath it', (name) => {
    const ownFiles = files.filter((file) => layerOf(file.path) === name);
    expect(ownFiles.flatMap((file) => wrongImports(file, name))).toEqual([]);
  });

  it('runs in no circle', () => {
    expect(circles(files)).toEqual([]);
  });
});

function layerOf(path: string): string | undefined {
  return Object.keys(LAYERS).find((name) => path.startsWith(`${name}/`));
}

function wrongImports(file: SourceFile, name: string): string[] {
  const layer = LAYERS[name];
  const allowed = (list: 'any' | readonly string[], item: string) => list === 'any' || list.includes(item);
  return importsOf(file)
    .filter((specifier) => {
      if (specifier.startsWith('node:')) return !allowed(layer.node, specifier);
      if (!specifier.startsWith('.')) {
        const packageName = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
        // A package for development is not there when the server is installed.
        const installed = installedForServing.includes(packageName) || !shipped.has(file.path);
        return !allowed(layer.packages, packageName) || !installed;
      }
      const target = layerOf(join(dirname(file.path), specifier));
      return target !== name && (target === undefined || !layer.folders.includes(target));
    })
    .map((specifier) => `${file.path} imports ${specifier}`);
}

function reachedFrom(first: readonly SourceFile[]): Set<string> {
  const reached = new Set<string>();
  const walk = (file: SourceFile): void => {
    if (reached.has(file.path)) return;
    reached.add(file.path);
    for (const specifier of importsOf(file)) {
      const target = files.find(({ path }) => path === join(dirname(file.path), specifier));
      if (target !== undefined) walk(target);
    }
  };
  for (const file of first) walk(file);
  return reached;
}

/** Every circle, as the paths that it runs through. Types count: they tie files together as values do. */
function circles(all: readonly SourceFile[]): string[] {
  const targets = new Map(
    all.map((file) => {
      const relativeOnes = importsOf(file).filter((specifier) => specifier.startsWith('.'));
      return [file.path, relativeOnes.map((specifier) => join(dirname(file.path), specifier))];
    }),
  );
  const found: string[] = [];
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push([...trail.slice(start), path].join(' → '));
    if (start >= 0 || done.has(path)) return;
    for (const target of targets.get(path) ?? []) walk(target, [...trail, path]);
    done.add(path);
  };
  for (const path of targets.keys()) walk(path, []);
  return found;
}
