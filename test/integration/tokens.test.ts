import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, type ConnectOptions, connect as connectOnce } from '../../src/client/index.ts';
import { longEnough } from '../fixtures/long-enough.ts';
import { type ServerProcess, startServer } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';
import { issuerAt } from '../fixtures/tokens.ts';

const path = tempDir();
const issuer = issuerAt(path('key.json'));
/** As patient as tests are. */
const connect = (url: string, options: ConnectOptions) => connectOnce(url, { timeoutMs: 60_000, ...options });
let server: ServerProcess;
let admin: Client;

beforeAll(async () => {
  server = await startServer({
    authKeys: issuer.authKeys,
    authRevocations: path('revocations.json'),
    authClockToleranceMs: 0,
  });
  admin = await connect(server.url, { token: () => issuer.token('root', { scopes: ['admin'] }) });
  await admin.stock({ sku: 'sku-1', total: 1000 });
});
afterAll(async () => {
  await admin?.close();
  await server?.stop();
});

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => 'ok',
    ({ code, details }) => [code, details.reason ?? details.scope],
  );
}

describe('the SDK with a token, on a real server', () => {
  it('acts for the subject, within its scopes', async () => {
    const client = await connect(server.url, { token: await issuer.token('alice') });
    expect(client.holder).toBe('alice');
    const hold = await client.hold({ sku: 'sku-1', quantity: 2, ttl: 30_000 });
    expect(await codeOf(client.stock({ sku: 'sku-1', total: 5 }))).toEqual(['FORBIDDEN', 'stock']);
    const other = await connect(server.url, { token: await issuer.token('bob') });
    expect(await codeOf(other.confirm(hold.id))).toEqual(['UNKNOWN_HOLD', undefined]);
    expect(await hold.confirm()).toBe(2);
    await Promise.all([client.close(), other.close()]);
  });

  it('renews its token in place: the connection outlives the token that opened it', async () => {
    await longEnough(1500, async (ttlMs) => {
      const states: string[] = [];
      let tokens = 0;
      const client = await connect(server.url, {
        token: () => {
          tokens++;
          return issuer.token('carol', { ttlMs });
        },
      });
      client.onStateChange((state) => states.push(state));
      const openedAt = Date.now();
      try {
        await expect.poll(() => tokens).toBeGreaterThanOrEqual(3);
        await expect.poll(() => Date.now() - openedAt).toBeGreaterThan(1.3 * ttlMs);
        expect(await codeOf(client.read('sku-1'))).toBe('ok');
        expect(states).toEqual([]);
      } finally {
        await client.close();
      }
    });
  });

  it('ends when its token, a text, expires', async () => {
    await longEnough(700, async (ttlMs) => {
      const client = await connect(server.url, { token: await issuer.token('dave', { ttlMs }) });
      expect(await codeOf(client.read('sku-1'))).toBe('ok');
      await expect.poll(() => client.state).toBe('closed');
      expect(await codeOf(client.read('sku-1'))).toEqual(['UNAUTHENTICATED', 'EXPIRED']);
    });
  });

  it.each<[string, string | undefined, string]>([
    ['none', undefined, 'MISSING'],
    ['one that is no token', 'not a token', 'MALFORMED'],
    ["another issuer's, whose key has a name that nobody knows", 'other', 'UNKNOWN_KEY'],
  ])('is told what is wrong with %s', async (_what, given, reason) => {
    const token = given === 'other' ? await issuerAt(path('other.json')).token('eve') : given;
    const work = async () => {
      const client = await connect(server.url, token === undefined ? {} : { token });
      await client.read('sku-1').finally(() => client.close());
    };
    expect(await codeOf(work())).toEqual(['UNAUTHENTICATED', reason]);
  });
});
