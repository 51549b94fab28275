import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import { type Resources, resourcesOf } from '../../perf/crowd/resources.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { Settings } from '../../src/runtime/settings.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { type ServerProcess, startServer } from '../fixtures/server.ts';

/** What a server may have grown by when all that came at it is over: what its allocators keep, and code that was compiled. */
const MOST_GROWTH_MB = 96;
/** Longest wait for an answer or a close. */
const PATIENCE_MS = 100_000;
/** Until sockets that tests have left are closed. */
const SETTLE_MS = 100_000;
const POLL_MS = 50;
export const UNITS = 10;

export interface Victim {
  /** Set while tests run. */
  server: ServerProcess;
  /** What it has at the moment. */
  resources(): Resources;
  /** Bytes on a new TCP connection; resolves to what came back until it was quiet for a moment, or closed. */
  ask(bytes: string | Uint8Array): Promise<Answer>;
  /** The same until the server closes the connection, however quiet it is. */
  askUntilClosed(bytes: string | Uint8Array): Promise<Answer>;
}

export interface Answer {
  readonly text: string;
  /** Whether the server closed the connection. */
  readonly closed: boolean;
}

export interface VictimOptions {
  readonly settings?: Partial<Settings>;
  /** For a server that lets nobody in without one: a token that may do everything. */
  readonly token?: () => string;
}

/**
 * A real server for the tests of a file to do bad things to, with ten units of one SKU. When they are over, it still serves, its books
 * are right, its memory and its descriptors are back, it wrote no error, and it ends with 0.
 */
export function victim({ settings, token }: VictimOptions = {}): Victim {
  const target = {
    ask: (bytes) => ask(target.server.port, bytes, QUIET_MS),
    askUntilClosed: (bytes) => ask(target.server.port, bytes, PATIENCE_MS),
    resources: () => resourcesOf(target.server.process.pid ?? -1),
  } as Victim;
  let before: Resources;
  const authorization = (): HeadersInit =>
    token === undefined ? {} : { authorization: `Bearer ${token()}` };
  const protocols = () => (token === undefined ? [] : ['holdfast.v1', `holdfast.token.${token()}`]);

  beforeAll(async () => {
    target.server = await startServer(settings);
    const client = await RawClient.connect(target.server.url, undefined, protocols());
    expect((await client.call(Op.STOCK, 'prize', StockMode.TOTAL, UNITS))[0]).toBe(Status.OK);
    await client.close();
    await inspect();
    before = target.resources();
  });

  afterAll(async () => {
    const { server } = target;
    const deadline = performance.now() + SETTLE_MS;
    const isBack = ({ descriptors, rssMb }: Resources) =>
      descriptors <= before.descriptors && rssMb - before.rssMb < MOST_GROWTH_MB;
    while (!isBack(target.resources()) && performance.now() < deadline) await sleep(POLL_MS);
    expect(target.resources().descriptors).toBeLessThanOrEqual(before.descriptors);
    expect(target.resources().rssMb - before.rssMb).toBeLessThan(MOST_GROWTH_MB);
    const client = await RawClient.connect(server.url, undefined, protocols());
    const [status, , , , total] = await client.call(Op.READ, 'prize');
    expect([status, total]).toEqual([Status.OK, UNITS]);
    await client.close();
    expect(await inspect()).toMatchObject({ violations: 0, fenced: 0, total: UNITS });
    expect(await server.stop()).toBe(0);
    expect(server.errors()).not.toMatch(/"level":"(error|fatal)"|^\S*Error/m);
  });

  async function inspect(): Promise<unknown> {
    const response = await fetch(`${target.server.httpUrl}/v1/inspect`, { headers: authorization() });
    expect(response.status).toBe(200);
    return response.json();
  }

  return target;
}

const QUIET_MS = 50;

function ask(port: number, bytes: string | Uint8Array, quietMs: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket: Socket = createConnection(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    let quiet: NodeJS.Timeout | undefined;
    const late = setTimeout(() => {
      socket.destroy();
      reject(new Error(`neither an answer nor a close within ${PATIENCE_MS} ms`));
    }, PATIENCE_MS);
    const done = (closed: boolean): void => {
      clearTimeout(late);
      clearTimeout(quiet);
      socket.destroy();
      resolve({ text, closed });
    };
    socket.on('data', (data) => {
      text += data.toString('latin1');
      clearTimeout(quiet);
      quiet = setTimeout(() => done(false), quietMs);
    });
    // A connection that is reset was closed, too.
    socket.on('error', () => {});
    socket.on('close', () => done(true));
  });
}
