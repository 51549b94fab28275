import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { AuthReason, Layer, Scope, Status } from '../../protocol/status.ts';
import type { ConnectOptions, TokenSource } from '../../src/client/index.ts';
import { connect } from '../../src/client/index.ts';
import { errorOf } from './fixtures/client.ts';
import { type FakeSocket, fakeSockets } from './fixtures/fake-socket.ts';
import { agree, u64 } from './fixtures/wire.ts';

const MINUTE_MS = 60_000;

/** A client that is connecting with a token, in a time that only the test moves on; half of every random bound. */
function connecting(token: TokenSource, options: ConnectOptions = {}) {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const { webSocket, sockets } = fakeSockets();
  const client = connect('ws://fake/v1/ws', { token, ...options, webSocket });
  client.catch(() => {});
  return { client, sockets };
}

/** The AUTH that a socket was sent last. */
function authOn(socket: FakeSocket | undefined): [id: number, token: unknown] {
  const [op, id, token] = socket?.commands.findLast(([op]) => op === Op.AUTH) ?? [];
  expect(op).toBe(Op.AUTH);
  return [id as number, token];
}

function grant(socket: FakeSocket | undefined, { holder = 'alice', forMs = 0 } = {}): void {
  const expiresAt = forMs === 0 ? 0 : Date.now() + forMs;
  socket?.deliver([authOn(socket)[0], Status.OK, holder, u64(expiresAt)]);
}

function refuse(socket: FakeSocket | undefined, status: number, ...results: number[]): void {
  socket?.deliver([authOn(socket)[0], status, ...results]);
}

const turn = () => vi.advanceTimersByTimeAsync(0);

async function connected(token: TokenSource, options: ConnectOptions = {}, forMs = 0) {
  const { client, sockets } = connecting(token, options);
  sockets[0]?.greet();
  await turn();
  grant(sockets[0], { forMs });
  return { client: await client, sockets };
}

afterEach(() => vi.restoreAllMocks());

describe('a token', () => {
  it('goes first, and commands behind its answer', async () => {
    const { client, sockets } = connecting('the token');
    sockets[0]?.greet();
    await turn();
    expect(sockets[0]?.commands).toEqual([[Op.AUTH, Number.MAX_SAFE_INTEGER, 'the token']]);
    expect(sockets[0]?.url).toBe('ws://fake/v1/ws');
    grant(sockets[0]);
    const opened = await client;
    expect(opened.holder).toBe('alice');
    expect(opened.state).toBe('open');
    void opened.read('sku').catch(() => {});
    await turn();
    expect(sockets[0]?.commands.at(-1)?.[0]).toBe(Op.READ);
  });

  it.each([
    ['a text', 'a text'],
    ['a function', () => 'a text'],
    ['a function that takes a while', async () => 'a text'],
  ])('may be %s', async (_what, token) => {
    const { sockets } = await connected(token);
    expect(authOn(sockets[0])[1]).toBe('a text');
  });

  it.each<[string, unknown, string]>([
    ['empty', '', 'token'],
    ['too long', 'x'.repeat(8193), 'token'],
    ['a number', 7, 'token'],
  ])('may not be %s, and is not shown', async (_what, token, argument) => {
    const error = await errorOf(connect('ws://fake/', { token: token as string }));
    expect(error).toMatchObject({ code: 'MALFORMED', details: { argument } });
    expect(error.message).not.toContain('xxx');
  });

  it('leaves no place for the name of a holder', async () => {
    const error = await errorOf(connect('ws://fake/', { token: 't', holder: 'alice' }));
    expect(error).toMatchObject({ code: 'MALFORMED', details: { argument: 'holder' } });
  });

  it.each<[string, number, number[], string, object]>([
    ['EXPIRED', Status.UNAUTHENTICATED, [AuthReason.EXPIRED], 'UNAUTHENTICATED', { reason: 'EXPIRED' }],
    ['REVOKED', Status.UNAUTHENTICATED, [AuthReason.REVOKED], 'UNAUTHENTICATED', { reason: 'REVOKED' }],
    ['FORBIDDEN', Status.FORBIDDEN, [Scope.ADMIN], 'FORBIDDEN', { scope: 'admin' }],
  ])('that the server refuses as %s ends the client', async (_what, status, results, code, details) => {
    const { client, sockets } = connecting(() => 'bad');
    sockets[0]?.greet();
    await turn();
    refuse(sockets[0], status, ...results);
    expect(await errorOf(client)).toMatchObject({ code, details });
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(sockets).toHaveLength(1);
    expect(sockets[0]?.closedWith).toBeDefined();
  });

  it.each<[string, number, number[], number]>([
    ['BUSY', Status.BUSY, [1000, Layer.CONNECTION], 1000],
    ['RATE_LIMITED', Status.RATE_LIMITED, [700, Layer.ADDRESS_RATE], 700],
    ['KEYS_UNAVAILABLE', Status.UNAUTHENTICATED, [AuthReason.KEYS_UNAVAILABLE], 0],
  ])(
    'that the server cannot look at now, %s, comes again after its time',
    async (_what, status, results, waitMs) => {
      const { client, sockets } = connecting('the token');
      sockets[0]?.greet();
      await turn();
      refuse(sockets[0], status, ...results);
      await vi.advanceTimersByTimeAsync(waitMs + 49);
      expect(sockets[0]?.commands).toHaveLength(1);
      await vi.advanceTimersByTimeAsync(1);
      expect(sockets[0]?.commands).toHaveLength(2);
      grant(sockets[0]);
      expect((await client).state).toBe('open');
    },
  );

  it('without an answer ends connecting when its time is over', async () => {
    const { client, sockets } = connecting('the token', { timeoutMs: 300 });
    sockets[0]?.greet();
    await vi.advanceTimersByTimeAsync(300);
    const error = await errorOf(client);
    expect(error).toMatchObject({ code: 'CLOSED' });
    expect(error.message).toContain('could not be opened with a token within 300 ms');
  });

  it('that nobody gave, where the server wants one, ends the client', async () => {
    vi.useFakeTimers();
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const { webSocket, sockets } = fakeSockets();
    const opening = connect('ws://fake/v1/ws', { webSocket });
    sockets[0]?.greet();
    const client = await opening;
    const reading = errorOf(client.read('sku'));
    sockets[0]?.end(4401, 'no valid token came within 5000 ms');
    expect(await reading).toMatchObject({ code: 'UNAUTHENTICATED', details: { reason: 'MISSING' } });
    expect(client.state).toBe('closed');
  });
});

