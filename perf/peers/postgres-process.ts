import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  chownSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { freePort } from '../free-port.ts';

const START_MS = 120_000;
const STOP_MS = 60_000;
/** Where Debian keeps the programs of each version, none of them on the PATH. */
const DEBIAN_ROOT = '/usr/lib/postgresql';
const SUPERUSER = 'postgres';

/**
 * As a shop would set it up for speed without giving up durability: no checkpoint and no vacuum within a run (the benchmark vacuums
 * between the runs), so that neither falls into another side's time.
 */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'on',
  synchronous_commit: 'on',
  shared_buffers: '512MB',
  max_connections: '120',
  max_wal_size: '8GB',
  min_wal_size: '1GB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
  jit: 'off',
  max_parallel_workers_per_gather: '0',
  wal_level: 'minimal',
  max_wal_senders: '0',
  random_page_cost: '1.1',
};

/** Why there are no figures with PostgreSQL on this machine; undefined where there can be. */
export function whyNoPostgres(): string | undefined {
  if (findPrograms() === undefined)
    return 'PostgreSQL is neither on the PATH nor under /usr/lib/postgresql (Debian: apt-get install postgresql)';
  return process.getuid?.() === 0 && accountFor(SUPERUSER) === undefined
    ? 'PostgreSQL does not run as root, and there is no user named postgres to run it as'
    : undefined;
}

/** A PostgreSQL server of the benchmark's own, for the loopback address and with a password. It ends with this process at the latest. */
export class PostgresProcess {
  readonly port: number;
  readonly password: string;
  /** Rejects when the server ends without having been told to. */
  readonly failure: Promise<never>;
  private readonly child: ChildProcess;
  private readonly exited: Promise<string>;
  private stopping = false;
  private errors = '';
  // Ends all its processes without a checkpoint.
  private readonly quitAtExit = () => this.child.kill('SIGQUIT');

  private constructor(postgres: string, directory: string, port: number, password: string) {
    this.port = port;
    this.password = password;
    const settings = Object.entries({ ...SETTINGS, port }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ]);
    this.child = spawn(postgres, ['-D', directory, ...settings], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: directory,
      ...identity(),
    });
    process.prependOnceListener('exit', this.quitAtExit);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk) => {
        this.errors = (this.errors + chunk).slice(-4000);
      });
    }
    this.exited = new Promise((resolve) => {
      this.child.once('error', (error) => resolve(error.message));
      this.child.once('close', (code, signal) => resolve(signal ?? String(code)));
    });
    this.failure = this.exited.then((how) => {
      if (this.stopping) return new Promise<never>(() => {});
      throw new Error(`PostgreSQL ended by itself with ${how}. It wrote:\n${this.errors.trim()}`);
    });
    this.failure.catch(() => {});
  }

  /** @param directory for its files; is made, and belongs to the user that PostgreSQL runs as */
  static async start(directory: string): Promise<PostgresProcess> {
    const programs = findPrograms();
    if (programs === undefined) throw new Error(whyNoPostgres());
    const password = randomBytes(16).toString('hex');
    const data = initialize(programs, directory, password);
    const server = new PostgresProcess(join(programs, 'postgres'), data, await freePort(), password);
    try {
      await server.answers();
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** Runs statements on a connection of their own; resolves with the rows of the last. */
  async query(text: string): Promise<Record<string, string>[]> {
    const client = new Client({
      host: '127.0.0.1',
      port: this.port,
      user: SUPERUSER,
      password: this.password,
      database: 'postgres',
    });
    client.on('error', () => {});
    await client.connect();
    try {
      const result = await client.query(text);
      return (Array.isArray(result) ? result.at(-1) : result).rows;
    } finally {
      await client.end();
    }
  }

  /** Ends the server without a checkpoint: nobody needs its files any more. */
  async stop(): Promise<void> {
    this.stopping = true;
    process.removeListener('exit', this.quitAtExit);
    this.child.kill('SIGQUIT');
    const late = sleep(STOP_MS, undefined, { ref: false }).then(() => this.child.kill('SIGKILL'));
    await Promise.race([this.exited, late]);
    await this.exited;
  }

  private async answers(): Promise<void> {
    for (const giveUpAt = Date.now() + START_MS; ; await sleep(50)) {
      const problem = await Promise.race([this.failure, this.query('SELECT 1')]).then(
        () => undefined,
        (error: Error) => error,
      );
      if (problem === undefined) return;
      if (this.child.exitCode !== null || Date.now() > giveUpAt)
        throw new Error(`PostgreSQL did not start: ${problem.message} It wrote:\n${this.errors.trim()}`);
    }
  }
}

/** `PostgreSQL 15.14`, or undefined. */
export function postgresVersion(): string | undefined {
  const programs = findPrograms();
  if (programs === undefined) return undefined;
  const { stdout } = spawnSync(join(programs, 'postgres'), ['--version'], { encoding: 'utf8' });
  return /\d+(\.\d+)+/.exec(stdout)?.[0];
}

/** Makes the cluster's files; returns their directory. */
function initialize(programs: string, directory: string, password: string): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const passwordFile = join(directory, 'password');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  const own = identity();
  for (const path of [directory, passwordFile]) if (own !== undefined) chownSync(path, own.uid, own.gid);
  const data = join(directory, 'data');
  const args = ['-D', data, '-U', SUPERUSER, '-A', 'password', '--pwfile', passwordFile, '-E', 'UTF8'];
  const { status, stderr, error } = spawnSync(
    join(programs, 'initdb'),
    [...args, '--locale=C', '--no-sync'],
    {
      cwd: directory,
      encoding: 'utf8',
      ...own,
    },
  );
  if (status !== 0) throw new Error(`initdb failed: ${error?.message ?? stderr.trim()}`);
  return data;
}

/** Folder of PostgreSQL's programs: of the PATH, or the newest of Debian's. */
function findPrograms(): string | undefined {
  const debian = versions().map((version) => join(DEBIAN_ROOT, version, 'bin'));
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...debian];
  return folders.find((folder) => ['postgres', 'initdb'].every((name) => isProgram(join(folder, name))));
}

function versions(): string[] {
  try {
    return readdirSync(DEBIAN_ROOT).sort((a, b) => Number(b) - Number(a));
  } catch {
    return [];
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL does not run as root, so root runs it as the user that comes with it. */
function identity(): Account | undefined {
  return process.getuid?.() === 0 ? accountFor(SUPERUSER) : undefined;
}

function accountFor(user: string): Account | undefined {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${user}:`));
  if (line === undefined) return undefined;
  const [, , uid, gid] = line.split(':').map(Number);
  return { uid, gid };
}
