import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Scope } from '../../protocol/status.ts';
import { ALGORITHMS } from '../../src/auth/algorithms.ts';
import { Authenticator } from '../../src/auth/authenticator.ts';
import { tempDir } from '../fixtures/temp-dir.ts';
import { runCli } from './fixtures.ts';

const path = tempDir();

/** What a server whose keys are in this place makes of a token. */
async function identityOf(token: string, authKeys: string, rules = {}) {
  const options = { keys: [authKeys], algorithms: ALGORITHMS, clockToleranceMs: 0, ...rules };
  return (await Authenticator.open(options)).verify(token);
}

describe('holdfast token', () => {
  test.each(ALGORITHMS)('makes a key for %s, and tokens by it that a server takes', async (algorithm) => {
    const key = path(`${algorithm}.json`);
    const made = await runCli(['token', '--generate-key', algorithm, '--key', key, '--json']);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const { authKeys } = JSON.parse(made.stdout);
    expect(authKeys).toBe(`file:${algorithm === 'HS256' ? key : path(`${algorithm}.public.json`)}`);
    expect(statSync(key).mode & 0o777).toBe(0o600);
    if (algorithm !== 'HS256') {
      expect(Object.keys(JSON.parse(readFileSync(authKeys.slice(5), 'utf8')))).not.toContain('d');
    }

    const flags = ['--sub', 'alice', '--scope', 'hold,admin', '--ttl', '10m', '--vip', '--issuer', 'me'];
    const { stdout, code } = await runCli(['token', '--key', key, ...flags, '--audience', 'holdfast']);
    expect(code).toBe(0);
    const identity = await identityOf(stdout.trim(), authKeys, { issuer: 'me', audience: 'holdfast' });
    expect(identity).toMatchObject({ subject: 'alice', scopes: Scope.HOLD | Scope.ADMIN, vip: true });
    expect(identity.tokenId).toMatch(/^[\w-]{22}$/);
    expect(identity.expiresAtMs - identity.issuedAtMs).toBe(600_000);
  });

  test('takes a secret from a variable, and says in JSON what it made', async () => {
    const env = { KEY: 'a secret of 32 bytes and no less', HOLDFAST_TOKEN_KEY: 'env:KEY' };
    const { stdout } = await runCli(['token', '--sub', 'bob', '--json'], env);
    const { token, tokenId, ...rest } = JSON.parse(stdout);
    expect(rest).toEqual({
      subject: 'bob',
      scopes: ['hold'],
      vip: false,
      algorithm: 'HS256',
      keyId: null,
      expiresAt: expect.any(Number),
    });
    const file = path('secret');
    writeFileSync(file, env.KEY);
    expect(await identityOf(token, `file:${file}`)).toMatchObject({ subject: 'bob', tokenId });
  });

  test('takes a private key in PEM', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(path('private.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(path('public.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
    const { stdout } = await runCli(['token', '--sub', 'carol', '--key', path('private.pem')]);
    expect(await identityOf(stdout.trim(), `file:${path('public.pem')}`)).toMatchObject({ subject: 'carol' });
    const refused = await runCli(['token', '--sub', 'carol', '--key', path('public.pem')]);
    expect(refused.stderr).toContain('cannot be used: it has no private key without a password');
  });

  test('makes key and token in one go, where only the token is written', async () => {
    const key = path('both.json');
    const { stdout } = await runCli(['token', '--generate-key', 'EdDSA', '--key', key, '--sub', 'dave']);
    expect(stdout.trim().split('.')).toHaveLength(3);
    expect(existsSync(path('both.public.json'))).toBe(true);
  });

  test('writes no key over another', async () => {
    const key = path('there.json');
    writeFileSync(key, 'mine');
    const { code, stderr } = await runCli(['token', '--generate-key', 'HS256', '--key', key]);
    expect(code).toBe(2);
    expect(stderr).toBe(
      `holdfast: ${key} is there already, and no key is written over. Take another path, or leave --generate-key out to use it.\n`,
    );
    expect(readFileSync(key, 'utf8')).toBe('mine');
  });

  test.each<[string, string[], RegExp]>([
    ['without a key', ['--sub', 'alice'], /No key to sign with: name one with --key/],
    ['without a subject', ['--key', 'x'], /Name the subject with --sub/],
    [
      'with a key that is not there',
      ['--sub', 'a', '--key', './none'],
      /The key \.\/none cannot be used: ENOENT/,
    ],
    [
      'with a variable that is not there',
      ['--sub', 'a', '--key', 'env:NONE'],
      /environment variable NONE cannot be used: it is a secret of 0 bytes/,
    ],
    ['with a new key in a variable', ['--generate-key', 'HS256', '--key', 'env:A'], /written to a file/],
    [
      'with an algorithm of another kind',
      ['--generate-key', 'none', '--key', 'x'],
      /Allowed choices are HS256/,
    ],
    ['with a subject that is too long', ['--sub', 'x'.repeat(65), '--key', 'x'], /1 to 64 bytes; it has 65/],
    [
      'with a scope that does not exist',
      ['--sub', 'a', '--scope', 'root', '--key', 'x'],
      /There is no scope root/,
    ],
    ['for too long', ['--sub', 'a', '--ttl', '31d', '--key', 'x'], /It must be a duration/],
  ])('%s: says what to do, with code 2', async (_what, args, message) => {
    const { code, stderr } = await runCli(['token', ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
