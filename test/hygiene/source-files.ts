import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'rolldown/parseAst';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** A file of the project: its path from the root with forward slashes, and its text. */
export interface SourceFile {
  path: string;
  text: string;
}

/** Every file under the given folders, in a stable order. */
export function filesIn(folders: readonly string[], suffix = ''): SourceFile[] {
  return folders.flatMap((folder) => {
    const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && entry.name.endsWith(suffix))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((file) => ({ path: relative(root, file), text: readFileSync(file, 'utf8') }));
  });
}

/** A node of the syntax tree, as far as these tests look at it. */
interface Node {
  type: string;
  [key: string]: unknown;
}

/** What a file imports or re-exports, types included: the specifiers as they are written. */
export function importsOf(file: SourceFile): string[] {
  const found: string[] = [];
  visit(parse(file), (node) => {
    const source = node.source as { value?: unknown } | null | undefined;
    if (/^(Import|Export|TSImportType)/.test(node.type) && typeof source?.value === 'string') {
      found.push(source.value);
    }
  });
  return found;
}

/**
 * The free-standing names that a file uses, and `object.property` pairs: `Date`, `Math.random`.
 * A name that only follows a dot, or is a key, is not one.
 */
export function namesIn(file: SourceFile): Set<string> {
  const names = new Set<string>();
  visit(parse(file), (node, parent) => {
    if (node.type === 'MemberExpression' && node.computed === false) {
      const object = node.object as Node;
      const property = node.property as Node;
      if (object.type === 'Identifier') names.add(`${object.name}.${property.name}`);
    }
    if (node.type !== 'Identifier') return;
    const afterDot = parent?.type === 'MemberExpression' && parent.property === node && !parent.computed;
    const isKey = parent !== undefined && 'key' in parent && parent.key === node && !parent.computed;
    if (!afterDot && !isKey) names.add(String(node.name));
  });
  return names;
}

function parse(file: SourceFile): Node {
  return parseAst(file.text, { lang: 'ts' }, file.path) as unknown as Node;
}

function visit(node: Node, look: (node: Node, parent: Node | undefined) => void, parent?: Node): void {
  look(node, parent);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) visit(child, look, node);
    }
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}
