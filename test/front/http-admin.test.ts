import { afterEach, describe, expect, it } from 'vitest';
import { Scope } from '../../protocol/status.ts';
import { Arrivals, allocateArrivals } from '../../src/front/arrivals.ts';
import { ClientAddresses } from '../../src/front/client-address.ts';
import { HolderHash } from '../../src/front/holder.ts';
import { type AdminOptions, routeAdmin } from '../../src/front/http-admin.ts';
import { Listener } from '../../src/front/listener.ts';
import { Lobby } from '../../src/front/lobby.ts';
import type { TokenCheck } from '../../src/front/token-check.ts';
import type { LogEvent } from '../../src/log/events.ts';
import { FrontCell } from '../../src/shard/counters.ts';

let listener: Listener | undefined;

afterEach(() => listener?.destroy());

const NO_LIMITS = {
  connections: 0,
  connectionsPerAddress: 0,
  handshakes: 0,
  handshakesPerAddress: 0,
  requests: 0,
  requestsPerAddress: 0,
  badTokensPerAddress: 0,
};
const root = {
  subject: 'root',
  scopes: Scope.ADMIN,
  expiresAtMs: 4e12,
  issuedAtMs: 0,
  vip: false,
  tokenId: 'a',
};
/** Lets everybody in. */
const CHECK: TokenCheck = {
  flawOf: () => undefined,
  verify: () => Promise.resolve(root),
  revocations: { refresh: () => Promise.resolve(), isRevoked: () => false, add: () => Promise.resolve() },
};

/** What is asked for and fails is this. */
const BUG = new Error('cannot read /etc/holdfast/secret.pem');

async function serve(check: TokenCheck | undefined, options: Partial<AdminOptions>) {
  const events: LogEvent[] = [];
  const log = (event: LogEvent): void => void events.push(event);
  const secret = new Uint8Array(32);
  const lobby = new Lobby({
    addresses: new ClientAddresses([], secret),
    arrivals: new Arrivals(allocateArrivals(1), NO_LIMITS, () => 0),
    authenticated: check !== undefined,
    counters: new Float64Array(FrontCell.CELLS),
    log,
  });
  listener = new Listener(undefined);
  const { app } = listener;
  const door = { holders: new HolderHash(secret), mayUse: () => true, lobby, check, log };
  routeAdmin(app, { ...door, ...options } as AdminOptions);
  const port = await listener.listen('127.0.0.1', 0);
  return { url: `http://127.0.0.1:${port}`, events };
}

describe.each<[string, TokenCheck | undefined]>([
  ['a token', CHECK],
  ['nobody asked for one', undefined],
])('what fails within a request, with %s', (_, check) => {
  it.each<[string, string, Partial<AdminOptions>]>([
    ['late', '/metrics', { metrics: () => Promise.reject(BUG) }],
    [
      'at once',
      '/metrics',
      {
        metrics: () => {
          throw BUG;
        },
      },
    ],
    [
      'where nothing is waited for',
      '/v1/stages',
      {
        stages: () => {
          throw BUG;
        },
      },
    ],
  ])('%s is answered 500 and told to the log alone', async (_, path, options) => {
    const { url, events } = await serve(check, options);
    for (let i = 0; i < 2; i++) {
      const answer = await fetch(url + path, { headers: { authorization: 'Bearer x' } });
      const text = await answer.text();
      expect([answer.status, text.includes('secret.pem')]).toEqual([500, false]);
      expect(JSON.parse(text)).toMatchObject({ code: 'FAILED' });
    }
    const failed = {
      event: 'request-failed',
      path,
      status: 500,
      detail: expect.stringContaining(BUG.message),
    };
    expect(events.filter(({ event }) => event === 'request-failed')).toEqual([
      expect.objectContaining(failed),
      expect.objectContaining(failed),
    ]);
  });
});
