import { isUtf8 } from 'node:buffer';
import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { type CryptoKey, importJWK } from 'jose';
import { type Algorithm, algorithmOfKey, isAlgorithm } from './algorithms.ts';

/** A key that verifies, with the one algorithm that it is for. Private parts are left behind. */
export interface VerifyKey {
  readonly algorithm: Algorithm;
  /** Undefined for a key that has no name, which is tried for every token of its algorithm. */
  readonly keyId: string | undefined;
  readonly key: CryptoKey | Uint8Array;
}

/** Keys that one source may have. */
export const MAX_KEYS = 64;
const MAX_KEY_ID_LENGTH = 256;

/**
 * The keys in a file or variable: PEM (public or private keys, certificates), a JWK, a JWKS, or a raw secret, where white space
 * around a text does not count. A public key in some other form is refused and not taken for a secret, because everybody may
 * know it (RFC 8725, section 2.1). In a set, keys that are not for verifying by an allowed algorithm are passed over, as
 * RFC 7517, section 5 asks; one at least must be left. Throws an Error whose message ends the sentence "… cannot be used: ".
 */
export async function importKeys(bytes: Uint8Array, allowed: readonly Algorithm[]): Promise<VerifyKey[]> {
  const content = Buffer.from(bytes);
  const text = isUtf8(content)
    ? content
        .toString('utf8')
        .replace(/^\uFEFF/, '')
        .trim()
    : undefined;
  if (text?.includes('-----BEGIN ')) return importPem(text, allowed);
  if (text?.startsWith('{') || text?.startsWith('[')) return importJson(text, allowed);
  const problem = looksPublic(content, text);
  if (problem !== undefined) throw new Error(problem);
  const secret = text === undefined ? content : Buffer.from(text, 'utf8');
  return [await verifyKey(createSecretKey(secret), undefined, allowed)];
}

const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g;

async function importPem(text: string, allowed: readonly Algorithm[]): Promise<VerifyKey[]> {
  const blocks = text.match(PEM_BLOCK) ?? [];
  if (blocks.length === 0) throw new Error('its PEM block has no end');
  if (blocks.length > MAX_KEYS) throw new Error(`it has more than ${MAX_KEYS} keys`);
  const keys: VerifyKey[] = [];
  for (const block of blocks) {
    // OpenSSL writes the curve's name in front of an EC key.
    if (block.startsWith('-----BEGIN EC PARAMETERS')) continue;
    keys.push(await verifyKey(publicKeyOf(block), undefined, allowed));
  }
  if (keys.length === 0) throw new Error('its PEM has no key');
  return keys;
}

/** The public half of a PEM block or a JWK. OpenSSL's own words are left out: they name no cause that a reader could mend. */
function publicKeyOf(key: string | { key: JsonWebKey; format: 'jwk' }): KeyObject {
  try {
    return createPublicKey(key);
  } catch {
    throw new Error(
      typeof key === 'string'
        ? 'its PEM is neither a key without a password nor a certificate'
        : 'it is no JWK with a valid public key',
    );
  }
}

async function importJson(text: string, allowed: readonly Algorithm[]): Promise<VerifyKey[]> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`it is no JSON: ${(error as Error).message}`);
  }
  return importKeySet(value, allowed);
}

