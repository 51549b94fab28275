import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { Layer, Status } from '../../protocol/status.ts';
import { monotonicMs } from '../../src/base/clock.ts';
import type { RunningServer } from '../../src/runtime/server.ts';
import type { Settings } from '../../src/runtime/settings.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { ASKS_FOR_TOKENS, bearer, tokenFor } from '../fixtures/secret-tokens.ts';
import { startHere } from '../fixtures/server.ts';

/** The clock of layer 1 in a front on this thread: undefined while it runs. */
const clock = vi.hoisted(() => ({ standsAtMs: undefined as number | undefined }));
vi.mock(import('../../src/base/clock.ts'), async (original) => {
  const real = await original();
  return { ...real, monotonicMs: () => clock.standsAtMs ?? real.monotonicMs() };
});

let server: RunningServer;
const sockets = new Set<Socket>();

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  clock.standsAtMs = undefined;
  await server.stop();
});

async function start(settings: Partial<Settings>): Promise<void> {
  server = await startHere({ ...ASKS_FOR_TOKENS, ...settings });
}

/** Starts it with its clock standing still: what a rate lets in does not depend on how fast this machine asks. */
async function startInOneMoment(settings: Partial<Settings>): Promise<void> {
  clock.standsAtMs = monotonicMs();
  await start(settings);
}

/** A TCP connection, and all that came on it until it is closed. */
function visit(bytes = ''): { socket: Socket; answer: Promise<string> } {
  const socket = connect(server.port, '127.0.0.1');
  sockets.add(socket);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.on('error', () => {});
  if (bytes !== '') socket.write(bytes);
  return { socket, answer: once(socket, 'close').then(() => text) };
}

/** Whether so many may be at the door, and one more may not. */
async function expectRoomFor(count: number): Promise<void> {
  const inside = new Set(Array.from({ length: count + 1 }, () => visit()));
  // Which of them comes last is for the fronts to say.
  const last = await Promise.race([...inside].map((one) => one.answer.then(() => one)));
  inside.delete(last);
  expect(await last.answer).toBe('');
  for (const { socket } of inside) socket.write(request('GET', '/healthz'));
  for (const { answer } of inside) expect(await answer).toMatch(/^HTTP\/1\.1 200 /);
}

const request = (method: string, path: string, headers: Record<string, string> = {}, body = ''): string =>
  [
    `${method} ${path} HTTP/1.1`,
    'host: x',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ]
    .concat('', body)
    .join('\r\n');

async function countOf(reason: string): Promise<number> {
  const headers = { ...bearer(tokenFor('root', 'admin')), 'x-forwarded-for': '192.0.2.250' };
  const text = await (await fetch(`${server.httpUrl}/metrics`, { headers })).text();
  return Number(new RegExp(`holdfast_turned_away_total\\{reason="${reason}"\\} (\\d+)`).exec(text)?.[1]);
}

const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

