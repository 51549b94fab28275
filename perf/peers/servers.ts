import { chmodSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { WebSocket } from 'ws';
import { expectBooks } from '../books.ts';
import type { Place } from '../durable/place.ts';
import { type Appending, RedisProcess, whyNoRedis } from '../durable/redis-process.ts';
import { skuName } from '../load/frames.ts';
import { stock } from '../load/stock.ts';
import { ServerProcess } from '../server-process.ts';
import { BOOKS_MS, ENGINE, holdfastServer, UNITS_PER_SKU } from '../wire.ts';
import { PostgresProcess, whyNoPostgres } from './postgres-process.ts';
import { SCHEMA } from './postgres-schema.ts';
import { EXPIRIES, SCRIPTS, stockKey } from './redis-scripts.ts';

/** What is there of each server. */
export interface Stocked {
  /** SKUs that are never sold out. */
  readonly skus: number;
  /** Behind these, one SKU of `fewUnits` for each side, which is sold out on purpose. */
  readonly scarceSkus: number;
  readonly fewUnits: number;
}

/** Sums over all SKUs: units that are left, units that are held, and SKUs of which more was taken than there was. */
export interface PeerBooks {
  readonly available: number;
  readonly held: number;
  readonly oversold: number;
}

/** A running server, which one or more sides are measured on. */
export interface PeerServer {
  readonly port: number;
  readonly pid: number;
  readonly password?: string;
  /** Rejects when it ends without having been told to; never resolves. */
  readonly failure: Promise<never>;
  books(): Promise<PeerBooks>;
  /** Clears up between runs, where that is usual. */
  rest?(): Promise<unknown>;
  stop(): Promise<void>;
}

export interface ServerKind {
  /** Why it cannot run here; undefined where it can. */
  missing(): string | undefined;
  start(place: Place, stocked: Stocked): Promise<PeerServer>;
}

const MAP_SERVER = fileURLToPath(new URL('./map-server.ts', import.meta.url));

export const SERVERS = {
  holdfastMemory: holdfast(() => ['--store', 'none']),
  holdfastSync: holdfast((place) => [
    '--store',
    `file:${place.next()}`,
    '--ack',
    'sync',
    '--snapshot-period-ms',
    '1d',
  ]),
  redis: redis('off'),
  redisAlways: redis('always'),
  postgres: { missing: whyNoPostgres, start: startPostgres },
  map: { missing: () => undefined, start: startMap },
} satisfies Record<string, ServerKind>;
export type ServerName = keyof typeof SERVERS;

/** Units in stock of all SKUs together. */
export function totalUnits({ skus, scarceSkus, fewUnits }: Stocked): number {
  return skus * UNITS_PER_SKU + scarceSkus * fewUnits;
}

/** Waits, at most `withinMs`, until nothing is held any more, and rejects unless every unit is back and none was sold twice. */
export async function expectAllBack(
  name: string,
  server: PeerServer,
  stocked: Stocked,
  withinMs: number,
): Promise<PeerBooks> {
  const deadline = performance.now() + withinMs;
  let books = await server.books();
  while (books.held > 0 && performance.now() < deadline) {
    await sleep(50);
    books = await server.books();
  }
  const right = { available: totalUnits(stocked), held: 0, oversold: 0 };
  if (Object.entries(right).some(([key, value]) => books[key as keyof PeerBooks] !== value)) {
    throw new Error(
      `The books of ${name} are ${JSON.stringify(books)}; they had to be ${JSON.stringify(right)}.`,
    );
  }
  return books;
}

function holdfast(options: (place: Place) => string[]): ServerKind {
  return {
    missing: () => undefined,
    async start(place, stocked) {
      const server = await ServerProcess.start(
        'Holdfast server',
        holdfastServer(...ENGINE, ...options(place)),
      );
      const port = await server.port;
      await stock(port, stocked.skus, UNITS_PER_SKU);
      for (const sku of scarce(stocked)) {
        const body = JSON.stringify({ total: stocked.fewUnits });
        const response = await fetch(`http://127.0.0.1:${port}/v1/skus/${sku}`, { method: 'PUT', body });
        if (!response.ok) throw new Error(`stocking ${sku} failed: ${await response.text()}`);
      }
      return {
        ...{ port, pid: server.pid, failure: server.failure, stop: () => server.stop() },
        books: async () => {
          const { available, held } = await expectBooks(
            port,
            { total: totalUnits(stocked), held: 0 },
            BOOKS_MS,
          );
          return { available, held, oversold: 0 };
        },
      };
    },
  };
}

function redis(appending: Appending): ServerKind {
  return {
    missing: whyNoRedis,
    async start(place, stocked) {
      // A rewrite of the file would fall into somebody's time; no run is long enough to need one.
      const server = await RedisProcess.start(place.next(), appending, {
        'auto-aof-rewrite-percentage': '0',
      });
      const client = new Redis({ port: server.port, host: '127.0.0.1' });
      client.on('error', () => {});
      for (const { text } of SCRIPTS) await client.script('LOAD', text);
      const units = unitsOf(stocked).map(([sku, count]) => [stockKey(sku), String(count)]);
      for (let i = 0; i < units.length; i += 1000) await client.mset(...units.slice(i, i + 1000).flat());
      return {
        ...{ port: server.port, pid: server.pid, failure: server.failure },
        async books() {
          const left: number[] = [];
          for (let i = 0; i < units.length; i += 1000)
            left.push(...(await client.mget(...units.slice(i, i + 1000).map(([key]) => key))).map(Number));
          const [due, holds] = [await client.zcard(EXPIRIES), (await client.dbsize()) - units.length];
          // Every key besides the stock and the index is a hold, each of one unit; locks have ended.
          const held = holds - Math.min(due, 1);
          if (held !== due) throw new Error(`Redis keeps ${held} holds and ${due} expiries`);
          return { available: sum(left), held, oversold: left.filter((units) => units < 0).length };
        },
        async stop() {
          client.disconnect();
          await server.stop();
        },
      };
    },
  };
}

async function startPostgres(place: Place, stocked: Stocked): Promise<PeerServer> {
  // PostgreSQL may run as another user, who has to get to its own directory.
  chmodSync(place.directory, 0o711);
  const server = await PostgresProcess.start(place.next());
  await server.query(SCHEMA);
  const { skus, scarceSkus, fewUnits } = stocked;
  const name = `'sku-' || lpad(i::text, 7, '0')`;
  await server.query(`
    INSERT INTO stock SELECT ${name}, ${UNITS_PER_SKU} FROM generate_series(0, ${skus - 1}) AS i;
    INSERT INTO stock SELECT ${name}, ${fewUnits} FROM generate_series(${skus}, ${skus + scarceSkus - 1}) AS i;
    ANALYZE stock; CHECKPOINT`);
  return {
    ...{ port: server.port, pid: server.pid, password: server.password, failure: server.failure },
    rest: () => server.query('VACUUM stock, hold'),
    async books() {
      const [row] = await server.query(`
        SELECT sum(available) AS available, count(*) FILTER (WHERE available < 0) AS oversold,
          (SELECT coalesce(sum(quantity), 0) FROM hold) AS held FROM stock`);
      return { available: Number(row.available), held: Number(row.held), oversold: Number(row.oversold) };
    },
    stop: () => server.stop(),
  };
}

async function startMap(_place: Place, stocked: Stocked): Promise<PeerServer> {
  const server = await ServerProcess.start('Map server', ['--max-semi-space-size=64', MAP_SERVER]);
  const port = await server.port;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  for (const [units, skus] of [
    [UNITS_PER_SKU, names(0, stocked.skus)],
    [stocked.fewUnits, scarce(stocked)],
  ] as const) {
    socket.send(JSON.stringify({ op: 'stock', id: 1, skus, units }));
    await new Promise((resolve) => socket.once('message', resolve));
  }
  socket.close();
  return {
    ...{ port, pid: server.pid, failure: server.failure, stop: () => server.stop() },
    books: async () => (await (await fetch(`http://127.0.0.1:${port}/books`)).json()) as PeerBooks,
  };
}

function unitsOf(stocked: Stocked): [sku: string, units: number][] {
  return [
    ...names(0, stocked.skus).map((sku) => [sku, UNITS_PER_SKU] as [string, number]),
    ...scarce(stocked).map((sku) => [sku, stocked.fewUnits] as [string, number]),
  ];
}

function scarce({ skus, scarceSkus }: Stocked): string[] {
  return names(skus, scarceSkus);
}

function names(first: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => skuName(first + i));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
