import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../perf/free-port.ts';
import type { AckLevel } from '../../protocol/ack.ts';
import { Prng } from '../../src/base/prng.ts';
import { FAULTS, type Flaw } from '../../src/storage/failpoints.ts';
import { type RedisServer, startRedis } from '../fixtures/redis.ts';
import { Crowd } from './crowd.ts';
import { type Planted, planRounds, type Round } from './plan.ts';
import { type End, ServerProcess } from './server-process.ts';
import type { Tally } from './tally.ts';

export interface CrashOptions {
  /** Entry of the built server. */
  readonly main: string;
  readonly kills: number;
  readonly seed: number;
  /** `file` and `redis` bring a store of their own; or an address, `file:<empty directory>`. */
  readonly store: string;
  readonly ack: AckLevel;
  /** 1 unless given. */
  readonly fronts?: number;
  readonly failpoint: Planted | 'each' | undefined;
  readonly flaw: Flaw | undefined;
  /** Holders that place holds, each over two connections. */
  readonly shoppers?: number;
  /** Told after each round. */
  readonly onRound?: (done: number, run: CrashReport) => void;
}

export interface CrashReport {
  readonly seed: number;
  readonly store: string;
  readonly ack: AckLevel;
  readonly flaw: Flaw | undefined;
  /** Lives of the server that a fault ended, or was to end. */
  rounds: number;
  /** How often each fault struck. */
  readonly faults: Record<string, number>;
  /** How often one was planned and did not come to pass: a failpoint that was not reached, a kill with nothing under way. */
  readonly missed: Record<string, number>;
  /** Times that the server was started again and was ready. */
  restarts: number;
  /** From the start of the process until it was ready, ms, of each of them. */
  readonly recoveriesMs: number[];
  readonly tally: Tally;
  tookMs: number;
  /** Where the data is kept for whoever looks into a failure. */
  dataKept: string | undefined;
}

const SHOPPERS = 6;
/** A failpoint that has not struck after so much load will not. */
const FAILPOINT_MS = 120_000;
/** The server's exit code when its store has failed. */
const EXIT_STORE = 74;
/** A process that does not end after a signal within this time hangs. */
const END_MS = 180_000;
/** A server that has not answered an audit by then never will. */
const ANSWER_MS = 300_000;
/** Clients pause for milliseconds, not for as long as this. */
const UNDER_WAY_MS = 500;

/** Starts a server, has clients use it, and ends it, as often as asked; then settles the accounts. */
export async function runCrash(options: CrashOptions): Promise<CrashReport> {
  const run = new CrashRun(options);
  return run.all();
}

type RedisRound = Extract<Round, { fault: 'redis-kill' | 'redis-stop' }>;

class CrashRun {
  private readonly options: CrashOptions;
  private readonly crowd: Crowd;
  private readonly report: CrashReport;
  private readonly startedMs = performance.now();
  private redis: RedisServer | undefined;
  private port = 0;
  private url = '';
  private directory: string | undefined;
  private starts = 0;
  /** After a server that does not start there is nothing more to learn. */
  private hopeless = false;

  constructor(options: CrashOptions) {
    const { seed, store, ack, flaw } = options;
    this.options = options;
    this.crowd = new Crowd(seed, options.shoppers ?? SHOPPERS);
    const counts = { rounds: 0, faults: {}, missed: {}, restarts: 0, recoveriesMs: [] };
    this.report = {
      seed,
      store,
      ack,
      flaw,
      ...counts,
      tally: this.crowd.judge.tally,
      tookMs: 0,
      dataKept: undefined,
    };
  }

