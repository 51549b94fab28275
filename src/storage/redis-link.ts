import { isIP } from 'node:net';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisAddress } from './redis-address.ts';
import { isAnswered, redisStoreError } from './redis-errors.ts';
import type { RedisScript } from './redis-scripts.ts';
import { StoreError } from './store.ts';

/** An answer that takes longer counts as a connection that is dead: ms. */
export const ANSWER_MS = 2000;
/** The same for snapshots, which are large. */
export const LONG_ANSWER_MS = 60_000;
const CONNECT_MS = 2000;
/** Between attempts to connect anew: from the one to the other, ms. */
const RETRY_MS = 50;
const MAX_RETRY_MS = 500;
/** How answers to the first commands of a connection begin that will be the same next time. */
const REFUSALS = ['NOAUTH', 'WRONGPASS', 'NOPERM', 'ERR'];
/** Between looks at whether the connection is there, ms. */
const LOOK_MS = 5;
/** How long a connection that is given up may still send what it holds, ms. */
const DISCONNECT_MS = 50;

/**
 * One connection to Redis (on a Cluster, one to each node). It makes itself anew when it is lost. Nothing is queued while it is away
 * and nothing is sent again by itself: whoever asked is told, and knows what may be repeated.
 */
export class RedisLink {
  readonly label: string;
  readonly client: Redis | Cluster;
  readonly #answerMs: number;
  #problem: unknown;
  /** What Redis said when it refused the login or the database. ioredis would go on in another database. */
  #refusal: unknown;
  #losses = 0;
  #closed = false;

  /** `answerMs`: an answer that takes longer is given up, and the connection with it. */
  constructor(address: RedisAddress, answerMs = ANSWER_MS) {
    this.label = address.label;
    this.#answerMs = answerMs;
    this.client = connect(address, answerMs);
    this.client.on('error', (error: unknown) => {
      this.#problem = error;
      if (REFUSALS.some((word) => isAnswered(error, word))) this.#refusal = error;
    });
    this.client.on('connect', () => {
      this.#refusal = undefined;
    });
    this.client.on('close', () => {
      this.#losses++;
    });
  }

  /** Goes up with every connection that is lost: commands sent at the same value, with none in between, went through one connection. */
  get losses(): number {
    return this.#losses;
  }

  /** Resolves when commands can be sent. Throws StoreError AWAY after the time for an answer, FAILED when Redis refuses the login or the database. */
  async ready(): Promise<void> {
    this.#problem = undefined;
    const giveUpAt = performance.now() + this.#answerMs;
    for (;;) {
      if (this.#refusal !== undefined) throw redisStoreError(this.#refusal, this.label);
      if (this.client.status === 'ready') return;
      if (this.#closed) throw new StoreError('AWAY', `The connection to ${this.label} is closed.`);
      if (performance.now() > giveUpAt) {
        throw redisStoreError(this.#problem ?? new Error('no connection'), this.label);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Runs a script; all() or call() bounds the time. Rejects with a StoreError. */
  async run(
    script: RedisScript,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
  ): Promise<unknown> {
    try {
      return await this.client.evalsha(script.sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!isAnswered(error, 'NOSCRIPT')) throw redisStoreError(error, this.label);
    }
    // Redis forgets its scripts when it restarts. EVAL teaches it again.
    try {
      return await this.client.eval(script.lua, keys.length, ...keys, ...args);
    } catch (error) {
      throw redisStoreError(error, this.label);
    }
  }

  /** Runs a script and waits for its answer, as ask() does. */
  call(script: RedisScript, keys: readonly string[], args: readonly (string | Buffer)[]): Promise<unknown> {
    return this.ask(() => this.run(script, keys, args));
  }

  /** Waits for one answer, for as long as an answer may take. Rejects with a StoreError; when it is AWAY, the connection is given up. */
  async ask<T>(command: () => Promise<T>): Promise<T> {
    try {
      await this.ready();
      return await this.#inTime(command());
    } catch (error) {
      throw redisStoreError(error, this.label);
    }
  }

  /** Waits for all answers together. Rejects with what is worst: a final error rather than one that passes. */
  async all(commands: readonly Promise<unknown>[]): Promise<void> {
    const outcomes = await this.#inTime(Promise.allSettled(commands)).catch((error: unknown) => {
      throw redisStoreError(error, this.label);
    });
    let passing: StoreError | undefined;
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      const error = redisStoreError(outcome.reason, this.label);
      if (!error.retryable) throw error;
      passing ??= error;
    }
    if (passing !== undefined) throw passing;
  }

  /** The masters, each to be asked for itself. */
  masters(): Redis[] {
    return this.client instanceof Cluster ? this.client.nodes('master') : [this.client];
  }

  close(): void {
    this.#closed = true;
    this.client.disconnect();
  }

  async #inTime<T>(answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`no answer in ${this.#answerMs} ms`));
        if (!this.#closed && this.client.status === 'ready') this.client.disconnect(true);
      }, this.#answerMs);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function connect(address: RedisAddress, answerMs: number): Redis | Cluster {
  const { username, password } = address;
  const common = {
    ...(address.tls ? { tls: {} } : {}),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    // Maps and doubles come in the shapes that every version of Redis has.
    protocol: 2,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_MS,
    disconnectTimeout: DISCONNECT_MS,
    socketTimeout: answerMs,
    maxLoadingRetryTime: MAX_RETRY_MS,
    disableClientInfo: true,
    connectionName: 'holdfast',
  } satisfies RedisOptions;
  if (address.kind === 'cluster') {
    return new Cluster([...address.nodes], {
      redisOptions: common,
      enableOfflineQueue: false,
      clusterRetryStrategy: retryMs,
      slotsRefreshTimeout: CONNECT_MS,
      // Redirections are followed; a node that is gone is for the caller to know.
      maxRedirections: 8,
      ...(address.tls ? { dnsLookup: (host, callback) => callback(null, host) } : {}),
    });
  }
  const single = {
    ...common,
    db: address.db,
    enableOfflineQueue: false,
    retryStrategy: retryMs,
    // A master that has become a replica: the new master is found by connecting anew.
    reconnectOnError: (error: Error) => isAnswered(error, 'READONLY'),
  } satisfies RedisOptions;
  if (address.kind === 'sentinel') {
    return new Redis({
      ...single,
      sentinels: [...address.nodes],
      name: address.master,
      sentinelRetryStrategy: retryMs,
      enableTLSForSentinelMode: address.tls,
      ...(address.tls ? { sentinelTLS: {} } : {}),
    });
  }
  const [{ host, port }] = address.nodes as [{ host: string; port: number }];
  // A server behind one address for several names chooses its certificate by the name; an address is none.
  const tls = address.tls && isIP(host) === 0 ? { tls: { servername: host } } : {};
  return new Redis({ ...single, ...tls, host, port });
}

function retryMs(times: number): number {
  return Math.min(times * RETRY_MS, MAX_RETRY_MS);
}
