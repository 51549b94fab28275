import { readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesIn, namesIn, root, type SourceFile } from './source-files.ts';

const MAX_LINES = 400;

/** What would make the core depend on anything but its arguments. */
const IMPURE = [
  ...['Date', 'Math.random', 'performance', 'crypto', 'process', 'console', 'fetch', 'globalThis'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'Atomics.wait', 'Atomics.waitAsync'],
];

/** What a browser does not have, or a Node of its own. */
const NODE_ONLY = ['Buffer', 'process', 'require', 'global', 'setImmediate', '__dirname', '__filename'];

const shipped = filesIn(['protocol', 'src', 'workers'], '.ts');

describe('source files', () => {
  it(`have at most ${MAX_LINES} lines`, () => {
    const long = shipped.filter((file) => file.text.split('\n').length - 1 > MAX_LINES);
    expect(long.map((file) => `${file.path}: ${file.text.split('\n').length - 1} lines`)).toEqual([]);
  });

  it('are named in kebab-case', () => {
    const all = filesIn(['protocol', 'src', 'workers', 'test', 'perf', 'scripts']);
    // Files of others keep their names, so that they can be dropped in.
    const ours = all.filter((file) => !/^test\/vectors\/.+\.json$/.test(file.path));
    const odd = ours.filter(
      (file) => !/(^|\/)([a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*|[A-Z]+\.md)$/.test(file.path),
    );
    expect(odd.map((file) => file.path)).toEqual([]);
  });

  it.each([
    ['src/core', 'takes time and chance as arguments', IMPURE],
    ['src/client', 'runs in a browser', NODE_ONLY],
    ['protocol', 'runs in a browser', NODE_ONLY],
  ])('%s %s', (folder, _promise, forbidden) => {
    const found = shipped
      .filter((file) => file.path.startsWith(`${folder}/`))
      .flatMap((file) => {
        const names = namesIn(file);
        return forbidden.filter((name) => names.has(name)).map((name) => `${file.path} uses ${name}`);
      });
    expect(found).toEqual([]);
  });
});

describe('everything that is checked in', () => {
  const all = [...filesIn(['protocol', 'src', 'workers', 'test', 'perf', 'scripts', '.ci']), ...rootFiles()];

  it('leaves no work for later', () => {
    // Spelled apart, so that this file is not a find of its own.
    const marks = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`);
    expect(linesWith(all, marks)).toEqual([]);
  });

  it('names no path of the machine it was written on', () => {
    // A checkout right under / (a container's) would match words that are no paths.
    const own = [`${homedir()}/`, ...(root.split('/').length > 3 ? [root] : [])];
    const escaped = own.map((path) => path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    const machine = new RegExp(['/ho' + 'me/\\w', '/Us' + 'ers/\\w', ...escaped].join('|'));
    expect(linesWith(all, machine)).toEqual([]);
  });
});

function rootFiles(): SourceFile[] {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.tgz'))
    .map(({ name }) => ({ path: name, text: readFileSync(join(root, name), 'utf8') }));
}

function linesWith(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap((file) =>
    file.text
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${file.path}:${index + 1}: ${line.trim()}`] : [])),
  );
}
