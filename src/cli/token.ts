import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { MAX_HOLDER_BYTES } from '../../protocol/limits.ts';
import { ALGORITHMS, type Algorithm } from '../auth/algorithms.ts';
import type { GeneratedKey } from '../auth/mint.ts';
import { CliError, ExitCode } from './exit.ts';
import { durationFrom, jsonOption } from './options.ts';
import { print } from './output.ts';
import { readSigningKey } from './signing-key.ts';

interface TokenOptions {
  key?: string;
  generateKey?: Algorithm;
  sub?: string;
  scope: readonly string[];
  ttl: number;
  vip: boolean;
  issuer?: string;
  audience?: string;
  json: boolean;
}

const SCOPES = ['hold', 'stock', 'admin'];
const LONGEST_TTL_MS = 30 * 86_400_000;

/** `holdfast token`: tokens for development, and for services of one's own that have no other issuer. */
export function tokenCommand(): Command {
  return new Command('token')
    .description('Make a token, or a key for tokens.')
    .addOption(
      new Option(
        '--key <source>',
        'key that signs: a path, or env:<variable>; a private key in PEM or JWK, or a secret of at least 32 bytes (default: none)',
      ).env('HOLDFAST_TOKEN_KEY'),
    )
    .addOption(
      new Option(
        '--generate-key <algorithm>',
        'make a new key first and write it to the path of --key, which must not be there yet; of a pair, the public half goes beside it (default: no new key)',
      ).choices(ALGORITHMS),
    )
    .addOption(
      new Option(
        '--sub <name>',
        `subject, who is the holder; 1 to ${MAX_HOLDER_BYTES} bytes (default: none, no token is made)`,
      ).argParser(subject),
    )
    .addOption(
      new Option('--scope <scopes>', `what the token allows: ${SCOPES.join(', ')}, with commas between them`)
        .default(['hold'], 'hold')
        .argParser(scopes),
    )
    .addOption(
      new Option(
        '--ttl <duration>',
        'how long the token is valid, such as 15m or 8h, up to 30d; a bare number is ms',
      )
        .default(3_600_000, '1h')
        .argParser(durationFrom(1000, LONGEST_TTL_MS)),
    )
    .addOption(new Option('--vip', 'let its commands go before those of others').default(false, 'off'))
    .addOption(new Option('--issuer <text>', 'what the token says as iss (default: nothing)'))
    .addOption(new Option('--audience <text>', 'what the token says as aud (default: nothing)'))
    .addOption(jsonOption())
    .action(token);
}

async function token(options: TokenOptions): Promise<void> {
  const { key, generateKey: algorithm, sub, json } = options;
  if (key === undefined) {
    throw usage(
      'No key to sign with: name one with --key or HOLDFAST_TOKEN_KEY, or make one with ' +
        '--generate-key EdDSA --key dev-key.json.',
    );
  }
  if (algorithm === undefined && sub === undefined) {
    throw usage('Whose token shall it be? Name the subject with --sub.');
  }
  // Loaded here so that other commands do not load the library for tokens.
  const auth = await import('../auth/mint.ts');
  if (algorithm !== undefined) {
    const written = writeKey(key, auth.generateKey(algorithm));
    if (sub === undefined) print(json, written, keyText(written));
  }
  if (sub !== undefined) await mint(options, auth, key, sub);
}

type Auth = typeof import('../auth/mint.ts');

async function mint(options: TokenOptions, auth: Auth, source: string, subject: string): Promise<void> {
  const { scope, ttl, vip, issuer, audience, json } = options;
  const key = await readSigningKey(source);
  const issuedAt = Math.floor(Date.now() / 1000);
  const expiresAt = issuedAt + Math.ceil(ttl / 1000);
  const claims = { subject, scopes: scope, issuedAt, expiresAt, vip, issuer, audience };
  const made = await auth.mintToken(key, claims);
  const { algorithm, keyId = null } = key;
  // Alone on its line, so that $(holdfast token …) is the token.
  print(
    json,
    { ...made, subject, scopes: scope, vip, algorithm, keyId, expiresAt: expiresAt * 1000 },
    made.token,
  );
}

interface WrittenKey {
  algorithm: string;
  keyId: string;
  /** Where the half that signs was written. */
  signing: string;
  /** What --auth-keys of the server should be. */
  authKeys: string;
}

/** Writes a new key; for its owner to read only, the public half for everybody. */
function writeKey(source: string, { signing, verifying }: GeneratedKey): WrittenKey {
  if (source.startsWith('env:')) throw usage('A new key is written to a file: give a path as --key.');
  const path = source.replace(/^file:/, '');
  writeNew(path, signing, 0o600);
  const publicPath = `${path.replace(/\.json$/, '')}.public.json`;
  if (verifying !== undefined) writeNew(publicPath, verifying, 0o644);
  const authKeys = `file:${verifying === undefined ? path : publicPath}`;
  return { algorithm: String(signing.alg), keyId: String(signing.kid), signing: path, authKeys };
}

function writeNew(path: string, jwk: object, mode: number): void {
  try {
    writeFileSync(path, `${JSON.stringify(jwk, null, 2)}\n`, { flag: 'wx', mode });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw usage(
      code === 'EEXIST'
        ? `${path} is there already, and no key is written over. Take another path, or leave --generate-key out to use it.`
        : `The key cannot be written: ${message}.`,
    );
  }
}

function keyText({ algorithm, signing, authKeys }: WrittenKey): string {
  const secret = authKeys === `file:${signing}`;
  return (
    `${signing}: a new key for ${algorithm}, which signs${secret ? ' and verifies' : ''}. Keep it to yourself.\n` +
    `next: holdfast serve --auth-keys ${authKeys}\n` +
    `      holdfast token --key ${signing} --sub alice --scope hold`
  );
}

function subject(text: string): string {
  const bytes = Buffer.byteLength(text);
  if (bytes < 1 || bytes > MAX_HOLDER_BYTES) {
    throw new InvalidArgumentError(`It must be a name of 1 to ${MAX_HOLDER_BYTES} bytes; it has ${bytes}.`);
  }
  return text;
}

function scopes(text: string): readonly string[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== '');
  const wrong = names.find((name) => !SCOPES.includes(name));
  if (wrong !== undefined) {
    throw new InvalidArgumentError(`There is no scope ${wrong}; the scopes are ${SCOPES.join(', ')}.`);
  }
  return [...new Set(names)];
}

function usage(message: string): CliError {
  return new CliError(ExitCode.USAGE, 'USAGE', message);
}
