import { describe, expect, it } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { authReasonName, Status } from '../../protocol/status.ts';
import { SessionClose } from '../../src/front/session.ts';
import { makeToken } from '../auth/fixtures.ts';
import { ATTACKED_KEYS, ATTACKED_SECRET, hostileTokens } from '../auth/hostile-tokens.ts';
import { longEnough } from '../fixtures/long-enough.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { victim } from './fixtures.ts';

const KEYS = [...ATTACKED_KEYS, ATTACKED_SECRET].map((key, i) => {
  const name = `HOLDFAST_HOSTILE_KEY_${i}`;
  // Handed on to the server, which is a process of its own.
  process.env[name] = key;
  return `env:${name}`;
});
/** As a close frame has it, most significant byte first. */
const CLOSE_CODE = Buffer.from([
  SessionClose.UNAUTHENTICATED >> 8,
  SessionClose.UNAUTHENTICATED & 0xff,
]).toString('latin1');
const UPGRADE =
  'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const ISSUER = 'https://issuer.example';
const AUDIENCE = 'holdfast';

/** What a shop would put into a token; `claims` change it. */
function token(claims: object = {}): string {
  const now = Date.now() / 1000;
  return makeToken(
    { alg: 'HS256' },
    { sub: 'alice', scope: 'hold', iss: ISSUER, aud: AUDIENCE, iat: now, exp: now + 3600, ...claims },
  );
}

const target = victim({
  settings: {
    // More than a holder may send commands at once: whoever may look into all of them is not held up by that.
    segments: 64,
    authKeys: KEYS,
    authIssuer: ISSUER,
    authAudience: AUDIENCE,
    authClockToleranceMs: 0,
    // All of them come from here, and are to be looked at.
    maxBadTokensPerAddress: 1_000_000,
    maxRequestsPerAddress: 1_000_000,
  },
  token: () => token({ sub: 'root', scope: 'admin' }),
});

const connect = (own?: string): Promise<RawClient> =>
  RawClient.connect(target.server.url, undefined, ['holdfast.v1', ...(own ? [`holdfast.token.${own}`] : [])]);

describe.each<[string, [what: string, token: string, ...reasons: string[]][]]>([
  ['no key has signed as it should', hostileTokens()],
  [
    'has claims that do not do',
    [
      ['no subject', token({ sub: undefined }), 'BAD_CLAIM'],
      ['an empty subject', token({ sub: '' }), 'BAD_CLAIM'],
      ['a subject of 65 bytes', token({ sub: 'x'.repeat(65) }), 'BAD_CLAIM'],
      ['a subject of 22 letters and 66 bytes', token({ sub: '€'.repeat(22) }), 'BAD_CLAIM'],
      ['a subject that is half a letter', token({ sub: '\ud83d' }), 'BAD_CLAIM'],
      ['a subject that is a number', token({ sub: 7 }), 'BAD_CLAIM'],
      ['a subject that is an array', token({ sub: ['alice'] }), 'BAD_CLAIM'],
      ['an end that is text', token({ exp: '9999999999' }), 'BAD_CLAIM'],
      ['an end in the year 300,000', token({ exp: 1e13 }), 'BAD_CLAIM'],
      ['an end before all time', token({ exp: -1 }), 'BAD_CLAIM'],
      ['an end that is null', token({ exp: null }), 'BAD_CLAIM'],
      ['an end a second ago', token({ exp: Date.now() / 1000 - 1 }), 'EXPIRED'],
      ['a beginning to come', token({ nbf: Date.now() / 1000 + 3600 }), 'NOT_YET_VALID'],
      ['a beginning that is text', token({ nbf: '0' }), 'BAD_CLAIM'],
      ['another issuer', token({ iss: 'https://evil.example' }), 'WRONG_ISSUER'],
      ['the issuer and more', token({ iss: `${ISSUER}/` }), 'WRONG_ISSUER'],
      ['the issuer in an array', token({ iss: [ISSUER] }), 'BAD_CLAIM'],
      ['no issuer', token({ iss: undefined }), 'WRONG_ISSUER'],
      ['another audience', token({ aud: 'other' }), 'WRONG_AUDIENCE'],
      ['no audience', token({ aud: [] }), 'WRONG_AUDIENCE'],
      ['an audience in an object', token({ aud: { [AUDIENCE]: true } }), 'BAD_CLAIM'],
      ['scopes in an object', token({ scopes: { admin: true } }), 'BAD_CLAIM'],
      ['a scope that is a number', token({ scope: 4 }), 'BAD_CLAIM'],
      ['a claim of vip that is text', token({ vip: 'true' }), 'BAD_CLAIM'],
      ['an id that is an object', token({ jti: {} }), 'BAD_CLAIM'],
    ],
  ],
])('a token that %s opens nothing', (_what, rows) => {
  it.concurrent.each(rows)('by AUTH: %s', async (_name, text, ...reasons) => {
    const client = await connect();
    const answer = client.call(Op.AUTH, text);
    const first = await Promise.race([answer, client.closed]);
    if (!Array.isArray(first)) {
      // Longer than frames may be, and those that the socket layer cuts off get no farewell.
      expect([1009, 1006]).toContain(first.code);
      return;
    }
    const [status, reason] = first as [number, number];
    if (status !== Status.MALFORMED) {
      expect([status, reasons.includes(authReasonName(reason))]).toEqual([Status.UNAUTHENTICATED, true]);
    }
    expect((await client.call(Op.READ, 'prize'))[0]).toBe(Status.UNAUTHENTICATED);
    await client.close();
  });

  it.concurrent.each(rows)('in the header of a request: %s', async (_name, text) => {
    const answer = await target.ask(
      `GET /v1/skus/prize HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${text}\r\n\r\n`,
    );
    expect(answer.text.split('\r\n')[0]).toMatch(/^$|^HTTP\/1\.1 (400|401|431) /);
    expect(answer.text).not.toContain('available');
  });

  it.concurrent.each(rows)('in the list of subprotocols: %s', async (_name, text) => {
    const answer = await target.askUntilClosed(
      `GET /v1/ws HTTP/1.1\r\nHost: x\r\n${UPGRADE}Sec-WebSocket-Protocol: holdfast.v1, holdfast.token.${text}\r\n\r\n`,
    );
    // A token that is looked at leaves the connection open until that is done.
    const first = answer.text.split('\r\n')[0] as string;
    if (first.startsWith('HTTP/1.1 101 ')) expect(answer.text).toContain(CLOSE_CODE);
    else expect(first).toMatch(/^$|^HTTP\/1\.1 (400|401|431) /);
  });
});

