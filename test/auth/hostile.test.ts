import { describe, expect, it } from 'vitest';
import { MAX_TOKEN_BYTES } from '../../protocol/limits.ts';
import { CLAIMS, makeToken, outcome, PAIRS, pemOf, SECRET, withKeys } from './fixtures.ts';
import { ATTACKED_KEYS, ATTACKED_SECRET, hostileTokens } from './hostile-tokens.ts';

describe.each([
  ['public keys only', ATTACKED_KEYS],
  ['public keys and a secret', [...ATTACKED_KEYS, ATTACKED_SECRET]],
])('a server with %s refuses', async (_what, keys) => {
  const authenticator = await withKeys(keys);

  it.each(hostileTokens())('%s', async (_token, token, ...reasons) => {
    expect(reasons).toContain(await outcome(authenticator, token));
  });
});

it('a token of the longest length is taken, and one byte more is not', async () => {
  const authenticator = await withKeys([SECRET]);
  const ofLength = (bytes: number) => {
    for (let pad = 5800; ; pad++) {
      const token = makeToken({ alg: 'HS256' }, { ...CLAIMS, pad: 'x'.repeat(pad) });
      if (token.length >= bytes) return token;
    }
  };
  const longest = ofLength(MAX_TOKEN_BYTES);
  expect(longest).toHaveLength(MAX_TOKEN_BYTES);
  expect(await outcome(authenticator, longest)).toBe('ok');
  expect(await outcome(authenticator, ofLength(MAX_TOKEN_BYTES + 1))).toBe('MALFORMED');
});

describe('an algorithm that is not allowed', () => {
  it('is refused although there is a key for it elsewhere', async () => {
    const authenticator = await withKeys([pemOf(PAIRS.ES256.publicKey)], { algorithms: ['ES256'] });
    expect(await outcome(authenticator, makeToken({ alg: 'ES256' }, CLAIMS, PAIRS.ES256.privateKey))).toBe(
      'ok',
    );
    expect(await outcome(authenticator, makeToken({ alg: 'EdDSA' }, CLAIMS, PAIRS.EdDSA.privateKey))).toBe(
      'MALFORMED',
    );
  });

  it('makes its keys useless, which is said', async () => {
    await expect(withKeys([SECRET], { algorithms: ['RS256', 'ES256'] })).rejects.toThrow(
      'its type is for HS256, and the allowed algorithms are RS256, ES256',
    );
  });
});
