import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { AuthReason, Scope, Status } from '../../protocol/status.ts';
import type { LogEvent } from '../../src/log/events.ts';
import type { RunningServer } from '../../src/runtime/server.ts';
import { makeToken, randomSecret } from '../auth/fixtures.ts';
import { longEnough } from '../fixtures/long-enough.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { ASKS_FOR_TOKENS, bearer, tokenFor } from '../fixtures/secret-tokens.ts';
import { startHere } from '../fixtures/server.ts';

const FRONTS = 2;
let server: RunningServer;
let directory: string;
const events: LogEvent[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'holdfast-door-'));
  server = await startHere(
    {
      ...ASKS_FOR_TOKENS,
      fronts: FRONTS,
      logLevel: 'info',
      authRevocations: join(directory, 'revoked.json'),
    },
    { log: (event) => events.push(event) },
  );
});

afterAll(async () => {
  await server.stop();
  rmSync(directory, { recursive: true });
});

const withHeader = (token: string, query = '') =>
  RawClient.open(`${server.url}${query}`, { headers: bearer(token) });

async function withAuth(token: string): Promise<RawClient> {
  const client = await RawClient.open(server.url);
  const [status] = await client.call(Op.AUTH, token);
  expect(status).toBe(Status.OK);
  return client;
}

/** Answer to an upgrade that is refused. */
function refusal(
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number | undefined; text: string; header: unknown }> {
  return new Promise((resolve, reject) => {
    const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' };
    const key = { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
    const asked = request(`${server.httpUrl}${path}`, { headers: { ...upgrade, ...key, ...headers } });
    asked.once('error', reject);
    asked.once('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode, text: '', header: response.headers['sec-websocket-protocol'] });
    });
    asked.once('response', (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode, text, header: response.headers['www-authenticate'] }),
      );
    });
    asked.end();
  });
}

