import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type RequestOptions, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { AddressInUseError } from '../../src/front/listener.ts';
import type { LogEvent } from '../../src/log/events.ts';
import type { RunningServer } from '../../src/runtime/server.ts';
import type { Settings } from '../../src/runtime/settings.ts';
import { FrontControl, frontControlOf } from '../../src/shard/memory.ts';
import type { StageReport } from '../../src/shard/stage-report.ts';
import { keepHolding } from '../fixtures/holding.ts';
import { longEnough } from '../fixtures/long-enough.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { startHere, startServer } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const FRONTS = 3;
const FAILING = fileURLToPath(new URL('../fixtures/failing-server.ts', import.meta.url));
const LISTENING = 'ws://127.0.0.1';

const path = tempDir();
let server: RunningServer;
let clients: RawClient[] = [];

async function start(settings: Partial<Settings> = {}): Promise<void> {
  server = await startHere({ fronts: FRONTS, ...settings });
}

async function connect(count: number, url = server.url): Promise<RawClient[]> {
  const more: RawClient[] = [];
  // One after the other, so that they are dealt out in this order.
  for (let i = 0; i < count; i++) more.push(await RawClient.connect(url, 'buyer'));
  clients.push(...more);
  return more;
}

/** Without a connection that is kept for the next one, so that each comes to another front. */
async function answerOf(
  pathname: string,
  options: RequestOptions = {},
  body = '',
): Promise<{ status: number; body: unknown }> {
  const asked = request(`${server.httpUrl}${pathname}`, { agent: false, ...options });
  asked.end(body);
  const [response] = await once(asked, 'response');
  const text = (await response.toArray()).join('');
  return { status: response.statusCode, body: JSON.parse(text) };
}

const word = (name: 'CONNECTIONS' | 'ACCEPTED'): number[] =>
  Array.from({ length: FRONTS }, (_, front) =>
    Atomics.load(frontControlOf(server.memory, front), FrontControl[name]),
  );

async function closeClients(): Promise<void> {
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
}

describe('a server with several fronts', () => {
  afterEach(async () => {
    await closeClients();
    await server.stop();
  });

  it('deals connections out to all, and sells one SKU through each of them, every unit once', async () => {
    await start();
    const buyers = await connect(2 * FRONTS);
    expect(word('CONNECTIONS')).toEqual([2, 2, 2]);
    for (const { pushes } of buyers) {
      await expect.poll(() => pushes[0]?.[5]).toMatchObject({ fronts: FRONTS });
    }
    const [first] = buyers;
    expect((await first.call(Op.STOCK, 'hot', StockMode.TOTAL, 500))[0]).toBe(Status.OK);
    const asked = buyers.map((buyer) =>
      buyer.callAll(Array.from({ length: 100 }, () => [Op.HOLD, 'hot', 1, 60_000])),
    );
    const replies = await Promise.all(asked);
    for (const each of replies) expect(each).toHaveLength(100);
    const held = replies.flat().filter(([status]) => status === Status.OK);
    expect(held).toHaveLength(500);
    expect(new Set(held.map(([, id]) => id)).size).toBe(500);
    expect(replies.flat().filter(([status]) => status === Status.HELD_OUT)).toHaveLength(100);
    // What one front's client holds, another front's confirms, since the holder is the same.
    for (const [i, [, id]] of held.slice(0, 12).entries()) {
      expect(await buyers[i % buyers.length].call(Op.CONFIRM, id)).toEqual([Status.OK, 1]);
    }
    expect((await answerOf('/v1/inspect')).body).toMatchObject({ held: 488, sold: 12, violations: 0 });
    const { body } = await answerOf('/v1/stages');
    const { fronts, threads } = body as unknown as StageReport;
    expect(fronts).toBe(FRONTS);
    expect(threads.slice(0, FRONTS).map(({ name }) => name)).toEqual(['front-0', 'front-1', 'front-2']);
    const busyUs = async () => {
      const stages = (await answerOf('/v1/stages')).body as StageReport;
      return Math.min(...stages.threads.slice(0, FRONTS).map((thread) => thread.busyUs));
    };
    await expect.poll(busyUs).toBeGreaterThan(0);
    await closeClients();
    await expect.poll(() => word('CONNECTIONS')).toEqual([0, 0, 0]);
  });

  it('answers every HTTP request the same, whichever front has it', async () => {
    await start();
    const each = async (pathname: string, ...how: [RequestOptions?, string?]): Promise<void> => {
      const answers = [];
      for (let front = 0; front < FRONTS; front++) answers.push(await answerOf(pathname, ...how));
      expect(answers[0].status).toBe(200);
      for (const answer of answers) expect(answer).toEqual(answers[0]);
    };
    await each('/v1/skus/apple', { method: 'PUT' }, '{"total":7}');
    await each('/v1/skus/apple');
    const [buyer] = await connect(1);
    const [, id] = await buyer.call(Op.HOLD, 'apple', 2, 60_000);
    await each(`/v1/holds/${id}`, { headers: { 'x-holdfast-holder': 'buyer' } });
    await each('/v1/inspect');
    await each('/healthz');
    await each('/readyz');
  });

  it('counts the connections of all fronts against one limit', async () => {
    await start({ maxConnections: 4 });
    const [first] = await connect(4);
    for (let front = 0; front < FRONTS; front++) {
      await expect(RawClient.connect(server.url)).rejects.toThrow(/cannot connect/);
    }
    expect(word('CONNECTIONS').reduce((sum, open) => sum + open)).toBe(4);
    await first.close();
    await expect.poll(() => word('CONNECTIONS').reduce((sum, open) => sum + open)).toBe(3);
    await connect(1);
    await expect(RawClient.connect(server.url)).rejects.toThrow(/cannot connect/);
  });

  it('says which front failed, and that it cannot go on', async () => {
    const reasons: string[] = [];
    server = await startHere({ fronts: FRONTS }, { onHopeless: (reason) => reasons.push(reason) });
    const buyers = await connect(FRONTS);
    frontControlOf(server.memory, 2)[FrontControl.FAULT] = 1;
    await Promise.all(buyers.map((buyer) => buyer.call(Op.TIME)));
    await expect.poll(() => reasons).toEqual([expect.stringMatching(/^front 2 failed: Error: planted/)]);
  });

  it('says which front hangs, is not ready meanwhile, and goes on when that is over', async () => {
    const events: LogEvent[] = [];
    server = await startHere({ fronts: FRONTS, stallMs: 400 }, { log: (event) => events.push(event) });
    const buyers = await connect(FRONTS);
    const of = (name: LogEvent['event']) =>
      events.flatMap((event) => (event.event === name && 'front' in event ? [event.front] : []));
    const ready = async () => (await answerOf('/readyz')).status;
    await longEnough(3000, async (hangMs) => {
      await expect.poll(ready).toBe(200);
      events.length = 0;
      frontControlOf(server.memory, 2)[FrontControl.FAULT] = hangMs;
      const answers = Promise.all(buyers.map((buyer) => buyer.call(Op.TIME)));
      // On a busy machine another may be silent for a moment, too.
      await expect.poll(() => of('front-silent')).toContain(2);
      // The first to answer is one that does not hang.
      expect(await Promise.race([1, 2, 3].map(ready))).toBe(503);
      await expect.poll(() => of('front-back')).toContain(2);
      for (const [status] of await answers) expect(status).toBe(Status.OK);
    });
    await expect.poll(ready).toBe(200);
  });

  it('refuses a port that another has, also one with several fronts, which goes on', async () => {
    await start();
    const { port } = server;
    await expect(startHere({ fronts: 2, port })).rejects.toThrow(AddressInUseError);
    await expect(startHere({ fronts: 1, port })).rejects.toThrow(AddressInUseError);
    await expect(startServer({ fronts: 2, port })).rejects.toThrow(
      /ended with 2 before it listened: .*EADDRINUSE/,
    );
    const buyers = await connect(FRONTS);
    for (const buyer of buyers) expect((await buyer.call(Op.TIME))[0]).toBe(Status.OK);
  });
});