/** The keys of a parsed JWK or JWKS. Throws as importKeys(). */
export async function importKeySet(value: unknown, allowed: readonly Algorithm[]): Promise<VerifyKey[]> {
  if (!isRecord(value)) throw new Error('it is neither a JWK nor a JWKS');
  if (!('keys' in value)) return [await importJwk(value, allowed)];
  const { keys: members } = value;
  if (!Array.isArray(members)) throw new Error('its "keys" are no array');
  if (members.length > MAX_KEYS) throw new Error(`it has more than ${MAX_KEYS} keys`);
  const keys: VerifyKey[] = [];
  const problems: string[] = [];
  for (const member of members) {
    try {
      if (!isRecord(member)) throw new Error('it is no JWK');
      keys.push(await importJwk(member, allowed));
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  if (keys.length > 0) return keys;
  throw new Error(
    members.length === 0 ? 'its "keys" are empty' : `none of its keys can be used; the first: ${problems[0]}`,
  );
}

async function importJwk(jwk: Record<string, unknown>, allowed: readonly Algorithm[]): Promise<VerifyKey> {
  const { kty, use, key_ops: operations, alg, kid } = jwk;
  if (use !== undefined && use !== 'sig')
    throw new Error(`its "use" is ${JSON.stringify(use)}, which is not "sig"`);
  if (operations !== undefined && !forSignatures(operations, kty === 'oct' || 'd' in jwk)) {
    throw new Error('its "key_ops" have no "verify"');
  }
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KEY_ID_LENGTH)) {
    throw new Error(`its "kid" is no text of at most ${MAX_KEY_ID_LENGTH} characters`);
  }
  const key =
    kty === 'oct' ? secretOf(jwk) : publicKeyOf({ key: publicPart(jwk) as JsonWebKey, format: 'jwk' });
  const result = await verifyKey(key, kid as string | undefined, allowed);
  // RFC 9864 has a name of its own for EdDSA with Ed25519.
  const named = alg === 'Ed25519' ? 'EdDSA' : alg;
  if (named !== undefined && named !== result.algorithm) {
    throw new Error(
      `its "alg" is ${JSON.stringify(alg)}, but a key of this type is for ${result.algorithm}${isAlgorithm(named) ? '' : ' here'}`,
    );
  }
  return result;
}

/** A key file for making tokens may say "sign" only; its public half verifies. */
function forSignatures(operations: unknown, signs: boolean): boolean {
  if (!Array.isArray(operations)) return false;
  return operations.includes('verify') || (signs && operations.includes('sign'));
}

function secretOf({ k }: Record<string, unknown>): KeyObject {
  if (typeof k !== 'string' || !/^[\w-]+$/.test(k)) throw new Error('its "k" is no base64url');
  return createSecretKey(Buffer.from(k, 'base64url'));
}

const PUBLIC_MEMBERS = ['kty', 'crv', 'x', 'y', 'n', 'e'];

function publicPart(jwk: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(jwk).filter(([name]) => PUBLIC_MEMBERS.includes(name)));
}

async function verifyKey(
  key: KeyObject,
  keyId: string | undefined,
  allowed: readonly Algorithm[],
): Promise<VerifyKey> {
  const algorithm = algorithmOfKey(key);
  if (!allowed.includes(algorithm)) {
    throw new Error(`its type is for ${algorithm}, and the allowed algorithms are ${allowed.join(', ')}`);
  }
  return { algorithm, keyId, key: await importJWK(key.export({ format: 'jwk' }), algorithm) };
}

/** Why something is a public key in another form and so no secret; undefined when it is none. */
function looksPublic(content: Buffer, text: string | undefined): string | undefined {
  if (isDerKey(content)) return 'it is a key in DER: convert it to PEM with openssl pkey -inform DER -pubin';
  if (text === undefined) return undefined;
  if (/^(ssh-|ecdsa-sha2-|sk-)\S+ /.test(text)) {
    return 'it is a public key of SSH, which is no secret: convert it with ssh-keygen -e -m PKCS8';
  }
  if (!/^[\w+/=\s-]+$/.test(text)) return undefined;
  const der = Buffer.from(text, 'base64');
  if (!isDerKey(der)) return undefined;
  return 'it is a key in base64 without its PEM lines: put -----BEGIN PUBLIC KEY----- and -----END PUBLIC KEY----- around it';
}

function isDerKey(der: Buffer): boolean {
  for (const type of ['spki', 'pkcs1', 'pkcs8', 'sec1'] as const) {
    try {
      createPublicKey({ key: der, format: 'der', type } as Parameters<typeof createPublicKey>[0]);
      return true;
    } catch {
      // Not of this form; the next one may be.
    }
  }
  return false;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
