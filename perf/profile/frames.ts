import { fileURLToPath } from 'node:url';
import type { CallFrame } from '../../src/profile/profile-report.ts';

/** Where a function comes from. */
export type Origin = 'project' | 'package' | 'node' | 'wasm' | 'native';

export interface Place {
  readonly origin: Origin;
  /** From the project's folder for its own files and packages; as Node has it otherwise; empty for native code. */
  readonly path: string;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Folders of the project, for a server that runs from another one. */
const OWN_FOLDER = /\/((?:src|protocol|workers|perf|test)\/.*)$/;

/** Where a frame's function is. */
export function placeOf({ url }: CallFrame): Place {
  if (url === '') return { origin: 'native', path: '' };
  if (url.startsWith('wasm:')) return { origin: 'wasm', path: url };
  if (!url.startsWith('file:') && !url.startsWith('/')) return { origin: 'node', path: url };
  const file = url.startsWith('file:') ? fileURLToPath(url) : url;
  const packaged = file.lastIndexOf('/node_modules/');
  if (packaged >= 0) return { origin: 'package', path: file.slice(packaged + 1) };
  if (file.startsWith(ROOT)) return { origin: 'project', path: file.slice(ROOT.length) };
  return { origin: 'project', path: OWN_FOLDER.exec(file)?.[1] ?? file.replace(/^\//, '') };
}

/** What a function is called, its own name or what the engine calls native code. */
export function functionOf({ functionName, url }: CallFrame): string {
  if (functionName === '') return url === '' ? 'native' : '(anonymous)';
  return NATIVE_NAMES[functionName] ?? functionName;
}

const NATIVE_NAMES: Readonly<Record<string, string>> = {
  '(program)': 'native code (sockets, kernel, engine)',
  '(garbage collector)': 'garbage collector',
};

/** A function as a line of text has it: `route src/front/router.ts:118`. */
export function labelOf(frame: CallFrame): string {
  const { origin, path } = placeOf(frame);
  const name = functionOf(frame);
  return origin === 'native' ? name : `${name} ${path}:${frame.lineNumber + 1}`;
}
