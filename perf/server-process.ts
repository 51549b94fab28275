import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** What a server prints in one line of JSON when it listens. */
export interface ReadyLine {
  readonly port: number;
  /** Only of Holdfast, down to its store's label. */
  readonly segments?: number;
  readonly workers?: number;
  readonly fronts?: number;
  readonly ack?: string;
  readonly store?: string | null;
  /** Only of a Holdfast with a store: what the start found there. Of a new store nothing, and `fresh`. */
  readonly recovery?: {
    readonly fresh: boolean;
    readonly fromSnapshots: number;
    readonly events: number;
    readonly journalBytes: number;
    readonly tookMs: number;
  } | null;
}

/** A store with much in it takes its time on a busy machine. */
const READY_MS = 60_000;
const STOP_MS = 60_000;
const KEPT_ERROR_CHARS = 8_000;

/**
 * A server in a process of its own, under this process's runtime. It is ended by its own process id, and with this
 * process at the latest. Whatever goes wrong is told together with what the server wrote to its error output.
 */
export class ServerProcess {
  readonly port: Promise<number>;
  readonly ready: Promise<ReadyLine>;
  /** From the start of the process to its line, ms; 0 before. */
  readyMs = 0;
  /** Rejects when the server ends without having been told to. */
  readonly failure: Promise<never>;
  private readonly name: string;
  private readonly child: ChildProcess;
  private readonly exited: Promise<string>;
  private stopping = false;
  private errors = '';
  private readonly killAtExit = () => this.child.kill('SIGKILL');

  private constructor(name: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.name = name;
    this.child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
      env: environment({ ...process.env, ...env }),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    // Before whoever removes the files that it has open.
    process.prependOnceListener('exit', this.killAtExit);
    this.child.stderr?.on('data', (chunk) => {
      this.errors = (this.errors + chunk).slice(-KEPT_ERROR_CHARS);
    });
    this.exited = new Promise((resolve) => {
      this.child.once('error', (error) => resolve(error.message));
      this.child.once('close', (code, signal) => resolve(signal ?? String(code)));
    });
    this.failure = this.exited.then((how) => {
      process.removeListener('exit', this.killAtExit);
      if (this.stopping) return new Promise<never>(() => {});
      throw this.error(`ended by itself with ${how}`);
    });
    this.failure.catch(() => {});
    this.ready = this.readLine(performance.now());
    this.ready.catch(() => {});
    this.port = this.ready.then(({ port }) => port);
    this.port.catch(() => {});
  }

  /** Starts `node …args` and waits for its line; rejects when none comes in time. `name` is for messages, `env` comes on top of this process's. */
  static async start(
    name: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<ServerProcess> {
    const server = new ServerProcess(name, args, env);
    try {
      await server.port;
      return server;
    } catch (error) {
      server.stopping = true;
      server.child.kill('SIGKILL');
      throw error;
    }
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** Ends the server by SIGTERM and waits for it; rejects unless it exits with 0 in time. */
  async stop(): Promise<void> {
    if (this.stopping) return;
    this.stopping = true;
    this.child.kill('SIGTERM');
    const how = await within(STOP_MS, this.exited, () => this.error('did not stop on SIGTERM')).catch(
      (error) => {
        this.child.kill('SIGKILL');
        throw error;
      },
    );
    if (how !== '0') throw this.error(`stopped with ${how} in place of 0`);
  }

  /** Ends the server by SIGKILL, as a crash would, and waits until it is gone. */
  async kill(): Promise<void> {
    this.stopping = true;
    this.child.kill('SIGKILL');
    await this.exited;
  }

  private async readLine(startedMs: number): Promise<ReadyLine> {
    const line = new Promise<string>((resolve) => {
      if (this.child.stdout === null) return;
      createInterface({ input: this.child.stdout }).once('line', resolve);
    });
    const first = await within(READY_MS, Promise.race([line, this.failure]), () =>
      this.error('did not get ready'),
    );
    this.readyMs = performance.now() - startedMs;
    // What follows the first line is not read, but must not fill the pipe.
    this.child.stdout?.resume();
    return parseReady(first) ?? Promise.reject(this.error(`is ready without a port: ${first}`));
  }

  private error(what: string): Error {
    const said = this.errors.trim();
    return new Error(`The ${this.name} ${what}.${said === '' ? '' : ` It wrote:\n${said}`}`);
  }
}

function parseReady(line: string): ReadyLine | null {
  try {
    const ready = JSON.parse(line) as ReadyLine;
    return typeof ready.port === 'number' ? ready : null;
  } catch {
    return null;
  }
}

async function within<T>(ms: number, promise: Promise<T>, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** Huge pages as scripts/holdfast has them, also where they are turned off; every server gets the same. */
export function environment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return env.HOLDFAST_HUGE_PAGES === 'off' ? env : { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1', ...env };
}
