import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as plain } from 'node:http';
import { get, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RunningServer } from '../../src/runtime/server.ts';
import type { Settings } from '../../src/runtime/settings.ts';
import { tlsOf } from '../../src/runtime/tls.ts';
import { makeCertificate } from '../fixtures/certificate.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { ASKS_FOR_TOKENS, bearer, tokenFor } from '../fixtures/secret-tokens.ts';
import { startHere } from '../fixtures/server.ts';

let directory: string;
let server: RunningServer | undefined;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'holdfast-tls-'));
  for (const name of ['now', 'other']) makeCertificate(file(name), 1);
});

afterAll(() => rmSync(directory, { recursive: true }));

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

const file = (name: string) => join(directory, name);

async function start(settings: Partial<Settings>): Promise<RunningServer> {
  server = await startHere(settings);
  return server;
}

describe('TLS', () => {
  it.each([1, 2])('serves wss and https, on %i fronts', async (fronts) => {
    const { url, httpUrl } = await start({
      ...ASKS_FOR_TOKENS,
      fronts,
      tlsCert: file('now.crt'),
      tlsKey: file('now.key'),
    });
    expect([url, httpUrl]).toEqual([expect.stringMatching(/^wss:/), expect.stringMatching(/^https:/)]);
    const ca = readFileSync(file('now.crt'));
    for (let i = 0; i < 2 * fronts; i++) {
      const status = await new Promise((resolve, reject) => {
        get(`${httpUrl}/readyz`, { ca }, (response) => resolve(response.resume().statusCode)).once(
          'error',
          reject,
        );
      });
      expect(status).toBe(200);
      const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' };
      const headers = { ...upgrade, 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
      const path = '/v1/ws?format=json';
      const hello = await new Promise((resolve, reject) => {
        const asked = request(httpUrl + path, {
          ca,
          headers: { ...headers, ...bearer(tokenFor('ann', 'hold')) },
        });
        asked.once('error', reject);
        asked.once('upgrade', (_, socket, head) => {
          const done = (frame: Buffer): void => {
            socket.destroy();
            resolve(frame.toString('utf8'));
          };
          if (head.length > 0) done(head);
          else socket.once('data', done);
        });
        asked.end();
      });
      expect(hello).toContain('[0,1,1,');
    }
    await expect(new Promise((_, reject) => request(httpUrl).once('error', reject).end())).rejects.toThrow(
      /self-signed/,
    );
    await expect(RawClient.open(url.replace('wss', 'ws'))).rejects.toThrow();
  });

  it.each<[string, string, string, RegExp]>([
    ['a certificate without a key', 'now.crt', '', /tlsKey \(--tls-key\) is not set/],
    ['a key without a certificate', '', 'now.key', /tlsCert \(--tls-cert\) is not set/],
    ['a file that is not there', 'none.crt', 'now.key', /none\.crt cannot be read: ENOENT/],
    ['a file that is no certificate', 'now.key', 'now.key', /now\.key has no certificate in PEM/],
    ['a file that is no key', 'now.crt', 'now.crt', /now\.crt has no private key/],
    ['a key of another certificate', 'now.crt', 'other.key', /other\.key does not belong/],
  ])('is refused at the start with %s', async (_, cert, key, text) => {
    const named = (name: string) => (name === '' ? '' : file(name));
    await expect(start({ tlsCert: named(cert), tlsKey: named(key) })).rejects.toThrow(text);
  });

  it.each([
    [2, /expired at/],
    [-1, /is valid from/],
  ])('is refused with a certificate whose time is not now, but %i days off', (days, text) => {
    const nowMs = Date.now() + days * 86_400_000;
    expect(() => tlsOf(file('now.crt'), file('now.key'), nowMs)).toThrow(text);
  });
});

describe('a port of its own for administration', () => {
  it.each([1, 2])('is the only one that serves it, with %i fronts', async (fronts) => {
    const { httpUrl, adminUrl } = await start({ ...ASKS_FOR_TOKENS, fronts, adminPort: 0 });
    expect(adminUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const root = bearer(tokenFor('root', 'admin'));
    for (const path of ['/v1/inspect', '/v1/stages', '/metrics', '/v1/rules']) {
      const statuses = [
        (await fetch(httpUrl + path, { headers: root })).status,
        (await fetch(adminUrl + path, { headers: root })).status,
        (await fetch(adminUrl + path)).status,
      ];
      expect([path, ...statuses]).toEqual([path, 404, 200, 401]);
    }
    expect((await fetch(`${adminUrl}/v1/skus/cup`, { headers: root })).status).toBe(404);
    expect((await fetch(`${adminUrl}/healthz`)).status).toBe(200);
    expect((await fetch(`${httpUrl}/healthz`)).status).toBe(200);
  });

  it('that another program has ends the start', async () => {
    const { port } = await start({});
    await expect(startHere({ adminPort: port })).rejects.toThrow(/cannot be listened on/);
  });
});

describe('arrivals', () => {
  const MANY = 40;
  const from = (url: string, address: string) =>
    RawClient.open(url, { headers: { 'x-forwarded-for': address, ...bearer(tokenFor('ann', 'hold')) } });

  it('are limited by connections of an address, over all fronts, and counted', async () => {
    const { url, httpUrl } = await start({
      ...ASKS_FOR_TOKENS,
      fronts: 2,
      maxConnectionsPerAddress: 3,
      trustedProxies: ['127.0.0.1'],
    });
    // Who is not let in has no connection.
    for (let i = 0; i < 4; i++) await expect(from(`${url}?holder=bob`, '192.0.2.1')).rejects.toThrow();
    const clients = await Promise.all([1, 2, 3].map(() => from(url, '192.0.2.1')));
    await expect(from(url, '192.0.2.1')).rejects.toThrow();
    clients.push(await from(url, '192.0.2.2'));
    await clients[0]?.close();
    let again: RawClient | undefined;
    // The server hears of the end a moment later.
    await expect
      .poll(async () => {
        again = await from(url, '192.0.2.1').catch(() => undefined);
        return again;
      })
      .toBeDefined();
    const text = await (
      await fetch(`${httpUrl}/metrics`, { headers: bearer(tokenFor('root', 'admin')) })
    ).text();
    expect(
      Number(/holdfast_turned_away_total\{reason="address_connections"\} (\d+)/.exec(text)?.[1]),
    ).toBeGreaterThan(0);
    await Promise.all([...clients.slice(1), again].map((client) => client?.close()));
  });

  it('are told apart by the last line of X-Forwarded-For, whatever a client wrote into one of its own', async () => {
    const { port } = await start({
      ...ASKS_FOR_TOKENS,
      maxHandshakesPerAddress: 1,
      trustedProxies: ['127.0.0.1'],
    });
    const ask = (own: string, added: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const headers = ['connection', 'Upgrade', 'upgrade', 'websocket', 'sec-websocket-version', '13'];
        const key = ['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ==', 'host', '127.0.0.1'];
        const lines = ['x-forwarded-for', own, 'x-forwarded-for', added];
        const asked = plain({ port, path: '/v1/ws?holder=bad', headers: [...headers, ...key, ...lines] });
        asked.once('error', reject);
        asked.once('response', (response) => resolve(response.resume().statusCode));
        asked.end();
      });
    // More at once than one a second lets in while they are asked, however long that takes.
    const own = Array.from({ length: MANY }, (_, i) => `198.51.100.${i}`);
    const statuses = await Promise.all(own.map((address) => ask(address, '203.0.113.9')));
    expect(new Set(statuses)).toEqual(new Set([400, 429]));
    expect(await ask('198.51.100.1', '203.0.113.10')).toBe(400);
  });

  it('are limited by handshakes of an address, and told when to try again', async () => {
    const { httpUrl } = await start({ ...ASKS_FOR_TOKENS, maxHandshakesPerAddress: 1 });
    const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' };
    const headers = { ...upgrade, 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
    const ask = () =>
      new Promise<[number | undefined, string | undefined]>((resolve, reject) => {
        const asked = plain(`${httpUrl}/v1/ws?holder=bad`, { headers });
        asked.once('error', reject);
        asked.once('response', (response) =>
          resolve([response.resume().statusCode, response.headers['retry-after']]),
        );
        asked.end();
      });
    const answers = await Promise.all(Array.from({ length: MANY }, ask));
    expect(answers).toContainEqual([400, undefined]);
    expect(answers).toContainEqual([429, '1']);
  });

  it('from this machine have no limit where nobody is asked for a token', async () => {
    const { url } = await start({
      maxConnectionsPerAddress: 1,
      maxHandshakesPerAddress: 1,
      maxHandshakes: 1,
    });
    const clients = await Promise.all(Array.from({ length: 8 }, () => RawClient.connect(url)));
    await Promise.all(clients.map((client) => client.close()));
  });
});

it('pages of named origins may use the server, and no others', async () => {
  const { url } = await start({ allowedOrigins: ['https://shop.example'] });
  const open = (origin: string) => RawClient.open(url, { headers: { origin } });
  await (await open('https://shop.example')).close();
  await expect(open('http://localhost:8080')).rejects.toThrow();
  await expect(open('https://evil.example')).rejects.toThrow();
});
