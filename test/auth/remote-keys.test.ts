import { generateKeyPairSync } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ALGORITHMS } from '../../src/auth/algorithms.ts';
import { Authenticator, MAX_WAITING } from '../../src/auth/authenticator.ts';
import { COOLDOWN_MS, MAX_AGE_MS, MAX_JWKS_BYTES, MAX_STALE_MS } from '../../src/auth/remote-keys.ts';
import { CLAIMS, makeToken, NOW_MS, outcome } from './fixtures.ts';
import { type JwksServer, startJwksServer } from './jwks-server.ts';

/** A pair of keys by name: its JWK, and tokens of it. */
function named(kid: string) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return {
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' },
    token: makeToken({ alg: 'EdDSA', kid }, CLAIMS, privateKey),
  };
}
const [old, next, unknown] = [named('old'), named('next'), named('unknown')];

async function openAt(server: JwksServer) {
  const notes: string[] = [];
  const time = { elapsedMs: 0 };
  const authenticator = await Authenticator.open(
    { keys: [server.url], algorithms: ALGORITHMS, clockToleranceMs: 0 },
    {
      nowMs: () => NOW_MS,
      elapsedMs: () => time.elapsedMs,
      onNote: ({ message }) => notes.push(message.replace(server.url, 'URL')),
    },
  );
  return { authenticator, notes, time };
}

afterEach(() => vi.restoreAllMocks());

describe('keys of an address', () => {
  it('are asked for once, and kept', async () => {
    const server = await startJwksServer(old.jwk);
    const { authenticator } = await openAt(server);
    const all = Array.from({ length: 50 }, () => outcome(authenticator, old.token));
    expect(new Set(await Promise.all(all))).toEqual(new Set(['ok']));
    expect(server.requests).toBe(1);
  });

  it('are asked for anew when a token names one that is not there, and not again within the cooldown', async () => {
    const server = await startJwksServer(old.jwk);
    const { authenticator, time } = await openAt(server);
    server.serve(old.jwk, next.jwk);
    expect(await outcome(authenticator, next.token)).toBe('UNKNOWN_KEY');
    expect(server.requests).toBe(1);
    time.elapsedMs = COOLDOWN_MS;
    const all = Array.from({ length: 50 }, () => outcome(authenticator, next.token));
    expect(new Set(await Promise.all(all))).toEqual(new Set(['ok']));
    expect(server.requests).toBe(2);
    for (let again = 0; again < 20; again++)
      expect(await outcome(authenticator, unknown.token)).toBe('UNKNOWN_KEY');
    expect(server.requests).toBe(2);
  });

  it('that were taken away are gone when the rest is asked for anew', async () => {
    const server = await startJwksServer(old.jwk);
    const { authenticator, time } = await openAt(server);
    server.serve(next.jwk);
    time.elapsedMs = MAX_AGE_MS;
    expect(await outcome(authenticator, old.token)).toBe('ok');
    await expect.poll(() => outcome(authenticator, old.token)).toBe('UNKNOWN_KEY');
    expect(await outcome(authenticator, next.token)).toBe('ok');
    expect(server.requests).toBe(2);
  });

  it('stay in force while the address does not answer, for an hour', async () => {
    const server = await startJwksServer(old.jwk);
    const { authenticator, notes, time } = await openAt(server);
    server.answer = (_request, response) => response.writeHead(503).end();
    time.elapsedMs = MAX_STALE_MS - 1;
    expect(await outcome(authenticator, old.token)).toBe('ok');
    await expect.poll(() => notes).toHaveLength(1);
    time.elapsedMs = MAX_STALE_MS + COOLDOWN_MS;
    expect(await outcome(authenticator, old.token)).toBe('KEYS_UNAVAILABLE');
    server.serve(old.jwk);
    time.elapsedMs += COOLDOWN_MS;
    expect(await outcome(authenticator, old.token)).toBe('ok');
    expect(notes).toEqual([
      'No keys from URL: the answer is HTTP 503. Those from before stay in force for at most 60 minutes.',
      'Keys come from URL again.',
    ]);
  });

  it('that cannot be had at the start are had later', async () => {
    const server = await startJwksServer();
    server.answer = (_request, response) => response.destroy();
    const { authenticator, notes, time } = await openAt(server);
    expect(await outcome(authenticator, old.token)).toBe('KEYS_UNAVAILABLE');
    server.serve(old.jwk);
    expect(await outcome(authenticator, old.token)).toBe('KEYS_UNAVAILABLE');
    time.elapsedMs = COOLDOWN_MS;
    expect(await outcome(authenticator, old.token)).toBe('ok');
    expect(server.requests).toBe(2);
    expect(notes[0]).toMatch(/^No keys from URL: .* Tokens that need them are refused until they come\.$/);
  });

  it('are named, since a token tells nothing of a key that cannot be had', async () => {
    const server = await startJwksServer(old.jwk);
    const { authenticator } = await openAt(server);
    const forged = `${old.token.slice(0, -8)}AAAAAAAA`;
    expect(await outcome(authenticator, forged)).toBe('BAD_SIGNATURE');
    expect(server.requests).toBe(1);
  });
});

