import { readFileSync } from 'node:fs';
import { Option } from 'commander';
import type { SigningKey } from '../auth/mint.ts';
import { CliError, ExitCode } from './exit.ts';

/** A signing key for a command that brings many clients, each of them with a token of its own; what is given as --token is not used then. */
export function tokenKeyOption(): Option {
  return new Option(
    '--token-key <source>',
    'key to make a token with for each client, as in holdfast token --key, in place of --token (default: none)',
  ).env('HOLDFAST_TOKEN_KEY');
}

/** Makes a token for a subject with some scopes. */
export type TokenMaker = (subject: string, scopes: readonly string[]) => Promise<string>;

/** A maker of tokens by the key in a place. Throws CliError for a key that cannot sign. */
export async function tokenMaker(source: string, ttlMs: number): Promise<TokenMaker> {
  const { mintToken } = await import('../auth/mint.ts');
  const key = await readSigningKey(source);
  return async (subject, scopes) => {
    const issuedAt = Math.floor(Date.now() / 1000);
    const dates = { issuedAt, expiresAt: issuedAt + Math.ceil(ttlMs / 1000) };
    return (await mintToken(key, { subject, scopes, ...dates })).token;
  };
}

/** The key in a file (a path, or file:<path>) or in a variable (env:<variable>). Throws CliError for one that cannot sign. */
export async function readSigningKey(source: string): Promise<SigningKey & { text: string }> {
  // Loaded here so that other commands do not load the library for tokens.
  const { importSigningKey } = await import('../auth/mint.ts');
  const variable = /^env:(.+)$/.exec(source)?.[1];
  const path = source.replace(/^file:/, '');
  const where =
    variable === undefined ? `The key ${path}` : `The key in the environment variable ${variable}`;
  try {
    const text = variable === undefined ? readFileSync(path, 'utf8') : (process.env[variable] ?? '');
    return { ...importSigningKey(text), text };
  } catch (error) {
    throw new CliError(ExitCode.USAGE, 'USAGE', `${where} cannot be used: ${(error as Error).message}.`);
  }
}
