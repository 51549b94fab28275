import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../free-port.ts';
import { onPath } from '../on-path.ts';

/** Redis' appendfsync: a sync before each answer, or one a second. */
export type Fsync = 'always' | 'everysec';
/** The same, or no append-only file at all. */
export type Appending = Fsync | 'off';
type Settings = Readonly<Record<string, string>>;

const START_MS = 60_000;

/** Why there are no figures with Redis on this machine; undefined where there can be. */
export function whyNoRedis(): string | undefined {
  return onPath('redis-server')
    ? undefined
    : 'redis-server is not on the PATH (Debian: apt-get install redis-server)';
}

/** A redis-server of the benchmark's own. It ends with this process at the latest. */
export class RedisProcess {
  readonly port: number;
  readonly url: string;
  /** Rejects when the server ends without having been told to. */
  readonly failure: Promise<never>;
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown>;
  private stopping = false;
  private errors = '';
  private readonly killAtExit = () => this.child.kill('SIGKILL');

  private constructor(port: number, directory: string, appending: Appending, more: Settings) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
    const settings = {
      port,
      bind: '127.0.0.1',
      dir: directory,
      ...(appending === 'off' ? { appendonly: 'no' } : { appendonly: 'yes', appendfsync: appending }),
      save: '',
      ...more,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    process.prependOnceListener('exit', this.killAtExit);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk) => {
        this.errors = (this.errors + chunk).slice(-4000);
      });
    }
    this.exited = new Promise((resolve) => {
      this.child.once('error', resolve);
      this.child.once('close', resolve);
    });
    this.failure = this.exited.then(() => {
      if (this.stopping) return new Promise<never>(() => {});
      throw new Error(`redis-server ended by itself. It wrote:\n${this.errors.trim()}`);
    });
    this.failure.catch(() => {});
  }

  /**
   * @param directory for its files; is made
   * @param more further settings of redis-server
   */
  static async start(directory: string, appending: Appending, more: Settings = {}): Promise<RedisProcess> {
    mkdirSync(directory, { recursive: true });
    const port = await freePort();
    const redis = new RedisProcess(port, directory, appending, more);
    for (const giveUpAt = Date.now() + START_MS; !(await answersPing(port)); await sleep(20)) {
      if (Date.now() < giveUpAt && redis.child.exitCode === null) continue;
      await redis.stop();
      throw new Error(`redis-server did not start. It wrote:\n${redis.errors.trim()}`);
    }
    return redis;
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  async stop(): Promise<void> {
    this.stopping = true;
    process.removeListener('exit', this.killAtExit);
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: 500 });
    const done = (answers: boolean) => {
      socket.destroy();
      resolve(answers);
    };
    socket.once('connect', () => socket.write('PING\r\n'));
    socket.once('data', (bytes) => done(bytes.toString().startsWith('+PONG')));
    for (const event of ['error', 'timeout', 'close']) socket.once(event, () => done(false));
  });
}