  async all(): Promise<CrashReport> {
    const { options, report } = this;
    const { tally } = report;
    await this.prepare();
    try {
      const rounds = planRounds(new Prng(options.seed), {
        rounds: options.kills,
        redis: this.redis !== undefined,
        syncs: options.ack === 'sync' && this.url.startsWith('file:'),
        failpoint: options.failpoint,
        flawed: options.flaw !== undefined,
      });
      for (const [done, round] of rounds.entries()) {
        await this.round(round);
        report.rounds = done + 1;
        report.tookMs = performance.now() - this.startedMs;
        options.onRound?.(done + 1, report);
        // A planted mistake is found once.
        if (this.hopeless || (options.flaw !== undefined && tally.violated > 0)) break;
      }
      if (!this.hopeless && (options.flaw === undefined || tally.violated === 0)) await this.last();
      if (Object.keys(report.faults).length === 0)
        tally.violate('process', 'no fault struck, so the run shows nothing');
    } finally {
      await this.redis?.stop();
      process.removeListener('exit', this.removeData);
      if (tally.violated > 0) report.dataKept = this.directory;
      else this.removeData();
    }
    report.tookMs = performance.now() - this.startedMs;
    return report;
  }

  private async prepare(): Promise<void> {
    const { store } = this.options;
    this.port = await freePort();
    if (store === 'redis') {
      this.redis = await startRedis();
      this.url = this.redis.url;
    } else if (store === 'file') {
      this.directory = mkdtempSync(join(tmpdir(), 'holdfast-crash-'));
      this.url = `file:${this.directory}/data`;
      process.once('exit', this.removeData);
    } else {
      this.url = store;
    }
  }

  private readonly removeData = (): void => {
    if (this.directory !== undefined) rmSync(this.directory, { recursive: true, force: true });
  };

  /** One life of the server. */
  private async round(round: Round): Promise<void> {
    const server = this.startServer(round.fault === 'failpoint' ? `${round.name}:${round.passage}` : '');
    if (round.fault === 'kill-in-recovery') {
      await this.killInRecovery(server, round.afterMs);
      return;
    }
    // A call that fails for good ends the server in its own way.
    const failing = round.fault === 'failpoint' && (FAULTS as readonly string[]).includes(round.name);
    const planned = failing ? EXIT_STORE : 'SIGKILL';
    if (!(await this.welcome(server, planned))) {
      // A failpoint may strike as soon as there is something to write.
      if (round.fault === 'failpoint') await this.strike(round.name, server, planned);
      return;
    }
    let going = true;
    const load = this.crowd.load(() => going);
    switch (round.fault) {
      case 'failpoint':
        await Promise.race([server.ended, sleep(FAILPOINT_MS)]);
        if (server.running) {
          count(this.report.missed, round.name);
          server.signal('SIGKILL');
          await this.ending(server, 'SIGKILL');
        } else {
          await this.strike(round.name, server, planned);
        }
        break;
      case 'term':
        await Promise.race([server.ended, sleep(round.afterMs)]);
        server.signal('SIGTERM');
        await this.strike('SIGTERM', server, 0);
        break;
      case 'kill':
        await Promise.race([server.ended, sleep(round.afterMs)]);
        await this.kill(server);
        break;
      default:
        await this.disturbRedis(round, server);
        await this.kill(server);
    }
    going = false;
    await this.crowd.leave(false);
    await load;
  }

  /** Kills it before, or soon after, it is ready. */
  private async killInRecovery(server: ServerProcess, afterMs: number): Promise<void> {
    let wasReady = false;
    const timer = setTimeout(() => server.signal('SIGKILL'), afterMs);
    const visit = server.ready.then(
      () => {
        wasReady = true;
        return this.welcome(server);
      },
      () => false,
    );
    await server.ended;
    clearTimeout(timer);
    await visit;
    await this.strike(wasReady ? 'SIGKILL soon after start' : 'SIGKILL in recovery', server, 'SIGKILL');
    await this.crowd.leave(false);
  }

