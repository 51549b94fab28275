import { generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ALGORITHMS } from '../../src/auth/algorithms.ts';
import { Authenticator } from '../../src/auth/authenticator.ts';
import { importKeys } from '../../src/auth/key-import.ts';
import { tempDir } from '../fixtures/temp-dir.ts';
import {
  CLAIMS,
  makeToken,
  NOW_MS,
  outcome,
  PAIRS,
  pemOf,
  randomSecret,
  SECRET,
  withKeys,
} from './fixtures.ts';

const { RS256, ES256, EdDSA } = PAIRS;
const jwkOf = (key: KeyObject, extra: object = {}) => ({ ...key.export({ format: 'jwk' }), ...extra });
const json = (value: unknown) => JSON.stringify(value);
const oct = (bytes: number, extra: object = {}) => ({
  kty: 'oct',
  k: Buffer.alloc(bytes, 7).toString('base64url'),
  ...extra,
});
const base64Der = (key: KeyObject) => key.export({ type: 'spki', format: 'der' }).toString('base64');
const rsaOf = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength }).publicKey;

async function algorithmsIn(content: string | Uint8Array): Promise<string> {
  const keys = await importKeys(Buffer.from(content), ALGORITHMS);
  return keys
    .map(({ algorithm, keyId }) => `${algorithm}${keyId === undefined ? '' : ` ${keyId}`}`)
    .join(', ');
}

describe('a key may be', () => {
  it.each<[string, string | Uint8Array, string]>([
    ['an RSA public key in PEM', pemOf(RS256.publicKey), 'RS256'],
    ['an RSA public key in the older PEM', RS256.publicKey.export({ type: 'pkcs1', format: 'pem' }), 'RS256'],
    ['a private key in PEM', pemOf(EdDSA.privateKey), 'EdDSA'],
    ['an EC private key in the older PEM', ES256.privateKey.export({ type: 'sec1', format: 'pem' }), 'ES256'],
    ['several in one PEM', pemOf(RS256.publicKey) + pemOf(ES256.publicKey), 'RS256, ES256'],
    ['PEM behind other text', `Bag Attributes\n${pemOf(ES256.publicKey)}`, 'ES256'],
    ['PEM with Windows line ends', pemOf(ES256.publicKey).replaceAll('\n', '\r\n'), 'ES256'],
    ['a JWK', json(jwkOf(ES256.publicKey, { kid: 'a', use: 'sig', alg: 'ES256' })), 'ES256 a'],
    ['a private JWK', json(jwkOf(EdDSA.privateKey, { key_ops: ['sign'] })), 'EdDSA'],
    ['a JWK with the newer name of EdDSA', json(jwkOf(EdDSA.publicKey, { alg: 'Ed25519' })), 'EdDSA'],
    ['a secret JWK', json(oct(32, { kid: 'h', alg: 'HS256' })), 'HS256 h'],
    [
      'a JWKS',
      json({ keys: [jwkOf(RS256.publicKey, { kid: 'r' }), jwkOf(ES256.publicKey)] }),
      'RS256 r, ES256',
    ],
    [
      'a JWKS with keys that are for something else',
      json({ keys: [jwkOf(RS256.publicKey, { use: 'enc' }), { kty: 'AKP' }, 7, jwkOf(EdDSA.publicKey)] }),
      'EdDSA',
    ],
    ['a secret', SECRET, 'HS256'],
    ['a secret with a line break behind', `${randomSecret()}\n`, 'HS256'],
    ['a secret of bytes', Uint8Array.from({ length: 32 }, (_, i) => 255 - i), 'HS256'],
  ])('%s', async (_what, content, expected) => {
    expect(await algorithmsIn(content)).toBe(expected);
  });
});

