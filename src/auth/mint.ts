import {
  createPrivateKey,
  createSecretKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { importJWK, SignJWT } from 'jose';
import { type Algorithm, algorithmOfKey } from './algorithms.ts';

/** A key that signs, with the one algorithm that it is for. */
export interface SigningKey {
  readonly algorithm: Algorithm;
  readonly keyId: string | undefined;
  readonly key: KeyObject;
}

/** What a token is to say. Times are whole seconds since the epoch, as in tokens. */
export interface TokenClaims {
  readonly subject: string;
  readonly scopes: readonly string[];
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly vip?: boolean;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
}

/** A pair of keys as JWK; of a secret there is only one half, which signs and verifies. */
export interface GeneratedKey {
  readonly signing: JsonWebKey;
  readonly verifying: JsonWebKey | undefined;
}

const RSA_BITS = 3072;
const SECRET_BYTES = 32;

/** A new key with a name by which tokens and key sets refer to it. */
export function generateKey(algorithm: Algorithm): GeneratedKey {
  const about = { kid: randomBytes(8).toString('hex'), alg: algorithm, use: 'sig' };
  if (algorithm === 'HS256') {
    const secret = createSecretKey(randomBytes(SECRET_BYTES));
    return { signing: { ...secret.export({ format: 'jwk' }), ...about }, verifying: undefined };
  }
  const { privateKey, publicKey } = newPair(algorithm);
  return {
    signing: { ...privateKey.export({ format: 'jwk' }), ...about },
    verifying: { ...publicKey.export({ format: 'jwk' }), ...about },
  };
}

function newPair(algorithm: Exclude<Algorithm, 'HS256'>): { privateKey: KeyObject; publicKey: KeyObject } {
  if (algorithm === 'RS256') return generateKeyPairSync('rsa', { modulusLength: RSA_BITS });
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return generateKeyPairSync('ed25519');
}

/**
 * The key in a file or variable that can sign: a private key in PEM, a private or secret JWK, or a raw secret. Throws an Error
 * whose message ends the sentence "… cannot be used: ".
 */
export function importSigningKey(text: string): SigningKey {
  const trimmed = text.trim();
  if (trimmed.startsWith('{')) return ofJwk(trimmed);
  if (trimmed.includes('-----BEGIN ')) return named(privateKeyOf(trimmed), undefined);
  return named(createSecretKey(Buffer.from(trimmed, 'utf8')), undefined);
}

function ofJwk(text: string): SigningKey {
  let jwk: JsonWebKey & { kid?: unknown };
  try {
    jwk = JSON.parse(text);
  } catch (error) {
    throw new Error(`it is no JSON: ${(error as Error).message}`);
  }
  const keyId = typeof jwk.kid === 'string' ? jwk.kid : undefined;
  if (jwk.kty === 'oct') return named(createSecretKey(Buffer.from(String(jwk.k), 'base64url')), keyId);
  return named(privateKeyOf({ key: jwk, format: 'jwk' }), keyId);
}

function privateKeyOf(key: string | { key: JsonWebKey; format: 'jwk' }): KeyObject {
  try {
    return createPrivateKey(key);
  } catch {
    throw new Error('it has no private key without a password, and a public key signs nothing');
  }
}

function named(key: KeyObject, keyId: string | undefined): SigningKey {
  return { algorithm: algorithmOfKey(key), keyId, key };
}

/** A token by a key, with a `jti` of its own, so that it can be revoked. */
export async function mintToken(
  { algorithm, keyId, key }: SigningKey,
  claims: TokenClaims,
): Promise<{ token: string; tokenId: string }> {
  const tokenId = randomBytes(16).toString('base64url');
  const { subject, scopes, issuedAt, expiresAt, vip = false, issuer, audience } = claims;
  const jwt = new SignJWT({ scope: scopes.join(' '), ...(vip ? { vip } : {}) })
    .setProtectedHeader({ alg: algorithm, typ: 'JWT', ...(keyId === undefined ? {} : { kid: keyId }) })
    .setSubject(subject)
    .setIssuedAt(issuedAt)
    .setExpirationTime(expiresAt)
    .setJti(tokenId);
  if (issuer !== undefined) jwt.setIssuer(issuer);
  if (audience !== undefined) jwt.setAudience(audience);
  const token = await jwt.sign(await importJWK(key.export({ format: 'jwk' }), algorithm));
  return { token, tokenId };
}
