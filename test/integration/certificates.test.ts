import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { LogEvent } from '../../src/log/events.ts';
import type { RunningServer } from '../../src/runtime/server.ts';
import { makeCertificate } from '../fixtures/certificate.ts';
import { ASKS_FOR_TOKENS, bearer, tokenFor } from '../fixtures/secret-tokens.ts';
import { startHere } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const file = tempDir();
let server: RunningServer | undefined;
const WAIT = { timeout: 60_000, interval: 50 };

beforeAll(() => {
  for (const name of ['first', 'second']) makeCertificate(file(name), 1);
});

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

const ends = ['crt', 'key'] as const;
const nameOf = (name: string): string =>
  new X509Certificate(readFileSync(file(`${name}.crt`))).fingerprint256;

/** Puts them where the server looks, each in one step, as certbot does. */
function install(name: string): void {
  for (const end of ends) {
    copyFileSync(file(`${name}.${end}`), file(`new.${end}`));
    renameSync(file(`new.${end}`), file(`live.${end}`));
  }
}

/** The fingerprint of the certificate that a new connection gets, when a request over it was answered. */
async function presented(address: string, path: string, token?: string): Promise<string> {
  const headers = token === undefined ? {} : bearer(token);
  const asked = request(address + path, { headers, rejectUnauthorized: false, agent: false }).end();
  const [response] = await once(asked, 'response');
  const { fingerprint256 } = (response.socket as TLSSocket).getPeerCertificate();
  response.resume();
  await once(response, 'end');
  expect(response.statusCode).toBe(200);
  return fingerprint256;
}

/** A WebSocket, as the TLS connection that it runs over. */
async function openWebSocket({ port }: RunningServer): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  const key = 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==';
  const upgrade = ['connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13', key];
  const { authorization } = bearer(tokenFor('ann', 'hold'));
  socket.write(
    ['GET /v1/ws HTTP/1.1', 'host: x', ...upgrade, `authorization: ${authorization}`, '', ''].join('\r\n'),
  );
  // The answer, and perhaps the hello.
  expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 101 /);
  return socket;
}

/** Whether a ping over it is answered. */
async function isAlive(socket: TLSSocket): Promise<boolean> {
  const PONG = 0x8a;
  socket.write(Uint8Array.of(0x89, 0x80, 0, 0, 0, 0));
  for (;;) {
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    if (bytes.includes(PONG)) return true;
  }
}

describe.each([1, 2])('certificates that change while %i fronts run', (fronts) => {
  it('are given to all who come from then on, and those who are there stay', async () => {
    const events: LogEvent[] = [];
    const told = (event: LogEvent['event']) => events.filter((one) => one.event === event).length;
    install('first');
    server = await startHere(
      {
        ...ASKS_FOR_TOKENS,
        fronts,
        tlsCert: file('live.crt'),
        tlsKey: file('live.key'),
        maxConnectionsPerAddress: 8,
      },
      { log: (event) => events.push(event) },
    );
    const { httpUrl } = server;
    const sockets = await Promise.all([1, 2, 3].map(() => openWebSocket(server as RunningServer)));
    expect(await presented(httpUrl, '/readyz')).toBe(nameOf('first'));

    // A key that does not belong to it.
    writeFileSync(file('live.key'), readFileSync(file('second.key')));
    await expect.poll(() => told('certificate-refused'), WAIT).toBe(1);
    expect(await presented(httpUrl, '/readyz')).toBe(nameOf('first'));

    // Nobody is turned away while it changes.
    const seen: string[] = [];
    install('second');
    await expect
      .poll(async () => {
        seen.push(await presented(httpUrl, '/readyz'));
        return told('certificate-read');
      }, WAIT)
      .toBe(1);
    expect(new Set(seen)).toEqual(new Set([nameOf('first'), nameOf('second')].slice(0, new Set(seen).size)));
    // On each front.
    for (let i = 0; i < 2 * fronts; i++) expect(await presented(httpUrl, '/readyz')).toBe(nameOf('second'));
    for (const socket of sockets) {
      expect(await isAlive(socket)).toBe(true);
      socket.destroy();
    }
    // Limits hold for those who come by the new one as well.
    const many = Array.from({ length: 9 }, () =>
      connect({ port: server?.port, host: '127.0.0.1', rejectUnauthorized: false }),
    );
    for (const socket of many) socket.on('error', () => {});
    await Promise.race(many.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
    for (const socket of many) socket.destroy();
    const metrics = await new Promise<string>((resolve, reject) => {
      const headers = bearer(tokenFor('root', 'admin'));
      const asked = request(
        `${httpUrl}/metrics`,
        { headers, rejectUnauthorized: false, agent: false },
        (response) => {
          let text = '';
          response.on('data', (chunk) => {
            text += chunk;
          });
          response.on('end', () => resolve(text));
        },
      );
      asked.once('error', reject);
      asked.end();
    });
    const until = Date.parse(new X509Certificate(readFileSync(file('second.crt'))).validTo) / 1000;
    expect(metrics).toMatch(new RegExp(`^holdfast_certificate_expiry_timestamp_seconds ${until}$`, 'm'));
  });
});
