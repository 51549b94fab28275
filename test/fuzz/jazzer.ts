import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

/** Where scripts/fuzz-packages.mjs installs. */
const HOME = fileURLToPath(new URL('../../node_modules/.holdfast-fuzz/', import.meta.url));
const CLI = join(HOME, 'node_modules/@jazzer.js/core/dist/cli.js');
const HERE = fileURLToPath(new URL('.', import.meta.url));

export const TARGETS = ['message-handler', 'cursor'] as const;

/** Longest input. Enough for some dozen commands; longer ones find nothing new and take longer. */
const MAX_INPUT_BYTES = 2048;
/** An input that takes longer is a finding. The time is that of a clock on the wall, so a machine that stands still for a while must not look like one. */
const SLOW_INPUT_MS = 60_000;
/** A process that gets larger is a finding. */
const MAX_RSS_MB = 1024;
const LOOK_MS = 10_000;

export interface FuzzRun {
  /** A file in this folder, without its end. */
  readonly target: string;
  readonly seconds: number;
  readonly seed: number;
  /** Where it begins; nothing is written there. */
  readonly corpus: readonly string[];
  /** Where an input goes that makes the target fail. */
  readonly findings: string;
  /** Gets libFuzzer's last line now and then. */
  readonly onProgress?: (line: string) => void;
}

export interface FuzzResult {
  readonly runs: number;
  /** Coverage features (edges with their counts) seen. */
  readonly features: number;
  /** File of the input that made the target fail, where one did. */
  readonly finding: string | undefined;
  readonly output: string;
}

export function corpusOf(target: string): string {
  return join(HERE, 'corpus', target);
}

/** Whether what fuzzes is installed. */
export function canFuzz(): boolean {
  return existsSync(join(HOME, '.installed'));
}

/** Runs a target under jazzer.js in a process of its own. Rejects when that could not run. */
export async function fuzzTarget(run: FuzzRun): Promise<FuzzResult> {
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-fuzz-'));
  try {
    const found = join(scratch, 'found');
    mkdirSync(found);
    mkdirSync(run.findings, { recursive: true });
    const target = await bundle(run.target, scratch);
    const log = join(scratch, 'log');
    const look = (): void => {
      const line = readFileSync(log, 'utf8')
        .split('\n')
        .findLast((one) => one.startsWith('#'));
      if (line !== undefined) run.onProgress?.(line);
    };
    const looks = setInterval(look, LOOK_MS);
    const { code, output } = await launch(
      [
        ...[CLI, target, found, ...run.corpus],
        // The path of what is to be instrumented contains this; see bundle(). What is named here beside it replaces the defaults.
        ...['--includes', 'instrumented', '--excludes', 'nothing is left out of it'],
        // They look for commands and paths that come from inputs; there are none here.
        ...['--sync', '--disableBugDetectors', '.*'],
        // By jazzer.js's own option: behind a -timeout it would put another, of 5 s.
        ...['--timeout', `${SLOW_INPUT_MS}`, '--'],
        `-max_total_time=${run.seconds}`,
        `-seed=${run.seed}`,
        `-max_len=${MAX_INPUT_BYTES}`,
        `-rss_limit_mb=${MAX_RSS_MB}`,
        `-dict=${join(HERE, 'dictionary')}`,
        `-artifact_prefix=${run.findings}/`,
        '-print_final_stats=1',
      ],
      log,
    ).finally(() => clearInterval(looks));
    const finding = /Test unit written to (.+)/.exec(output)?.[1];
    const runs = Number(/number_of_executed_units: (\d+)/.exec(output)?.[1] ?? 0);
    const features = Math.max(0, ...Array.from(output.matchAll(/ ft: (\d+)/g), ([, count]) => Number(count)));
    if (code !== 0 && finding === undefined) throw new Error(`jazzer.js ended with ${code}:\n${output}`);
    return { runs, features, finding, output };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * Writes a target and what it imports as plain JavaScript: jazzer.js does not instrument TypeScript. The project's code on a command's way
 * goes into a file of its own, which is what gets instrumented; what checks it, and libraries, need not and are faster without.
 */
async function bundle(target: string, folder: string): Promise<string> {
  const build = await rolldown({ input: { [target]: join(HERE, `${target}.ts`) }, platform: 'node' });
  await build.write({
    dir: folder,
    format: 'es',
    entryFileNames: '[name].mjs',
    chunkFileNames: '[name].mjs',
    codeSplitting: {
      groups: [
        { name: 'apart', test: /node_modules|core\/invariant|\/stage-/, priority: 2 },
        { name: 'instrumented', test: /\/(protocol|src)\/[a-z/-]+\.ts/, priority: 1 },
      ],
    },
  });
  await build.close();
  return join(folder, `${target}.mjs`);
}

/** Runs the command line of jazzer.js until it ends. Resolves to its exit code and all that it wrote. */
async function launch(args: readonly string[], log: string): Promise<{ code: number; output: string }> {
  // Not through a pipe: Node sets those to not block, and libFuzzer drops what one has no room for.
  const file = openSync(log, 'a');
  const child = spawn(process.execPath, args, { stdio: ['ignore', file, file] });
  closeSync(file);
  const stop = (): void => void child.kill('SIGKILL');
  process.once('exit', stop);
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit) => resolve(exit ?? -1));
  });
  process.removeListener('exit', stop);
  return { code, output: readFileSync(log, 'utf8') };
}