describe('a key may not be', () => {
  it.each<[string, string | Uint8Array, string]>([
    ['nothing', '', 'it is a secret of 0 bytes: HS256 takes 32 to 1024'],
    ['a secret of 31 bytes', 'x'.repeat(31), 'it is a secret of 31 bytes'],
    ['a secret of 31 bytes and white space', `${'x'.repeat(31)}  \n`, 'it is a secret of 31 bytes'],
    ['a secret JWK of 31 bytes', json(oct(31)), 'it is a secret of 31 bytes'],
    ['a secret of 1,025 bytes', 'x'.repeat(1025), 'it is a secret of 1025 bytes'],
    [
      'a public key in base64 without PEM lines',
      base64Der(RS256.publicKey),
      'in base64 without its PEM lines',
    ],
    ['… with line breaks', base64Der(RS256.publicKey).replace(/.{64}/g, '$&\n'), 'without its PEM lines'],
    ['an EC key in base64', base64Der(ES256.publicKey), 'in base64 without its PEM lines'],
    ['a public key in DER', RS256.publicKey.export({ type: 'spki', format: 'der' }), 'it is a key in DER'],
    [
      'an older public key in DER',
      RS256.publicKey.export({ type: 'pkcs1', format: 'der' }),
      'it is a key in DER',
    ],
    ["SSH's public key", 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 someone@example', 'a public key of SSH'],
    [
      'an RSA key of 1,024 bits',
      pemOf(rsaOf(1024)),
      'it is an RSA key of 1024 bits: RS256 takes 2048 to 8192',
    ],
    ['an RSA JWK of 1,024 bits', json(jwkOf(rsaOf(1024))), 'it is an RSA key of 1024 bits'],
    [
      'an RSA key for another padding',
      pemOf(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey),
      'it is a key of type rsa-pss',
    ],
    [
      'a key on another curve',
      pemOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey),
      'it is a key on the curve secp384r1: ES256 takes P-256',
    ],
    [
      'a key on the curve of Bitcoin',
      json(jwkOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey)),
      'it is a key on the curve secp256k1',
    ],
    ['a key on Ed448', pemOf(generateKeyPairSync('ed448').publicKey), 'it is a key of type ed448'],
    ['a key for agreement', pemOf(generateKeyPairSync('x25519').publicKey), 'it is a key of type x25519'],
    ['a PEM without an end', '-----BEGIN PUBLIC KEY-----\nMIIB', 'its PEM block has no end'],
    [
      'a PEM with nothing in it',
      '-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----',
      'its PEM is neither',
    ],
    [
      'a PEM with a password',
      RS256.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }),
      'its PEM is neither a key without a password nor a certificate',
    ],
    ['JSON that ends too early', '{"kty":"RSA"', 'it is no JSON'],
    ['a list', '[]', 'it is neither a JWK nor a JWKS'],
    ['a JWKS without keys', json({ keys: [] }), 'its "keys" are empty'],
    ['a JWKS whose keys are no array', json({ keys: {} }), 'its "keys" are no array'],
    ['a JWKS of 65 keys', json({ keys: Array(65).fill(oct(32)) }), 'it has more than 64 keys'],
    [
      'a JWKS of keys for encryption only',
      json({ keys: [jwkOf(RS256.publicKey, { use: 'enc' })] }),
      'none of its keys can be used; the first: its "use" is "enc", which is not "sig"',
    ],
    ['a JWK for encryption', json(jwkOf(RS256.publicKey, { use: 'enc' })), 'its "use" is "enc"'],
    ['a JWK that may not verify', json(jwkOf(RS256.publicKey, { key_ops: ['encrypt'] })), 'have no "verify"'],
    [
      'a public JWK that may only sign',
      json(jwkOf(RS256.publicKey, { key_ops: ['sign'] })),
      'have no "verify"',
    ],
    [
      'an RSA JWK that says HS256',
      json(jwkOf(RS256.publicKey, { alg: 'HS256' })),
      'its "alg" is "HS256", but a key of this type is for RS256',
    ],
    ['a secret JWK that says RS256', json(oct(32, { alg: 'RS256' })), 'its "alg" is "RS256"'],
    ['an RSA JWK for another padding', json(jwkOf(RS256.publicKey, { alg: 'PS256' })), 'is for RS256 here'],
    ['a JWK of a type that does not exist', json({ kty: 'X' }), 'it is no JWK with a valid public key'],
    ['a JWK of another type than its members', json({ ...oct(32), kty: 'RSA' }), 'it is no JWK with a valid'],
    [
      'a point that is not on the curve',
      json(jwkOf(ES256.publicKey, { y: (ES256.publicKey.export({ format: 'jwk' }) as JsonWebKey).x })),
      'it is no JWK with a valid public key',
    ],
    ['a JWK with a kid that is no text', json(oct(32, { kid: 7 })), 'its "kid" is no text'],
    ['a secret JWK that is no base64url', json({ kty: 'oct', k: 'ä'.repeat(40) }), 'its "k" is no base64url'],
  ])('%s', async (_what, content, problem) => {
    await expect(algorithmsIn(content)).rejects.toThrow(problem);
  });
});