describe('connections that are no WebSockets', () => {
  it.each([1, 2])(
    'are limited by address before they ask for anything, and counted, with %i fronts',
    async (fronts) => {
      await start({ fronts, maxConnectionsPerAddress: 4 });
      await expectRoomFor(4);
      expect(await countOf('address_visits')).toBe(1);
    },
  );

  it('are limited in all', async () => {
    await start({ maxConnections: 3 });
    await expectRoomFor(3);
    expect(await countOf('visits')).toBe(1);
  });

  it('open no faster than handshakes and requests may come', async () => {
    await startInOneMoment({ maxHandshakesPerAddress: 2, maxRequestsPerAddress: 3 });
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => visit(request('GET', '/healthz')).answer),
    );
    const told = (pattern: RegExp) => answers.filter((answer) => pattern.test(answer)).length;
    expect([told(/ 200 OK/), told(/^HTTP\/1\.1 429 /), told(/^$/)]).toEqual([6, 4, 20]);
  });

  it('shut nobody out of the port for administration', async () => {
    await startInOneMoment({ adminPort: 0, maxConnectionsPerAddress: 2, maxRequests: 1, maxConnections: 2 });
    const { adminUrl } = server;
    const crowd = Array.from({ length: 3 }, () => visit());
    await Promise.race(crowd.map(({ answer }) => answer));
    const headers = bearer(tokenFor('root', 'admin'));
    const scrape = async () => (await fetch(`${adminUrl}/metrics`, { headers })).status;
    expect(await scrape()).toBe(200);
    // There, the same limits hold for those who come there.
    expect(await Promise.all(Array.from({ length: 8 }, () => scrape().catch(() => 0)))).not.toEqual(
      Array(8).fill(200),
    );
  });

  it('have left, however they left', async () => {
    await start({ maxConnectionsPerAddress: 4, maxConnections: 16 });
    const token = bearer(tokenFor('ann', 'hold stock'));
    const body = '{"total":5}';
    const length = { 'content-length': String(body.length) };
    const ways: [string, RegExp][] = [
      [request('GET', '/healthz'), / 200 OK/],
      [request('GET', '/nowhere'), / 404 /],
      [request('GET', '/v1/skus/cup'), / 401 /],
      [request('GET', '/v1/skus/cup', token), / 404 /],
      [request('PUT', '/v1/skus/cup', { ...token, ...length }, body), / 200 OK/],
      [
        request('PUT', '/v1/skus/cup', { ...token, ...length, origin: 'https://evil.example' }, body),
        / 403 /,
      ],
      [request('PUT', '/v1/skus/cup', { ...token, 'content-length': '5000' }, 'x'.repeat(5000)), / 413 /],
      [request('PUT', '/v1/skus/cup', { ...length, 'Content-Length': '11' }, body), /^$/],
      [request('GET', '/v1/ws?holder=ann', UPGRADE), / 400 /],
      [request('GET', '/v1/ws', { ...UPGRADE, origin: 'https://evil.example' }), / 403 /],
      [request('GET', '/v1/ws'), / 404 /],
      ['GET /healthz\r\n\r\n', / 505 /],
      [request('GET', '/healthz') + request('GET', '/healthz'), /^$/],
      [request('GET', '/healthz').repeat(50), /^$/],
      [request('GET', '/v1/ws?holder=ann', UPGRADE) + request('GET', '/healthz').repeat(50), /^$/],
    ];
    for (const [bytes, pattern] of ways) {
      expect(await visit(bytes).answer).toMatch(pattern);
    }
    // In the middle of a body, before anything, after everything without waiting, and as a WebSocket.
    for (let i = 0; i < 8; i++) {
      const half = visit(request('PUT', '/v1/skus/cup', { ...token, ...length }, '{'));
      const none = visit();
      await once(none.socket, 'connect');
      half.socket.end();
      none.socket.resetAndDestroy();
      const reset = visit(request('GET', '/v1/skus/cup', token));
      await once(reset.socket, 'connect');
      reset.socket.resetAndDestroy();
      await Promise.all([half.answer, none.answer, reset.answer]);
      const client = await RawClient.open(server.url, { headers: token });
      await client.close();
    }
    await expect.poll(() => expectRoomFor(4).then(() => true)).toBe(true);
  });

  it('stay for more where limits do not hold, and behind proxies', async () => {
    await start({ trustedProxies: ['127.0.0.1'], maxConnectionsPerAddress: 1 });
    const { socket } = visit();
    const { socket: other } = visit();
    for (const each of [socket, other, socket, other]) {
      each.write(request('GET', '/healthz', { 'x-forwarded-for': '192.0.2.1' }));
      expect(String((await once(each, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /);
    }
  });
});

describe('requests', () => {
  it('are limited by address, and told when to come again', async () => {
    await startInOneMoment({ maxRequestsPerAddress: 2, trustedProxies: ['127.0.0.1'] });
    const ask = (address: string) =>
      fetch(`${server.httpUrl}/healthz`, { headers: { 'x-forwarded-for': address } });
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push(await ask('192.0.2.1'));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 429]);
    const refused = answers[4] as Response;
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    expect((await ask('192.0.2.2')).status).toBe(200);
    expect(await countOf('address_requests')).toBe(1);
    (clock.standsAtMs as number) += 1000;
    expect((await ask('192.0.2.1')).status).toBe(200);
  });

  it('are limited in all', async () => {
    await startInOneMoment({ maxRequests: 2, trustedProxies: ['127.0.0.1'] });
    const statuses = [];
    for (let i = 0; i < 5; i++) {
      const headers = { 'x-forwarded-for': `192.0.2.${i}` };
      statuses.push((await fetch(`${server.httpUrl}/healthz`, { headers })).status);
    }
    expect(statuses).toEqual([200, 200, 200, 200, 503]);
  });

  it('that are refused while their body is on its way are told so all the same', async () => {
    await startInOneMoment({ maxRequestsPerAddress: 1 });
    for (let i = 0; i < 2; i++) await visit(request('GET', '/healthz')).answer;
    const { socket, answer } = visit(request('PUT', '/v1/skus/cup', { 'content-length': '2000' }));
    await once(socket, 'connect');
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      socket.write('x'.repeat(100));
    }
    expect(await answer).toMatch(/^HTTP\/1\.1 429 /);
  });
});

describe('an address whose tokens do not do', () => {
  const LIMITED = { maxBadTokensPerAddress: 3, trustedProxies: ['127.0.0.1'] };
  const from = (address: string, token: string) => ({ 'x-forwarded-for': address, ...bearer(token) });
  const good = () => tokenFor('ann', 'hold');
  const read = (address: string, token: string) =>
    fetch(`${server.httpUrl}/v1/holds/1`, { headers: from(address, token) });

  it('waits, whatever it comes with, and no other address does', async () => {
    await startInOneMoment(LIMITED);
    const client = await RawClient.open(server.url, { headers: from('192.0.2.1', good()) });
    const statuses = [];
    for (let i = 0; i < 7; i++) statuses.push((await read('192.0.2.1', 'bad')).status);
    expect(statuses).toEqual([...Array(6).fill(401), 429]);
    const refused = await read('192.0.2.1', good());
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
    await expect(RawClient.open(server.url, { headers: from('192.0.2.1', good()) })).rejects.toThrow();
    // Whoever is signed in goes on, and may renew: the bad ones may have been a neighbour's.
    expect((await client.call(Op.AUTH, good()))[0]).toBe(Status.OK);
    expect((await read('192.0.2.2', good())).status).toBe(404);
    expect(await countOf('address_bad_tokens')).toBe(3);
    await client.close();
    (clock.standsAtMs as number) += 1000;
    expect((await read('192.0.2.1', good())).status).toBe(404);
  });

  it('may have brought them over WebSockets', async () => {
    await startInOneMoment(LIMITED);
    const client = await RawClient.open(server.url, { headers: { 'x-forwarded-for': '192.0.2.1' } });
    const statuses = [];
    for (let i = 0; i < 6; i++) statuses.push((await client.call(Op.AUTH, 'bad'))[0]);
    expect(statuses).toEqual(Array(6).fill(Status.UNAUTHENTICATED));
    const [status, retryMs, layer] = await client.call(Op.AUTH, 'bad');
    expect([status, layer]).toEqual([Status.RATE_LIMITED, Layer.ADDRESS_RATE]);
    expect(retryMs).toBeGreaterThan(0);
    expect((await read('192.0.2.1', good())).status).toBe(429);
    await client.close();
  });
});
