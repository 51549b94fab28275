import { readFileSync } from 'node:fs';
import { hex } from './fixtures.ts';

/** The specification as text, and what its tables and examples say. */
export const text = readFileSync(new URL('../../protocol/README.md', import.meta.url), 'utf8');

/** Rows of the one table whose first column headings are these; cells without the marks of code. */
export function table(...headings: string[]): string[][] {
  const lines = text.split('\n');
  const at = lines.findIndex((line) => headings.every((heading, i) => cells(line)[i] === heading));
  if (at < 0) throw new Error(`no table begins with ${headings.join(', ')}`);
  const rows: string[][] = [];
  for (let i = at + 2; lines[i]?.startsWith('|'); i++) rows.push(cells(lines[i] as string));
  return rows;
}

function cells(line: string): string[] {
  if (!line.startsWith('|')) return [];
  return line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1'));
}

/** Messages that share their bytes, and so a frame: nearly always one. */
export interface Example {
  readonly from: 'client' | 'server';
  readonly messages: unknown[][];
  readonly bytes: Uint8Array;
  /** How long the conversation waits before this, ms. */
  readonly afterMs: number;
}

/** Every message with its bytes, in the order of the page. */
export function wireExamples(): Example[] {
  const examples: Example[] = [];
  let messages: unknown[][] = [];
  let afterMs = 0;
  let digits = '';
  let from: Example['from'] = 'client';
  const finish = (): void => {
    if (digits === '') return;
    examples.push({ from, messages, bytes: hex(digits), afterMs });
    messages = [];
    afterMs = 0;
    digits = '';
  };
  for (const line of blocks('wire')) {
    const message = /^(client|server) {2}(\[.*)$/.exec(line);
    const pause = /^ {8}(\d+) ms pass$/.exec(line);
    if (message !== null) {
      finish();
      from = message[1] as Example['from'];
      messages.push(JSON.parse(message[2] as string) as unknown[]);
    } else if (pause !== null) {
      finish();
      afterMs = Number(pause[1]);
    } else if (/^ {8}([0-9a-f]{2} ?)+$/.test(line)) {
      digits += line;
    } else {
      throw new Error(`an example has a line of no known kind: ${line}`);
    }
  }
  finish();
  return examples;
}

/** Text frames and their answers, in the order of the page. */
export function textExamples(): { from: string; text: string }[] {
  return blocks('text-wire').map((line) => ({ from: line.slice(0, 6), text: line.slice(8) }));
}

function blocks(language: string): string[] {
  const fenced = text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'));
  return [...fenced].flatMap(([, block]) => (block as string).trimEnd().split('\n'));
}
