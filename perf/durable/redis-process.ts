import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../free-port.ts';
import { onPath } from '../on-path.ts';

/** Redis' appendfsync: a sync before each answer, or one a second. */
export type Fsync = 'always' | 'everysec';

const START_MS = 10_000;

/** Why there are no figures with Redis on this machine; undefined where there can be. */
export function whyNoRedis(): string | undefined {
  return onPath('redis-server')
    ? undefined
    : 'redis-server is not on the PATH (Debian: apt-get install redis-server)';
}

/** A redis-server of the benchmark's own with an append-only file. It ends with this process at the latest. */
export class RedisProcess {
  readonly url: string;
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown>;
  private errors = '';
  private readonly killAtExit = () => this.child.kill('SIGKILL');

  private constructor(port: number, directory: string, fsync: Fsync) {
    this.url = `redis://127.0.0.1:${port}`;
    const settings = {
      port,
      bind: '127.0.0.1',
      dir: directory,
      appendonly: 'yes',
      appendfsync: fsync,
      save: '',
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
  }

  /** @param directory for its files; is made */
  static async start(directory: string, fsync: Fsync): Promise<RedisProcess> {
    mkdirSync(directory, { recursive: true });
    const port = await freePort();
    const redis = new RedisProcess(port, directory, fsync);
    for (const giveUpAt = Date.now() + START_MS; !(await answersPing(port)); await sleep(20)) {
      if (Date.now() < giveUpAt && redis.child.exitCode === null) continue;
      await redis.stop();
      throw new Error(`redis-server did not start. It wrote:\n${redis.errors.trim()}`);
    }
    return redis;
  }

  async stop(): Promise<void> {
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