describe('an answer that is no key set is refused:', () => {
  const body = (text: string) => (_request: IncomingMessage, response: ServerResponse) => response.end(text);
  it.each<[string, JwksServer['answer'], string]>([
    ['an error', (_request, response) => response.writeHead(500).end('{}'), 'the answer is HTTP 500'],
    [
      'a redirection',
      (_request, response) => response.writeHead(302, { location: '/other' }).end(),
      'the answer is HTTP 302',
    ],
    ['no JSON', body('<html>'), 'Unexpected token'],
    ['a list', body('[]'), 'it is neither a JWK nor a JWKS'],
    ['nothing', body(''), 'Unexpected end of JSON input'],
    ['no keys', body('{"keys":[]}'), 'its "keys" are empty'],
    ['too many keys', body(JSON.stringify({ keys: Array(65).fill(old.jwk) })), 'it has more than 64 keys'],
    ['too long', body(`{"keys":[]}${' '.repeat(MAX_JWKS_BYTES)}`), 'the answer has more than 262144 bytes'],
    [
      'endless',
      (_request, response) => {
        const more = () => {
          while (response.write(Buffer.alloc(16_384, ' ')));
        };
        response.on('drain', more);
        more();
      },
      'the answer has more than 262144 bytes',
    ],
  ])('%s', async (_what, answer, problem) => {
    const server = await startJwksServer();
    server.answer = answer;
    const { authenticator, notes } = await openAt(server);
    expect(await outcome(authenticator, old.token)).toBe('KEYS_UNAVAILABLE');
    expect(notes).toEqual([expect.stringContaining(problem)]);
  });

  it('none in time', async () => {
    const original = AbortSignal.timeout;
    const waits: number[] = [];
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      waits.push(ms);
      return original(50);
    });
    const server = await startJwksServer();
    server.answer = (_request, response) => response.write('{"keys":[');
    const { authenticator, notes } = await openAt(server);
    expect(await outcome(authenticator, old.token)).toBe('KEYS_UNAVAILABLE');
    expect(waits).toEqual([5000]);
    expect(notes).toEqual([expect.stringContaining('no answer within 5000 ms')]);
  });
});

it('keys of a file and of an address stand side by side', async () => {
  const server = await startJwksServer(next.jwk);
  process.env.HOLDFAST_TEST_SIDE = JSON.stringify(old.jwk);
  const authenticator = await Authenticator.open(
    { keys: ['env:HOLDFAST_TEST_SIDE', server.url], algorithms: ALGORITHMS, clockToleranceMs: 0 },
    { nowMs: () => NOW_MS },
  );
  delete process.env.HOLDFAST_TEST_SIDE;
  expect(await outcome(authenticator, old.token)).toBe('ok');
  expect(await outcome(authenticator, next.token)).toBe('ok');
  server.answer = (_request, response) => response.destroy();
  expect(await outcome(authenticator, old.token)).toBe('ok');
});

it('no source, or one of no known form, is told at the start', async () => {
  const open = (keys: string[]) => Authenticator.open({ keys, algorithms: ALGORITHMS, clockToleranceMs: 0 });
  await expect(open([])).rejects.toThrow('Tokens cannot be checked without a key.');
  await expect(open(['http://id.example/jwks'])).rejects.toThrow(
    'Keys cannot come from http://id.example/jwks: it must be file:<path>, env:<variable>, https://…, or http://… on loopback.',
  );
});

describe('an address that hangs', () => {
  /** A key in the environment beside an address that has answered so, and hangs from now on. */
  async function openBeside(answer: JwksServer['answer']) {
    const server = await startJwksServer();
    server.answer = answer;
    const variable = 'HOLDFAST_TEST_KEY_BESIDE';
    process.env[variable] = JSON.stringify(old.jwk);
    const time = { elapsedMs: 0 };
    const authenticator = await Authenticator.open(
      { keys: [`env:${variable}`, server.url], algorithms: ALGORITHMS, clockToleranceMs: 0 },
      { nowMs: () => NOW_MS, elapsedMs: () => time.elapsedMs },
    );
    const hung: (() => void)[] = [];
    server.answer = (_request, response) =>
      void hung.push(() => response.end(JSON.stringify({ keys: [next.jwk, unknown.jwk] })));
    time.elapsedMs = COOLDOWN_MS;
    return { authenticator, hung };
  }

  it('keeps no token waiting whose key is known, and only so many others', async () => {
    const { authenticator, hung } = await openBeside((_request, response) =>
      response.end(JSON.stringify({ keys: [next.jwk] })),
    );
    const waiting = Array.from({ length: MAX_WAITING }, () => outcome(authenticator, unknown.token));
    await expect.poll(() => hung).toHaveLength(1);
    expect(await outcome(authenticator, unknown.token)).toBe('KEYS_UNAVAILABLE');
    for (const { token } of [old, next]) expect(await outcome(authenticator, token)).toBe('ok');
    hung[0]?.();
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['ok']));
    expect(hung).toHaveLength(1);
    expect(await outcome(authenticator, unknown.token)).toBe('ok');
  });

  it('keeps no token waiting that another source knows, when it has never answered', async () => {
    const { authenticator, hung } = await openBeside((_request, response) => response.writeHead(503).end());
    expect(await outcome(authenticator, old.token)).toBe('ok');
    await expect.poll(() => hung).toHaveLength(1);
    expect(await outcome(authenticator, old.token)).toBe('ok');
    const waiting = outcome(authenticator, next.token);
    hung[0]?.();
    expect(await waiting).toBe('ok');
  });
});
