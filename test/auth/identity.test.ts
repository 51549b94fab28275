import { describe, expect, it } from 'vitest';
import { Scope } from '../../protocol/status.ts';
import { CLAIMS, makeToken, NOW_MS, NOW_S, outcome, PAIRS, pemOf, SECRET, withKeys } from './fixtures.ts';

const HS256 = { alg: 'HS256' };

describe('a token that holds', () => {
  it.each([
    ['HS256', SECRET, SECRET],
    ['RS256', pemOf(PAIRS.RS256.publicKey), PAIRS.RS256.privateKey],
    ['ES256', pemOf(PAIRS.ES256.publicKey), PAIRS.ES256.privateKey],
    ['EdDSA', pemOf(PAIRS.EdDSA.publicKey), PAIRS.EdDSA.privateKey],
  ])('says who brings it, by %s', async (alg, configured, key) => {
    const authenticator = await withKeys([configured]);
    const token = makeToken({ alg, typ: 'JWT' }, { ...CLAIMS, iat: NOW_S, jti: 'one', vip: true }, key);
    expect(await authenticator.verify(token)).toEqual({
      subject: 'alice',
      scopes: Scope.HOLD | Scope.STOCK | Scope.ADMIN,
      expiresAtMs: NOW_MS + 60_000,
      issuedAtMs: NOW_MS,
      vip: true,
      tokenId: 'one',
    });
  });

  it.each<[string, object, Partial<{ scopes: number; vip: boolean; subject: string }>]>([
    ['no scope', { scope: undefined }, { scopes: 0 }],
    ['scopes of other servers', { scope: 'openid hold profile' }, { scopes: Scope.HOLD }],
    ['scopes as an array', { scope: undefined, scopes: ['stock', 'read'] }, { scopes: Scope.STOCK }],
    ['scopes both ways', { scope: 'hold', scopes: ['stock'] }, { scopes: Scope.HOLD | Scope.STOCK }],
    ['a scope in other letters', { scope: 'Admin HOLD' }, { scopes: 0 }],
    ['no vip', {}, { vip: false }],
    ['the longest subject', { sub: 'é'.repeat(32) }, { subject: 'é'.repeat(32) }],
  ])('may have %s', async (_what, claims, expected) => {
    const authenticator = await withKeys([SECRET]);
    expect(await authenticator.verify(makeToken(HS256, { ...CLAIMS, ...claims }))).toMatchObject(expected);
  });
});

describe('the claims of a token', () => {
  const rules = { issuer: 'https://issuer.example', audience: 'holdfast', clockToleranceMs: 5000 };
  const good = { ...CLAIMS, iss: rules.issuer, aud: rules.audience };

  it.each<[string, object | string, string]>([
    ['all as wanted', good, 'ok'],
    ['exp that is missing', { ...good, exp: undefined }, 'BAD_CLAIM'],
    ['exp as text', { ...good, exp: String(NOW_S + 60) }, 'BAD_CLAIM'],
    ['exp that no date can be', { ...good, exp: 1e300 }, 'BAD_CLAIM'],
    ['exp before 1970', { ...good, exp: -1 }, 'BAD_CLAIM'],
    ['exp as null', { ...good, exp: null }, 'BAD_CLAIM'],
    ['exp with a fraction', { ...good, exp: NOW_S + 0.5 }, 'ok'],
    ['exp just within the tolerance', { ...good, exp: NOW_S - 4.999 }, 'ok'],
    ['exp at the end of the tolerance', { ...good, exp: NOW_S - 5 }, 'EXPIRED'],
    ['nbf now', { ...good, nbf: NOW_S }, 'ok'],
    ['nbf at the end of the tolerance', { ...good, nbf: NOW_S + 5 }, 'ok'],
    ['nbf past the tolerance', { ...good, nbf: NOW_S + 5.001 }, 'NOT_YET_VALID'],
    ['nbf as text', { ...good, nbf: 'soon' }, 'BAD_CLAIM'],
    ['iat as text', { ...good, iat: 'then' }, 'BAD_CLAIM'],
    ['no iss', { ...good, iss: undefined }, 'WRONG_ISSUER'],
    ['another iss', { ...good, iss: 'https://issuer.example/' }, 'WRONG_ISSUER'],
    ['iss as an array', { ...good, iss: [rules.issuer] }, 'BAD_CLAIM'],
    ['no aud', { ...good, aud: undefined }, 'WRONG_AUDIENCE'],
    ['another aud', { ...good, aud: 'holdfast2' }, 'WRONG_AUDIENCE'],
    ['aud among others', { ...good, aud: ['shop', 'holdfast'] }, 'ok'],
    ['aud among others, none of them ours', { ...good, aud: ['shop', 'till'] }, 'WRONG_AUDIENCE'],
    ['aud with numbers', { ...good, aud: ['holdfast', 1] }, 'BAD_CLAIM'],
    ['no sub', { ...good, sub: undefined }, 'BAD_CLAIM'],
    ['an empty sub', { ...good, sub: '' }, 'BAD_CLAIM'],
    ['sub as a number', { ...good, sub: 7 }, 'BAD_CLAIM'],
    ['a sub that is too long', { ...good, sub: 'x'.repeat(65) }, 'BAD_CLAIM'],
    ['a sub that is too long in UTF-8', { ...good, sub: 'é'.repeat(33) }, 'BAD_CLAIM'],
    ['a sub with half a surrogate pair', { ...good, sub: 'a\ud800' }, 'BAD_CLAIM'],
    ['scope as an array', { ...good, scope: ['admin'] }, 'BAD_CLAIM'],
    ['scopes as text', { ...good, scopes: 'admin' }, 'BAD_CLAIM'],
    ['scopes with objects', { ...good, scopes: [{}] }, 'BAD_CLAIM'],
    ['vip as text', { ...good, vip: 'true' }, 'BAD_CLAIM'],
    ['vip as a number', { ...good, vip: 1 }, 'BAD_CLAIM'],
    ['jti as a number', { ...good, jti: 1 }, 'BAD_CLAIM'],
    ['an empty jti', { ...good, jti: '' }, 'BAD_CLAIM'],
    ['no object but an array', [good], 'MALFORMED'],
    ['no object but null', 'null', 'MALFORMED'],
    ['no JSON', '{"sub":', 'MALFORMED'],
  ])('with %s: %s', async (_what, claims, expected) => {
    const authenticator = await withKeys([SECRET], rules);
    expect(await outcome(authenticator, makeToken(HS256, claims))).toBe(expected);
  });
});