describe('a function that fetches tokens', () => {
  it('is called anew for each connection', async () => {
    let calls = 0;
    const { client, sockets } = await connected(() => `token ${++calls}`);
    sockets[0]?.end(4401, 'the token expired');
    await vi.advanceTimersByTimeAsync(50);
    sockets[1]?.greet();
    await turn();
    expect(authOn(sockets[1])[1]).toBe('token 2');
    expect(client.state).toBe('connecting');
    grant(sockets[1]);
    expect(client.state).toBe('open');
  });

  it('renews the token in place before it expires, at half of its spread, again and again', async () => {
    let calls = 0;
    const { sockets } = await connected(() => `token ${++calls}`, {}, MINUTE_MS);
    for (const round of [2, 3, 4]) {
      await vi.advanceTimersByTimeAsync(0.825 * MINUTE_MS - 100);
      expect(calls).toBe(round - 1);
      await vi.advanceTimersByTimeAsync(200);
      expect(authOn(sockets[0])[1]).toBe(`token ${round}`);
      grant(sockets[0], { forMs: MINUTE_MS });
    }
    expect(sockets).toHaveLength(1);
  });

  it('is asked again at half of what is left when it fails, or its token does not do', async () => {
    const tokens = ['one', new Error('offline'), 'stale', 'three'];
    const fetched: unknown[] = [];
    const { client, sockets } = await connected(
      () => {
        const next = tokens[fetched.length] as string | Error;
        fetched.push(next);
        if (next instanceof Error) throw next;
        return next;
      },
      {},
      100_000,
    );
    await vi.advanceTimersByTimeAsync(82_500);
    expect(fetched).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(8750);
    expect(fetched).toHaveLength(3);
    refuse(sockets[0], Status.UNAUTHENTICATED, AuthReason.EXPIRED);
    await vi.advanceTimersByTimeAsync(4375);
    expect(fetched).toHaveLength(4);
    grant(sockets[0], { forMs: MINUTE_MS });
    expect(client.state).toBe('open');
    expect(sockets).toHaveLength(1);
  });

  it('is not called more often than once a second for tokens that have no time left', async () => {
    let calls = 0;
    const { sockets } = await connected(() => `token ${++calls}`, {}, 10);
    for (let answered = 1, tenths = 0; tenths < 50; tenths++) {
      await vi.advanceTimersByTimeAsync(100);
      for (; answered < calls; answered++) grant(sockets[0], { forMs: 10 });
    }
    expect(calls).toBe(6);
  });

  it('that fails at first ends connecting, with what it threw as the cause', async () => {
    const { client, sockets } = connecting(async () => {
      throw new Error('the identity provider is down');
    });
    sockets[0]?.greet();
    const error = await errorOf(client);
    expect(error).toMatchObject({ code: 'UNAUTHENTICATED', details: { reason: 'MISSING', sent: false } });
    expect(error.message).toContain('the identity provider is down');
    expect((error as Error).cause).toBeInstanceOf(Error);
  });

  it('that fails later is called again with the next attempt to connect', async () => {
    let calls = 0;
    const { client, sockets } = await connected(() => {
      if (++calls === 2) throw new Error('offline');
      return `token ${calls}`;
    });
    sockets[0]?.end();
    await vi.advanceTimersByTimeAsync(50);
    sockets[1]?.greet();
    await turn();
    expect(client.state).toBe('connecting');
    await vi.advanceTimersByTimeAsync(5000);
    sockets[2]?.greet();
    await turn();
    expect(authOn(sockets[2])[1]).toBe('token 3');
  });

  it('that brings the token of another holder ends the client, before a command of the one goes to the other', async () => {
    const { client, sockets } = await connected(() => 'token');
    sockets[0]?.end();
    const confirming = errorOf(client.confirm(7));
    await vi.advanceTimersByTimeAsync(50);
    sockets[1]?.greet();
    await turn();
    grant(sockets[1], { holder: 'bob' });
    expect(await confirming).toMatchObject({ code: 'FORBIDDEN' });
    expect(sockets[1]?.commands.map(([op]) => op)).toEqual([Op.AUTH]);
  });

  it('that brings the token of another holder in place ends the client', async () => {
    const { client, sockets } = await connected(() => 'token', {}, MINUTE_MS);
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    refuse(sockets[0], Status.FORBIDDEN, 0);
    expect(client.state).toBe('closed');
  });

  it('is not called any more after close()', async () => {
    let calls = 0;
    const { client, sockets } = await connected(() => `token ${++calls}`, {}, MINUTE_MS);
    void client.close();
    sockets[0]?.end(1000);
    await vi.advanceTimersByTimeAsync(10 * MINUTE_MS);
    expect(calls).toBe(1);
  });
});