  /** Everybody connects once the server is ready, and what it restored is looked at. False when it was gone by then. */
  private async welcome(server: ServerProcess, planned: End = 'SIGKILL'): Promise<boolean> {
    let inUse = false;
    try {
      const { url, afterMs, fresh } = await server.ready;
      inUse = this.starts === 1 && !fresh;
      if (inUse) throw new Error(`${this.url} is not empty, and a run needs a store of its own`);
      if (this.starts > 1) {
        this.report.restarts++;
        this.report.recoveriesMs.push(afterMs);
      }
      await within(ANSWER_MS, this.crowd.connect(url));
      await within(ANSWER_MS, this.crowd.audit());
      if (server.running) return true;
    } catch (error) {
      if (inUse) {
        server.signal('SIGKILL');
        throw error;
      }
      const died = !server.running || (await this.endsSoon(server));
      if (!died || (await server.ended) !== planned) {
        const what = `start ${this.starts}: the server that was killed cannot be used again: ${(error as Error).message}`;
        this.report.tally.violate('I2', what, died ? [] : [server.errorOutput]);
        this.hopeless = true;
        server.signal('SIGKILL');
        await server.ended;
      }
    }
    await this.crowd.leave(server.running);
    return false;
  }

  private async disturbRedis(round: RedisRound, server: ServerProcess): Promise<void> {
    const redis = this.redis as RedisServer;
    await sleep(round.afterMs);
    if (round.fault === 'redis-kill') await redis.kill();
    else redis.pause();
    await Promise.race([server.ended, sleep(round.awayMs)]);
    if (round.fault === 'redis-kill') await redis.restart();
    else redis.resume();
    count(this.report.faults, round.fault === 'redis-kill' ? 'Redis SIGKILL' : 'Redis SIGSTOP');
    await Promise.race([server.ended, sleep(300)]);
  }

  /** Kills it while commands are under way, if there are any before long. */
  private async kill(server: ServerProcess): Promise<void> {
    const giveUpMs = performance.now() + UNDER_WAY_MS;
    while (this.crowd.pending === 0 && server.running && performance.now() < giveUpMs) await turn();
    const wasUnderLoad = server.running && this.crowd.pending > 0;
    server.signal('SIGKILL');
    await this.ending(server, 'SIGKILL');
    const { faults, missed } = this.report;
    if (wasUnderLoad) count(faults, 'SIGKILL under load');
    else count(missed, 'SIGKILL with nothing under way');
  }

  /** A start without a fault, the end of every deadline, and an orderly end. */
  private async last(): Promise<void> {
    const server = this.startServer('');
    if (!(await this.welcome(server))) {
      if (!this.hopeless)
        this.report.tally.violate('process', `the last server ended: ${server.errorOutput}`);
      return;
    }
    try {
      await within(ANSWER_MS, this.crowd.settle());
    } catch (error) {
      this.report.tally.violate('process', `the last server: ${(error as Error).message}`);
    }
    server.signal('SIGTERM');
    await this.ending(server, 0);
    await this.crowd.leave(false);
  }

  private startServer(failpoint: string): ServerProcess {
    this.starts++;
    const { main, ack, fronts = 1, flaw } = this.options;
    const env = { HOLDFAST_FAILPOINT: failpoint, HOLDFAST_FLAW: flaw ?? '' };
    return new ServerProcess({ main, port: this.port, store: this.url, ack, fronts, env });
  }

  /** Counts a fault when the process has ended as it makes it. */
  private async strike(name: string, server: ServerProcess, expected: End): Promise<void> {
    if (this.hopeless) return;
    if ((await this.ending(server, expected)) === expected) count(this.report.faults, name);
  }

  /** Waits for the end of the process, which has to be of the expected kind. */
  private async ending(server: ServerProcess, expected: End): Promise<End> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), END_MS);
    });
    const end = await Promise.race([server.ended, late]);
    clearTimeout(timer);
    if (end === undefined) {
      this.report.tally.violate('process', `start ${this.starts}: the server does not end after a signal`);
      server.signal('SIGKILL');
      return server.ended;
    }
    if (end !== expected) {
      this.report.tally.violate(
        'process',
        `start ${this.starts}: the server ended with ${end}, not ${expected}`,
        [server.errorOutput],
      );
    }
    return end;
  }

  private async endsSoon(server: ServerProcess): Promise<boolean> {
    await Promise.race([server.ended, sleep(60_000)]);
    return !server.running;
  }
}

/** Rejects when it takes longer. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer for ${ms / 1000} s`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Lets the event loop run once. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
