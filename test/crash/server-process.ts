import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A start that takes longer has failed. */
const START_MS = 300_000;
const MOST_ERRORS = 8192;

/** Retention is short, so that a run meets its end; and long enough for several starts of the server. */
export const KEY_RETENTION_MS = 20_000;
export const SOLD_RETENTION_MS = 20_000;
export const SEGMENTS = 8;

/** Small tables and files, so that a start is quick and snapshots, new files and trims happen all the time. */
const FLAGS = {
  workers: 2,
  segments: SEGMENTS,
  'holds-per-segment': 16_384,
  'skus-per-segment': 64,
  'keys-per-segment': 16_384,
  'holders-per-segment': 1024,
  'key-retention-ms': KEY_RETENTION_MS,
  'ended-retention-ms': SOLD_RETENTION_MS,
  'sold-retention-ms': SOLD_RETENTION_MS,
  'snapshot-period-ms': 1000,
  'snapshot-journal-bytes': 1 << 20,
  'journal-file-bytes': 1 << 16,
};

export interface ServerOptions {
  /** The built server's entry. */
  readonly main: string;
  readonly port: number;
  readonly store: string;
  readonly ack: string;
  readonly fronts: number;
  /** HOLDFAST_FAILPOINT and HOLDFAST_FLAW, as far as they are to be set. */
  readonly env: Readonly<Record<string, string>>;
}

/** How a process ended: its exit code, or the signal. */
export type End = number | NodeJS.Signals;

export interface Ready {
  readonly url: string;
  /** From the start of the process, ms. */
  readonly afterMs: number;
  /** Whether there was nothing in the store. */
  readonly fresh: boolean;
}

/** A `holdfast serve` of its own. */
export class ServerProcess {
  /** The line that it prints when it is ready. Rejects when the process ends before, or in too long a time. */
  readonly ready: Promise<Ready>;
  readonly ended: Promise<End>;
  private readonly child: ChildProcess;
  private errors = '';
  private end: End | undefined;

  constructor({ main, port, store, ack, fronts, env }: ServerOptions) {
    const flags = Object.entries({ ...FLAGS, port, store, ack, fronts }).flatMap(([name, value]) => [
      `--${name}`,
      String(value),
    ]);
    const startedMs = performance.now();
    const child = spawn(process.execPath, [main, 'serve', '--json', ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.child = child;
    child.stderr.on('data', (chunk) => {
      this.errors = `${this.errors}${chunk}`.slice(-MOST_ERRORS);
    });
    const killAtExit = (): void => void child.kill('SIGKILL');
    process.once('exit', killAtExit);
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        process.removeListener('exit', killAtExit);
        this.end = signal ?? code ?? -1;
        resolve(this.end);
      });
    });
    let timer: NodeJS.Timeout | undefined;
    this.ready = Promise.race([
      new Promise<string>((resolve) => createInterface({ input: child.stdout }).once('line', resolve)),
      this.ended.then((end) =>
        Promise.reject(new Error(`it ended with ${end} before it was ready: ${this.errors.trim()}`)),
      ),
      new Promise<string>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`it is not ready after ${START_MS / 1000} s`)), START_MS);
      }),
    ])
      .then((line) => readyFrom(line, performance.now() - startedMs))
      .finally(() => clearTimeout(timer));
    // Whoever kills it before it is ready does not wait for it to be.
    this.ready.catch(() => {});
  }

  get running(): boolean {
    return this.end === undefined;
  }

  /** The last that it wrote to its error output. */
  get errorOutput(): string {
    return this.errors.trim();
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }
}

function readyFrom(line: string, afterMs: number): Ready {
  const { url, recovery } = JSON.parse(line) as { url: string; recovery: { fresh: boolean } | null };
  return { url, afterMs, fresh: recovery?.fresh ?? true };
}