describe('the key for a token', () => {
  const one = jwkOf(ES256.publicKey, { kid: 'one' });
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const two = jwkOf(other.publicKey, { kid: 'two' });
  const token = (kid: string | undefined, key: KeyObject) =>
    makeToken({ alg: 'ES256', ...(kid === undefined ? {} : { kid }) }, CLAIMS, key);

  it.each<[string, unknown[], string, string]>([
    ['has its kid', [one, two], token('two', other.privateKey), 'ok'],
    ['is none with another kid', [one, two], token('one', other.privateKey), 'BAD_SIGNATURE'],
    ['is none where no key has its kid', [one, two], token('three', other.privateKey), 'UNKNOWN_KEY'],
    ['is any of them where it has no kid', [one, two], token(undefined, other.privateKey), 'ok'],
    ['may have no name', [jwkOf(other.publicKey)], token('three', other.privateKey), 'ok'],
    [
      'is not one without a name where another has its kid',
      [jwkOf(other.publicKey), one],
      token('one', other.privateKey),
      'BAD_SIGNATURE',
    ],
    [
      'may share its kid with one of another type',
      [jwkOf(RS256.publicKey, { kid: 'one' }), one],
      token('one', ES256.privateKey),
      'ok',
    ],
    [
      'is of its type',
      [jwkOf(RS256.publicKey, { kid: 'one' })],
      token('one', ES256.privateKey),
      'UNKNOWN_KEY',
    ],
  ])('%s', async (_what, keys, made, expected) => {
    expect(await outcome(await withKeys([json({ keys })]), made)).toBe(expected);
  });
});

describe('a file of keys', () => {
  const path = tempDir();
  const openWith = async (file: string) => {
    const notes: string[] = [];
    let elapsed = 0;
    const authenticator = await Authenticator.open(
      { keys: [`file:${file}`], algorithms: ALGORITHMS, clockToleranceMs: 0 },
      { nowMs: () => NOW_MS, elapsedMs: () => elapsed, onNote: ({ message }) => notes.push(message) },
    );
    const later = () => {
      elapsed += 1000;
    };
    return { authenticator, notes, later };
  };
  const signed = (secret: string) => makeToken({ alg: 'HS256' }, CLAIMS, secret);

  it('is read again a second later when it has changed', async () => {
    const [first, second] = [randomSecret(), randomSecret()];
    const file = path('changing');
    writeFileSync(file, first);
    const { authenticator, notes, later } = await openWith(file);
    writeFileSync(file, second);
    expect(await outcome(authenticator, signed(first))).toBe('ok');
    later();
    expect(await outcome(authenticator, signed(first))).toBe('BAD_SIGNATURE');
    expect(await outcome(authenticator, signed(second))).toBe('ok');
    expect(notes).toEqual([`The key file ${file} was read again.`]);
  });

  it('that cannot be used any more changes nothing and is said once', async () => {
    const secret = randomSecret();
    const file = path('broken');
    writeFileSync(file, secret);
    const { authenticator, notes, later } = await openWith(file);
    writeFileSync(file, 'short');
    for (let look = 0; look < 3; look++) {
      later();
      expect(await outcome(authenticator, signed(secret))).toBe('ok');
    }
    rmSync(file);
    later();
    expect(await outcome(authenticator, signed(secret))).toBe('ok');
    expect(notes).toEqual([
      `The key file ${file} cannot be used: it is a secret of 5 bytes: HS256 takes 32 to 1024. The keys from before stay in force.`,
      expect.stringMatching(/cannot be used: ENOENT.* The keys from before stay in force\.$/),
    ]);
  });

  it('that cannot be used at the start is told', async () => {
    await expect(openWith(path('none'))).rejects.toThrow(/^The key file .*none cannot be used: ENOENT/);
  });
});

it('a variable that is empty is told', async () => {
  await expect(withKeys([''])).rejects.toThrow(
    /^The environment variable HOLDFAST_TEST_KEY_\d+ is to have a key/,
  );
});
