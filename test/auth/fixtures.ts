import { createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { authReasonName } from '../../protocol/status.ts';
import { ALGORITHMS } from '../../src/auth/algorithms.ts';
import { Authenticator, type AuthOptions, type AuthSurroundings } from '../../src/auth/authenticator.ts';
import { AuthError } from '../../src/auth/identity.ts';

/** The time of every test that does not care. */
export const NOW_MS = Date.UTC(2026, 10, 21, 12);
export const NOW_S = NOW_MS / 1000;

/** Claims that open everything for a minute. */
export const CLAIMS = { sub: 'alice', scope: 'hold stock admin', exp: NOW_S + 60 };

export const SECRET = 'a secret of 32 bytes and no less';

/** One pair of keys for each kind that can sign, made once: RSA takes a while. */
export const PAIRS = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
};

export function pemOf(key: KeyObject): string {
  return key.export({ type: key.type === 'private' ? 'pkcs8' : 'spki', format: 'pem' }) as string;
}

export function base64url(part: string | Uint8Array | object): string {
  if (typeof part !== 'string' && !(part instanceof Uint8Array)) return base64url(JSON.stringify(part));
  return Buffer.from(part as string).toString('base64url');
}

/**
 * A token, made without the library that checks it. Header and payload may be text, to be wrong on purpose; the signature is by
 * `signAlg`, whatever the header says.
 */
export function makeToken(
  header: Record<string, unknown> | string,
  payload: object | string,
  key: KeyObject | string | Uint8Array = SECRET,
  signAlg = (header as { alg?: string }).alg ?? 'HS256',
): string {
  const input = `${base64url(header)}.${base64url(payload)}`;
  return `${input}.${signatureOf(input, key, signAlg).toString('base64url')}`;
}

function signatureOf(input: string, key: KeyObject | string | Uint8Array, alg: string): Buffer {
  const bytes = Buffer.from(input);
  if (alg === 'RS256') return sign('sha256', bytes, key as KeyObject);
  if (alg === 'ES256') return sign('sha256', bytes, { key: key as KeyObject, dsaEncoding: 'ieee-p1363' });
  if (alg === 'EdDSA') return sign(null, bytes, key as KeyObject);
  return createHmac(alg === 'HS512' ? 'sha512' : 'sha256', key as string)
    .update(bytes)
    .digest();
}

let variables = 0;

/** An authenticator whose keys are these texts, at NOW_MS. */
export async function withKeys(
  texts: readonly string[],
  options: Partial<AuthOptions> = {},
  surroundings: AuthSurroundings = {},
): Promise<Authenticator> {
  const names = texts.map((text) => {
    const name = `HOLDFAST_TEST_KEY_${++variables}`;
    process.env[name] = text;
    return name;
  });
  try {
    return await Authenticator.open(
      {
        keys: names.map((name) => `env:${name}`),
        algorithms: ALGORITHMS,
        clockToleranceMs: 0,
        ...options,
      },
      { nowMs: () => NOW_MS, ...surroundings },
    );
  } finally {
    for (const name of names) delete process.env[name];
  }
}

/** `ok`, or the name of the reason for which a token is refused. Anything but an AuthError is thrown on. */
export async function outcome(authenticator: Authenticator, token: string): Promise<string> {
  try {
    await authenticator.verify(token);
    return 'ok';
  } catch (error) {
    if (error instanceof AuthError) return authReasonName(error.reason);
    throw error;
  }
}

export function randomSecret(): string {
  return randomBytes(32).toString('hex');
}