describe('a second token, which another server may take for the one that counts,', () => {
  it.concurrent.each([
    ['of a request', '/v1/skus/prize', (one: string) => `Authorization: Bearer ${one}\r\n`],
    ['of an upgrade', '/v1/ws', (one: string) => `${UPGRADE}Authorization: Bearer ${one}\r\n`],
    [
      'of a list of subprotocols',
      '/v1/ws',
      (one: string) => `${UPGRADE}Sec-WebSocket-Protocol: holdfast.v1, holdfast.token.${one}\r\n`,
    ],
  ])('has neither let in: %s', async (_, path, headers) => {
    const answer = await target.ask(
      `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers(token())}${headers(token({ sub: 'bob' }))}\r\n`,
    );
    expect(answer.text).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer.text).toMatch(/the header \S+ is there more than once/);
  });
});

describe('a session', () => {
  it('takes one token at a time, also out of one frame', async () => {
    const client = await connect();
    const answers = await client.callAll([
      [Op.AUTH, token()],
      [Op.AUTH, token({ sub: 'bob' })],
      [Op.READ, 'prize'],
    ]);
    expect(answers.map(([status]) => status)).toEqual([Status.OK, Status.BUSY, Status.UNAUTHENTICATED]);
    await client.close();
  });

  it('stays whose it is', async () => {
    const client = await connect(token());
    expect((await client.call(Op.AUTH, token({ sub: 'bob' })))[0]).toBe(Status.FORBIDDEN);
    expect((await client.call(Op.AUTH, token()))[0]).toBe(Status.OK);
    await client.close();
  });

  it('ends when tokens that do not do keep coming, and a flood of them costs no more than that', async () => {
    const client = await connect();
    const bad = token({ sub: '' });
    const { closed } = client;
    for (let i = 0; i < 200 && client.socket.readyState === WebSocket.OPEN; i++) {
      void client.callAll(Array.from({ length: 40 }, () => [Op.AUTH, bad]));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(await closed).toMatchObject({ code: SessionClose.UNAUTHENTICATED });
  });

  it('ends with its token, which opens nothing any more', async () => {
    await longEnough(1000, async (lifeMs) => {
      const short = token({ exp: (Date.now() + lifeMs) / 1000 });
      const client = await connect(short);
      expect(await Promise.race([client.call(Op.READ, 'prize'), client.closed])).toHaveProperty(
        '0',
        Status.OK,
      );
      expect(await client.closed).toMatchObject({ code: SessionClose.UNAUTHENTICATED });
      const again = await connect(short);
      expect(await again.closed).toMatchObject({ code: SessionClose.UNAUTHENTICATED });
    });
  });

  it('does nothing without the right to', async () => {
    const [buyer, nobody] = await Promise.all([connect(token()), connect(token({ scope: 'other' }))]);
    expect((await buyer.call(Op.STOCK, 'prize', 1, 1000))[0]).toBe(Status.FORBIDDEN);
    expect((await buyer.call(Op.INSPECT, 0))[0]).toBe(Status.FORBIDDEN);
    expect((await nobody.call(Op.HOLD, 'prize', 1, 1000))[0]).toBe(Status.FORBIDDEN);
    await Promise.all([buyer.close(), nobody.close()]);
  });
});

describe("other people's holds", () => {
  it('are as unknown as those that never were, whatever is asked of them', async () => {
    const [alice, bob] = await Promise.all([
      connect(token({ sub: 'alice-2' })),
      connect(token({ sub: 'bob' })),
    ]);
    const [status, hold] = await alice.call(Op.HOLD, 'prize', 1, 60_000);
    expect(status).toBe(Status.OK);
    const tries = [
      [Op.CONFIRM, hold],
      [Op.CONFIRM, hold, 1],
      [Op.RELEASE, hold],
      [Op.RELEASE, hold, 1, 1],
      [Op.EXTEND, hold, 1000],
      [Op.RETURN, hold],
      [Op.READ_HOLD, hold],
    ];
    for (const answer of await bob.callAll(tries)) expect(answer).toEqual([Status.UNKNOWN_HOLD]);
    // Neighbours of a hold that one has, and of one that another has.
    const guesses = Array.from({ length: 1000 }, (_, i) => [Op.RELEASE, hold - 500 + i]);
    for (const answer of await bob.callAll(guesses)) expect(answer).toEqual([Status.UNKNOWN_HOLD]);
    expect((await alice.call(Op.RELEASE, hold))[0]).toBe(Status.OK);
    await Promise.all([alice.close(), bob.close()]);
  });
});
