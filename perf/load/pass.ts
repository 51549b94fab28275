import { importSigningKey, mintToken, type SigningKey } from '../../src/auth/mint.ts';

/** How the clients of a load get in where the server asks for tokens: all by one, or each by one of its own. Plain, to be posted to threads. */
export interface Pass {
  readonly token?: string | undefined;
  /** The text of a key that signs. */
  readonly key?: string | undefined;
}

/** No run is as long. */
const VALID_S = 86_400;

/** The token of a client of that name; undefined where the server asks for none. */
export async function tokenFor(
  pass: Pass,
  name: string,
  scopes: readonly string[],
): Promise<string | undefined> {
  if (pass.key === undefined) return pass.token;
  const issuedAt = Math.floor(Date.now() / 1000);
  const claims = { subject: name, scopes, issuedAt, expiresAt: issuedAt + VALID_S };
  return (await mintToken(signingKey(pass.key), claims)).token;
}

let last: { text: string; key: SigningKey } | undefined;

/** The same key makes all tokens of a run. */
function signingKey(text: string): SigningKey {
  if (last?.text !== text) last = { text, key: importSigningKey(text) };
  return last.key;
}

/** Path of an upgrade: with the client's name where it brings no token, which would say it. */
export function upgradePath(name: string, token: string | undefined): string {
  return token === undefined ? `/v1/ws?holder=${name}` : '/v1/ws';
}