async function http(method: string, path: string, token?: string, body?: unknown) {
  const response = await fetch(`${server.httpUrl}${path}`, {
    method,
    headers: token === undefined ? {} : bearer(token),
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, header: response.headers.get('www-authenticate'), json };
}

describe('a token', () => {
  it.each<[string, () => Promise<RawClient>]>([
    ['in the Authorization header', () => withHeader(tokenFor('ann', 'hold stock'))],
    [
      'in the list of subprotocols',
      () =>
        RawClient.open(server.url, {
          protocols: ['holdfast.v1', `holdfast.token.${tokenFor('ann', 'hold stock')}`],
        }),
    ],
    ['by AUTH', () => withAuth(tokenFor('ann', 'hold stock'))],
  ])('%s says who comes, on every front', async (name, connect) => {
    const clients = await Promise.all(Array.from({ length: 2 * FRONTS }, connect));
    const [first] = clients as [RawClient];
    await first.call(Op.STOCK, name, StockMode.TOTAL, 5);
    const [, id] = await first.call(Op.HOLD, name, 2, 60_000);
    for (const client of clients) {
      expect((await client.call(Op.READ_HOLD, id)).slice(0, 4)).toEqual([Status.OK, 1, name, 2]);
      expect(await client.call(Op.INSPECT, 0)).toEqual([Status.FORBIDDEN, Scope.ADMIN]);
      expect(client.socket.protocol).toBe(name.includes('subprotocols') ? 'holdfast.v1' : '');
    }
    await Promise.all(clients.map((client) => client.close()));
  });

  it('by AUTH as text says who comes', async () => {
    const token = tokenFor('ann', 'hold', { exp: 4_000_000_000 });
    const client = await RawClient.open(`${server.url}?format=json`);
    client.sendText('["TIME", 1]');
    client.sendText(JSON.stringify(['AUTH', 2, token]));
    client.sendText(JSON.stringify([Op.AUTH, 3, token]));
    await client.until(() => client.texts.length === 4);
    expect(client.texts[1]).toEqual([1, 'UNAUTHENTICATED', 'MISSING']);
    expect(client.texts.slice(2)).toContainEqual([2, 'OK', 'ann', 4_000_000_000_000]);
    await client.close();
  });

  it.each([
    ['in the address', '/v1/ws?token=eyJ.eyJ.abc', {}, 400, /never|take a new token/],
    ['in the address under another name', '/v1/ws?access_token=eyJ.eyJ.abc', {}, 400, /access_token=…/],
    [
      'with a name in the address',
      '/v1/ws?holder=bob',
      bearer(tokenFor('ann', 'hold')),
      400,
      /the token says/,
    ],
    [
      'twice',
      '/v1/ws',
      { ...bearer(tokenFor('ann', 'hold')), 'sec-websocket-protocol': 'holdfast.v1, holdfast.token.a' },
      400,
      /more than one/,
    ],
    [
      'in a list without the protocol itself',
      '/v1/ws',
      { 'sec-websocket-protocol': `holdfast.token.${tokenFor('ann', 'hold')}` },
      400,
      /holdfast\.v1/,
    ],
    ['from a page of another site', '/v1/ws', { origin: 'https://evil.example' }, 403, /evil\.example/],
  ])('%s is refused, and the answer says why', async (_, path, headers, status, text) => {
    const answer = await refusal(path, headers);
    expect(answer).toMatchObject({ status, text: expect.stringMatching(text) });
  });

  it.each([
    ['that expired', tokenFor('ann', 'hold', { lifeMs: -1000 }), /expired/],
    [
      'of another key',
      makeToken({ alg: 'HS256' }, { sub: 'ann', exp: 4_000_000_000 }, randomSecret()),
      /signature/,
    ],
  ])('%s closes the connection that it opened, with 4401', async (_, token, reason) => {
    const client = await withHeader(token);
    expect(await client.closed).toEqual({ code: 4401, reason: expect.stringMatching(reason) });
    expect(client.pushes).toEqual([]);
  });

  it.each([
    ['that is none', 'eyJ.eyJ.abc', /base64url is not canonical/],
    [
      'without an algorithm',
      makeToken({ alg: 'none' }, { sub: 'ann' }, randomSecret(), 'HS256'),
      /"alg" is none/,
    ],
    ['that asks for more', makeToken({ alg: 'HS256', crit: ['x'] }, {}), /"crit"/],
  ])('%s is refused with 401 to a program, and a page is told by 4401', async (_, token, reason) => {
    const text = expect.stringMatching(reason);
    const before = events.length;
    expect(await refusal('/v1/ws', bearer(token))).toMatchObject({
      status: 401,
      text,
      header: expect.stringContaining('error="invalid_token"'),
    });
    // Lines of one kind are folded: the next is written when the second is over.
    await vi.waitFor(
      () =>
        expect(events.slice(before)).toContainEqual(
          expect.objectContaining({ event: 'auth-failed', reason: 'MALFORMED', address: '127.0.0.1' }),
        ),
      { timeout: 60_000 },
    );
    const page = await RawClient.open(server.url, { protocols: ['holdfast.v1', `holdfast.token.${token}`] });
    expect(await page.closed).toEqual({ code: 4401, reason: text });
  });

  it('holds up what comes before it was looked at, and loses nothing of it', async () => {
    const clients = await Promise.all(Array.from({ length: 40 }, () => withHeader(tokenFor('ann', 'hold'))));
    const calls = clients.map((client) => client.callAll(Array.from({ length: 50 }, () => [Op.TIME])));
    for (const replies of await Promise.all(calls)) {
      expect(new Set(replies.map(([status]) => status))).toEqual(new Set([Status.OK]));
    }
    await Promise.all(clients.map((client) => client.close()));
  });

  it('is not part of what the server answers the list of subprotocols with', async () => {
    const token = `holdfast.token.${tokenFor('ann', 'hold')}`;
    const answer = await refusal('/v1/ws', { 'sec-websocket-protocol': `chat, holdfast.v1, ${token}` });
    expect(answer).toMatchObject({ status: 101, header: 'holdfast.v1' });
  });
});

describe('a session', () => {
  it('without a token ends with 4401 at the deadline', async () => {
    const hasty = await startHere({ ...ASKS_FOR_TOKENS, fronts: FRONTS, authDeadlineMs: 300 });
    onTestFinished(() => hasty.stop());
    const clients = await Promise.all(Array.from({ length: FRONTS }, () => RawClient.open(hasty.url)));
    for (const client of clients) {
      expect(await client.closed).toEqual({ code: 4401, reason: 'no valid token came within 300 ms' });
    }
  });

  it('ends with 4401 when its token expires, and not if it was renewed', async () => {
    await longEnough(700, async (lifeMs) => {
      const token = () => tokenFor('ann', 'hold', { lifeMs });
      const [ends, renewed] = await Promise.all([withHeader(token()), withHeader(token())]);
      const far = Math.floor(Date.now() / 1000) + 3600;
      const again = tokenFor('ann', 'hold', { exp: far });
      const renewal = await Promise.race([renewed.call(Op.AUTH, again), renewed.closed]);
      expect(renewal).toEqual([Status.OK, 'ann', far * 1000]);
      expect(await renewed.call(Op.AUTH, tokenFor('bob', 'hold'))).toEqual([Status.FORBIDDEN, 0]);
      expect(await renewed.call(Op.AUTH, 'eyJ')).toEqual([Status.UNAUTHENTICATED, AuthReason.MALFORMED]);
      expect(await ends.closed).toEqual({ code: 4401, reason: 'the token expired' });
      expect((await renewed.call(Op.TIME))[0]).toBe(Status.OK);
      await renewed.close();
    });
  });

  it.each([
    ['by its id', { jti: 'to-be-revoked' }, { tokenId: 'to-be-revoked' }],
    ['by its subject', {}, { subject: 'eve', issuedBefore: 4_000_000_000_000, until: 4_000_000_000_000 }],
  ])('ends with 4403 on every front when its token is revoked %s', async (_, claims, body) => {
    const root = tokenFor('root', 'admin');
    const token = tokenFor('eve', 'hold', claims);
    const clients = await Promise.all(Array.from({ length: 2 * FRONTS }, () => withHeader(token)));
    const other = await withHeader(tokenFor('ann', 'hold'));
    expect((await http('POST', '/v1/revocations', tokenFor('ann', 'hold stock'), body)).status).toBe(403);
    expect(await http('POST', '/v1/revocations', root, body)).toMatchObject({ status: 200, json: body });
    for (const client of clients) {
      expect(await client.closed).toEqual({ code: 4403, reason: 'the token was revoked' });
    }
    expect((await (await withHeader(token)).closed).code).toBe(4401);
    expect((await other.call(Op.TIME))[0]).toBe(Status.OK);
    await other.close();
  });
});

describe('a hold', () => {
  it('is its own holder’s, and an administrator’s, who is written down', async () => {
    const [ann, bob, root, stocker] = await Promise.all([
      withHeader(tokenFor('ann', 'hold')),
      withHeader(tokenFor('bob', 'hold')),
      withHeader(tokenFor('root', 'hold admin', { jti: 'hold-admin' })),
      withHeader(tokenFor('stocker', 'stock')),
    ]);
    await stocker.call(Op.STOCK, 'lamp', StockMode.TOTAL, 10);
    const [, id] = await ann.call(Op.HOLD, 'lamp', 3, 60_000);
    expect(await stocker.call(Op.HOLD, 'lamp', 1, 1000)).toEqual([Status.FORBIDDEN, Scope.HOLD]);
    expect(await ann.call(Op.STOCK, 'lamp', StockMode.TOTAL, 99)).toEqual([Status.FORBIDDEN, Scope.STOCK]);
    for (const [op, ...args] of [
      [Op.CONFIRM],
      [Op.RELEASE],
      [Op.EXTEND, 1000],
      [Op.RETURN],
      [Op.READ_HOLD],
    ]) {
      expect(await bob.call(op as number, id, ...args)).toEqual([Status.UNKNOWN_HOLD]);
    }
    const deeds = () =>
      events.filter((event) => event.event === 'admin-action' && event.tokenId === 'hold-admin');
    expect(await root.call(Op.RELEASE, id, 1)).toEqual([Status.OK, 2]);
    expect((await root.call(Op.STOCK, 'lamp', StockMode.DELTA, 1))[0]).toBe(Status.OK);
    expect((await root.call(Op.HOLD, 'lamp', 1, 1000))[0]).toBe(Status.OK);
    expect((await root.call(Op.READ, 'lamp'))[0]).toBe(Status.OK);
    expect(await root.call(Op.CONFIRM, id)).toEqual([Status.OK, 2]);
    await root.until(() => deeds().length >= 3);
    expect(deeds()).toMatchObject([
      { action: 'RELEASE', subject: 'root', tokenId: 'hold-admin', hold: id, status: 'OK', detail: '[2]' },
      { action: 'STOCK', subject: 'root', sku: 'lamp', status: 'OK' },
      { action: 'CONFIRM', subject: 'root', hold: id, status: 'OK', detail: '[2]' },
    ]);
    expect((await ann.call(Op.READ_HOLD, id)).slice(0, 2)).toEqual([Status.OK, 2]);
    await Promise.all([ann, bob, root, stocker].map((client) => client.close()));
  });
});

describe('HTTP', () => {
  const tokens = {
    nobody: undefined,
    none: tokenFor('none', ''),
    hold: tokenFor('ann', 'hold'),
    stock: tokenFor('stocker', 'stock'),
    admin: tokenFor('root', 'admin'),
    expired: tokenFor('ann', 'hold stock admin', { lifeMs: -1 }),
  };
  const put = { total: 5 };
  const restock = { delta: 1 };
  const bodies: Record<string, unknown> = { PUT: put, POST: restock };

  it.each<[string, string, Record<keyof typeof tokens, number>]>([
    ['PUT', '/v1/skus/cup', { nobody: 401, none: 403, hold: 403, stock: 200, admin: 200, expired: 401 }],
    [
      'POST',
      '/v1/skus/cup/restock',
      { nobody: 401, none: 403, hold: 403, stock: 200, admin: 200, expired: 401 },
    ],
    ['GET', '/v1/skus/cup', { nobody: 401, none: 200, hold: 200, stock: 200, admin: 200, expired: 401 }],
    [
      'GET',
      '/v1/holds/4294967296',
      { nobody: 401, none: 403, hold: 404, stock: 403, admin: 404, expired: 401 },
    ],
    ['GET', '/v1/inspect', { nobody: 401, none: 403, hold: 403, stock: 403, admin: 200, expired: 401 }],
    ['GET', '/v1/stages', { nobody: 401, none: 403, hold: 403, stock: 403, admin: 200, expired: 401 }],
    ['GET', '/metrics', { nobody: 401, none: 403, hold: 403, stock: 403, admin: 200, expired: 401 }],
    [
      'POST',
      '/v1/profile?seconds=0.1',
      { nobody: 401, none: 403, hold: 403, stock: 403, admin: 200, expired: 401 },
    ],
    ['POST', '/v1/revocations', { nobody: 401, none: 403, hold: 403, stock: 403, admin: 400, expired: 401 }],
    ['GET', '/healthz', { nobody: 200, none: 200, hold: 200, stock: 200, admin: 200, expired: 200 }],
    ['GET', '/readyz', { nobody: 200, none: 200, hold: 200, stock: 200, admin: 200, expired: 200 }],
  ])('%s %s goes by the scopes of the token', async (method, path, wanted) => {
    for (const [who, token] of Object.entries(tokens)) {
      const { status, header, json } = await http(method, path, token, bodies[method]);
      expect([who, status]).toEqual([who, wanted[who as keyof typeof tokens]]);
      expect(header !== null).toBe(status === 401);
      if (status === 401) expect(json).toMatchObject({ code: 'UNAUTHENTICATED' });
      if (status === 403) expect(json).toMatchObject({ code: 'FORBIDDEN' });
    }
  });

  it('shows a hold to its holder and to an administrator', async () => {
    await http('PUT', '/v1/skus/mug', tokens.stock, put);
    const ann = await withHeader(tokens.hold);
    const [, id] = await ann.call(Op.HOLD, 'mug', 1, 60_000);
    const statuses = [tokens.hold, tokenFor('bob', 'hold'), tokens.admin].map(
      async (token) => (await http('GET', `/v1/holds/${id}`, token)).status,
    );
    expect(await Promise.all(statuses)).toEqual([200, 404, 200]);
    await ann.close();
  });

  it('takes neither a token in the address nor a name beside the token', async () => {
    expect((await http('GET', '/v1/skus/cup?access_token=eyJ', tokens.hold)).status).toBe(400);
    const headers = { ...bearer(tokens.hold), 'x-holdfast-holder': 'bob' };
    expect((await fetch(`${server.httpUrl}/v1/holds/1`, { headers })).status).toBe(400);
  });

  it('writes down what an administrator asks for, but not who reads counters', async () => {
    const auditor = tokenFor('auditor', 'admin');
    for (const path of ['/v1/inspect', '/v1/stages', '/metrics', '/v1/skus/cup', '/v1/holds/4294967296'])
      await http('GET', path, auditor);
    await http('GET', '/v1/inspect', tokens.hold);
    // All go over one connection and so through one front: when the last is told of, nothing more comes of those before it.
    await expect
      .poll(() => events.filter((event) => event.event === 'admin-action' && event.subject === 'auditor'))
      .toMatchObject([
        { action: 'GET /v1/inspect', status: 200 },
        { action: 'GET /v1/holds/4294967296', status: 404 },
      ]);
  });
});