it('a token that is a text ends the client when it has expired', async () => {
  const { client, sockets } = await connected('the token', {}, MINUTE_MS);
  await vi.advanceTimersByTimeAsync(2 * MINUTE_MS);
  expect(sockets[0]?.commands).toHaveLength(1);
  const reading = errorOf(client.read('sku'));
  sockets[0]?.end(4401, 'the token expired');
  await vi.advanceTimersByTimeAsync(50);
  sockets[1]?.greet();
  await turn();
  refuse(sockets[1], Status.UNAUTHENTICATED, AuthReason.EXPIRED);
  expect(await reading).toMatchObject({ code: 'UNAUTHENTICATED', details: { reason: 'EXPIRED' } });
});

it("the time that a token takes does not count into the server's time", async () => {
  const { client, sockets } = connecting(
    () => new Promise((resolve) => setTimeout(() => resolve('late'), 3000)),
  );
  (sockets[0] as FakeSocket).answerTime = undefined;
  sockets[0]?.greet({ serverTime: 1_000_000 });
  await vi.advanceTimersByTimeAsync(3000);
  grant(sockets[0]);
  expect((await client).serverNow()).toBeCloseTo(1_003_000, -2);
});

it('what was asked for while the token was looked at leaves when it is taken', async () => {
  const { client, sockets } = await connected('the token');
  sockets[0]?.end();
  await vi.advanceTimersByTimeAsync(50);
  sockets[1]?.greet();
  const reading = client.read('sku');
  await turn();
  expect(sockets[1]?.commands.map(([op]) => op)).toEqual([Op.AUTH]);
  grant(sockets[1]);
  await turn();
  const read = sockets[1]?.commands.at(-1);
  sockets[1]?.deliver(agree(read as [number, number]));
  expect(await reading).toMatchObject({ total: 10 });
});
