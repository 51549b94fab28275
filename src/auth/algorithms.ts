import type { KeyObject } from 'node:crypto';

/** The algorithms that a server can be told to take. Each is bound to one type of key: see algorithmOfKey(). */
export const ALGORITHMS = ['HS256', 'RS256', 'ES256', 'EdDSA'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** NIST SP 800-131A: shorter RSA keys are not for signatures any more; RFC 7518, section 3.3 says the same. */
export const MIN_RSA_BITS = 2048;
/** Longer ones only cost time. */
export const MAX_RSA_BITS = 8192;
/** RFC 7518, section 3.2: at least as long as the hash. */
export const MIN_SECRET_BYTES = 32;
export const MAX_SECRET_BYTES = 1024;

export function isAlgorithm(text: unknown): text is Algorithm {
  return (ALGORITHMS as readonly unknown[]).includes(text);
}

/**
 * The one algorithm that a key is for, which follows from the key and never from a token: an RSA key is for RS256, one on
 * P-256 for ES256, one on Ed25519 for EdDSA, a secret for HS256. Throws an Error that says what is wrong with any other.
 */
export function algorithmOfKey(key: KeyObject): Algorithm {
  if (key.type === 'secret') {
    const bytes = key.symmetricKeySize ?? 0;
    if (bytes < MIN_SECRET_BYTES || bytes > MAX_SECRET_BYTES) {
      throw new Error(
        `it is a secret of ${bytes} bytes: HS256 takes ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES}`,
      );
    }
    return 'HS256';
  }
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS) {
        throw new Error(
          `it is an RSA key of ${modulusLength} bits: RS256 takes ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`,
        );
      }
      if (publicExponent < 3n || publicExponent % 2n === 0n || publicExponent > 0xffff_ffffn) {
        throw new Error('it is an RSA key whose exponent is not odd or not from 3 to 2^32');
      }
      return 'RS256';
    case 'ec':
      if (namedCurve === 'prime256v1') return 'ES256';
      throw new Error(`it is a key on the curve ${namedCurve}: ES256 takes P-256`);
    case 'ed25519':
      return 'EdDSA';
    default:
      throw new Error(
        `it is a key of type ${key.asymmetricKeyType}: only RSA, P-256, Ed25519 and secrets can be used`,
      );
  }
}
