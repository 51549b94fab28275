import { generateKeyPairSync, sign } from 'node:crypto';
import { base64url, CLAIMS, makeToken, NOW_S, PAIRS, pemOf, SECRET } from './fixtures.ts';

/**
 * Tokens that an attacker would try, each with the reasons that are right for refusing it. What they attack is a server that has
 * the keys of PAIRS and, or not, SECRET. After RFC 8725 (JSON Web Token Best Current Practices) and what has gone wrong in the wild.
 */
export function hostileTokens(): [what: string, token: string, ...reasons: string[]][] {
  const good = makeToken({ alg: 'ES256' }, CLAIMS, PAIRS.ES256.privateKey);
  const [header, payload, signature] = good.split('.') as [string, string, string];
  const rsa = pemOf(PAIRS.RS256.publicKey);
  const ec = PAIRS.ES256.publicKey;
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const der = (key: typeof ec) => key.export({ type: 'spki', format: 'der' });
  const own = (extra: object) => makeToken({ alg: 'ES256', ...extra }, CLAIMS, PAIRS.ES256.privateKey);
  const foreign = (extra: object) => makeToken({ alg: 'ES256', ...extra }, CLAIMS, stranger.privateKey);
  const unsigned = (alg: unknown) => `${base64url({ alg })}.${payload}.`;
  const withAlg = (alg: unknown) => `${base64url({ alg })}.${payload}.${signature}`;
  const hmac = (secret: string | Uint8Array) => makeToken({ alg: 'HS256' }, CLAIMS, secret);
  const ecInput = `${header}.${payload}`;
  return [
    ['nothing', '', 'MISSING'],
    ['white space', ' ', 'MALFORMED'],
    ['the scheme along with it', `Bearer ${good}`, 'MALFORMED'],
    ['one part', header, 'MALFORMED'],
    ['two parts', ecInput, 'MALFORMED'],
    ['four parts', `${good}.${signature}`, 'MALFORMED'],
    [
      'five parts, as encrypted ones have',
      `${header}.${payload}.${payload}.${payload}.${signature}`,
      'MALFORMED',
    ],
    ['dots only', '..', 'MALFORMED'],
    ['no header', `.${payload}.${signature}`, 'MALFORMED'],
    ['no payload', `${header}..${signature}`, 'MALFORMED'],
    ['no signature', `${ecInput}.`, 'MALFORMED'],
    ['JSON serialization', JSON.stringify({ payload, protected: header, signature }), 'MALFORMED'],
    ['a line break inside', `${header}\n.${payload}.${signature}`, 'MALFORMED'],
    ['a NUL behind', `${good}\0`, 'MALFORMED'],
    ['letters beyond ASCII', `${header}.${payload}é.${signature}`, 'MALFORMED'],
    ['full-width letters', good.replace('e', 'ｅ'), 'MALFORMED'],
    ['padding', `${header}.${payload}.${signature}==`, 'MALFORMED'],
    ['the other base64', `${header}.${payload}.${'+'.repeat(86)}`, 'MALFORMED'],
    ['bits that no byte has', `${header}.${payload}.${'A'.repeat(85)}B`, 'MALFORMED'],
    ['a part of an impossible length', `${header}.${payload}.${'A'.repeat(85)}`, 'MALFORMED'],
    [
      '8,193 bytes',
      makeToken({ alg: 'HS256' }, { ...CLAIMS, pad: 'x'.repeat(5990) }).padEnd(8193, 'A'),
      'MALFORMED',
    ],
    ['a megabyte', 'A'.repeat(1_048_576), 'MALFORMED'],
    ['a megabyte of dots', '.'.repeat(1_048_576), 'MALFORMED'],
    ['a header that is no JSON', makeToken('{"alg":"HS256"', CLAIMS), 'MALFORMED'],
    ['a header that is an array', makeToken('["HS256"]', CLAIMS), 'MALFORMED'],
    ['a header that is null', makeToken('null', CLAIMS), 'MALFORMED'],
    ['a header that is a number', makeToken('1', CLAIMS), 'MALFORMED'],
    ['a header as deep as it goes', makeToken('['.repeat(3000), CLAIMS), 'MALFORMED'],
    [
      'a header that is no UTF-8',
      `${base64url(Uint8Array.of(0x7b, 0xff, 0x7d))}.${payload}.${signature}`,
      'MALFORMED',
    ],
    ['alg none and no signature', unsigned('none'), 'MALFORMED'],
    ...['none', 'None', 'NONE', 'nOnE', 'none ', ''].map(
      (alg) =>
        [`alg ${JSON.stringify(alg)} and a signature`, withAlg(alg), 'MALFORMED'] as [string, string, string],
    ),
    ...[
      undefined,
      null,
      1,
      true,
      ['ES256'],
      { ES256: 1 },
      'es256',
      'ES256K',
      'ES384',
      'PS256',
      'HS384',
      'HS512',
      'dir',
      '__proto__',
    ].map((alg) => [`alg ${JSON.stringify(alg)}`, withAlg(alg), 'MALFORMED'] as [string, string, string]),
    ["the RSA key's PEM as a secret", hmac(rsa), 'BAD_SIGNATURE', 'UNKNOWN_KEY'],
    [
      "the RSA key's PEM without its last line break as a secret",
      hmac(rsa.trim()),
      'BAD_SIGNATURE',
      'UNKNOWN_KEY',
    ],
    ["the RSA key's DER as a secret", hmac(der(PAIRS.RS256.publicKey)), 'BAD_SIGNATURE', 'UNKNOWN_KEY'],
    ["the EC key's PEM as a secret", hmac(pemOf(ec)), 'BAD_SIGNATURE', 'UNKNOWN_KEY'],
    ["the EC key's DER as a secret", hmac(der(ec)), 'BAD_SIGNATURE', 'UNKNOWN_KEY'],
    [
      "the EC key's JWK as a secret",
      hmac(JSON.stringify(ec.export({ format: 'jwk' }))),
      'BAD_SIGNATURE',
      'UNKNOWN_KEY',
    ],
    [
      "the Ed25519 key's bytes as a secret",
      hmac(der(PAIRS.EdDSA.publicKey).subarray(-32)),
      'BAD_SIGNATURE',
      'UNKNOWN_KEY',
    ],
    ['an empty secret', hmac(''), 'BAD_SIGNATURE', 'UNKNOWN_KEY'],
    ['a secret of NULs', hmac(new Uint8Array(32)), 'BAD_SIGNATURE', 'UNKNOWN_KEY'],
    ['RS256 said of an ES256 signature', withAlg('RS256'), 'BAD_SIGNATURE'],
    ['EdDSA said of an ES256 signature', withAlg('EdDSA'), 'BAD_SIGNATURE'],
    ['the signature of a stranger', foreign({}), 'BAD_SIGNATURE'],
    [
      "a stranger's key inside",
      foreign({ jwk: stranger.publicKey.export({ format: 'jwk' }) }),
      'BAD_SIGNATURE',
    ],
    ["the address of a stranger's keys", foreign({ jku: 'http://127.0.0.1:9/jwks' }), 'BAD_SIGNATURE'],
    ["the address of a stranger's certificate", foreign({ x5u: 'http://127.0.0.1:9/x5' }), 'BAD_SIGNATURE'],
    [
      "a stranger's certificate inside",
      foreign({ x5c: [der(stranger.publicKey).toString('base64')] }),
      'BAD_SIGNATURE',
    ],
    ...['../../../../dev/null', "' OR 1=1 --", '__proto__', 'constructor', '', 'k'.repeat(256)].map(
      (kid) =>
        [
          `kid ${JSON.stringify(kid.slice(0, 30))} and the signature of a stranger`,
          foreign({ kid }),
          'BAD_SIGNATURE',
          'UNKNOWN_KEY',
        ] as [string, string, string, string],
    ),
    ...[1, null, {}, ['a'], 'k'.repeat(257)].map(
      (kid) =>
        [`kid ${JSON.stringify(kid).slice(0, 30)}`, own({ kid }), 'MALFORMED'] as [string, string, string],
    ),
    ['crit with something unknown', own({ crit: ['x'], x: 1 }), 'MALFORMED'],
    ['crit that is empty', own({ crit: [] }), 'MALFORMED'],
    ['crit with b64', own({ crit: ['b64'], b64: false }), 'MALFORMED'],
    ['b64 without crit', own({ b64: false }), 'MALFORMED'],
    ['typ of a logout token', own({ typ: 'logout+jwt' }), 'MALFORMED'],
    ['typ of a security event', own({ typ: 'application/secevent+jwt' }), 'MALFORMED'],
    ['typ that is no text', own({ typ: 1 }), 'MALFORMED'],
    [
      'another payload under the signature',
      `${header}.${base64url({ ...CLAIMS, sub: 'mallory' })}.${signature}`,
      'BAD_SIGNATURE',
    ],
    [
      'another header under the signature',
      `${base64url({ alg: 'ES256', typ: 'JWT' })}.${payload}.${signature}`,
      'BAD_SIGNATURE',
    ],
    [
      'a signature cut short',
      `${ecInput}.${Buffer.from(signature, 'base64url').subarray(0, 63).toString('base64url')}`,
      'BAD_SIGNATURE',
    ],
    [
      'a signature with more behind',
      `${ecInput}.${Buffer.concat([Buffer.from(signature, 'base64url'), Buffer.alloc(1)]).toString('base64url')}`,
      'BAD_SIGNATURE',
    ],
    [
      'a signature of zeroes (CVE-2022-21449)',
      `${ecInput}.${base64url(new Uint8Array(64))}`,
      'BAD_SIGNATURE',
    ],
    [
      'an ECDSA signature in DER',
      `${ecInput}.${base64url(sign('sha256', Buffer.from(ecInput), PAIRS.ES256.privateKey))}`,
      'BAD_SIGNATURE',
    ],
    [
      'an Ed25519 signature of zeroes',
      `${base64url({ alg: 'EdDSA' })}.${payload}.${base64url(new Uint8Array(64))}`,
      'BAD_SIGNATURE',
    ],
    [
      'an RSA signature of zeroes',
      `${base64url({ alg: 'RS256' })}.${payload}.${base64url(new Uint8Array(256))}`,
      'BAD_SIGNATURE',
    ],
    [
      'an RSA signature of one',
      `${base64url({ alg: 'RS256' })}.${payload}.${base64url(Uint8Array.from({ length: 256 }, (_, i) => (i === 255 ? 1 : 0)))}`,
      'BAD_SIGNATURE',
    ],
    [
      'claims inside of __proto__',
      makeToken({ alg: 'ES256' }, `{"__proto__":${JSON.stringify(CLAIMS)}}`, PAIRS.ES256.privateKey),
      'BAD_CLAIM',
    ],
    [
      'a payload as deep as it goes',
      makeToken({ alg: 'ES256' }, '['.repeat(5000), PAIRS.ES256.privateKey),
      'MALFORMED',
    ],
    ['a payload that is a text', makeToken({ alg: 'ES256' }, '"alice"', PAIRS.ES256.privateKey), 'MALFORMED'],
    [
      'an old one',
      makeToken({ alg: 'ES256' }, { ...CLAIMS, exp: NOW_S - 1 }, PAIRS.ES256.privateKey),
      'EXPIRED',
    ],
    [
      'one that never ends',
      makeToken({ alg: 'ES256' }, { ...CLAIMS, exp: undefined }, PAIRS.ES256.privateKey),
      'BAD_CLAIM',
    ],
  ];
}

/** The keys that the table attacks, as a server is given them. */
export const ATTACKED_KEYS = Object.values(PAIRS).map(({ publicKey }) => pemOf(publicKey));
export const ATTACKED_SECRET = SECRET;