describe('a server with several fronts in a process of its own', () => {
  it('stops on SIGTERM with 0, every command answered, and has everything at the next start', async () => {
    const settings = { fronts: 2, workers: 1, store: `file:${path('store')}`, ack: 'sync' } as const;
    const process = await startServer(settings);
    const [seller] = await connect(1, process.url);
    expect((await seller.call(Op.STOCK, 'apple', StockMode.TOTAL, 1_000_000))[0]).toBe(Status.OK);
    const stop = { now: false };
    const counts = new Map<string, number>();
    const buyers = [0, 1].map(() => keepHolding(process.url, ['apple'], stop, counts));
    await expect.poll(() => counts.get('0:0') ?? 0).toBeGreaterThan(50);
    stop.now = true;
    await Promise.all(buyers);
    expect(await process.stop()).toBe(0);
    expect(process.errors()).toBe('');
    expect((await seller.closed).code).toBe(1001);
    clients = [];
    const again = await startServer(settings);
    const [reader] = await connect(1, again.url);
    expect((await reader.call(Op.READ, 'apple')).slice(0, 3)).toEqual([
      Status.OK,
      1_000_000 - (counts.get('0:0') as number),
      counts.get('0:0'),
    ]);
    expect(await again.stop()).toBe(0);
    clients = [];
  });

  it('ends at once by a second signal, with its own code', async () => {
    const process = await startServer({ fronts: FRONTS });
    await connect(2 * FRONTS, process.url);
    const ended = once(process.process, 'close');
    for (const signal of ['SIGSTOP', 'SIGTERM', 'SIGINT', 'SIGCONT'] as const) process.process.kill(signal);
    // Which of the two a thread takes first is open.
    expect([130, 143]).toContain((await ended)[0]);
    expect(process.errors()).toBe('');
    clients = [];
  });

  it.each([
    [
      'a front throws',
      70,
      /"event":"ending","detail":"front 1 failed: Error: planted fault in a front\\n.*"exitCode":70/,
    ],
    ['process.exit', 9, /^$/],
    ['the main thread throws', 1, /Error: a bug in the main thread\n/],
  ])('ends with sockets open and its own exit code when %s', async (way, code, errors) => {
    const child = spawn(process.execPath, [FAILING, way], { stdio: 'pipe' });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    const ended = once(child, 'close');
    const [port] = await once(child.stdout, 'data');
    const buyers = await connect(2 * FRONTS, `${LISTENING}:${Number(port)}/v1/ws`);
    await Promise.all(buyers.map((buyer) => buyer.call(Op.TIME)));
    child.stdin.write('now');
    const busy = setInterval(() => {
      for (const buyer of buyers)
        if (buyer.socket.readyState === 1) buyer.sendBytes(Buffer.from([0x92, 0x09, 0x01]));
    }, 5);
    expect(await ended).toEqual([code, null]);
    clearInterval(busy);
    expect(stderr).toMatch(errors);
    // What Node prints when a thread ends with handles open.
    expect(stderr).not.toMatch(/open handles|Native stack trace/);
    await Promise.all(buyers.map((buyer) => buyer.closed));
    clients = [];
  });
});
