import { MAX_HOLDER_BYTES } from '../../protocol/limits.ts';
import { AuthReason, Scope } from '../../protocol/status.ts';
import { AuthError, type Identity } from './identity.ts';

/** What the claims of a token are held against. */
export interface ClaimRules {
  /** What `iss` must be; undefined takes any. */
  readonly issuer?: string | undefined;
  /** What `aud` must be or have; undefined takes any. */
  readonly audience?: string | undefined;
  readonly clockToleranceMs: number;
}

/** Seconds that a date can be: to the end of the year 9999. */
const MAX_SECONDS = 253_402_300_799;
const MAX_TOKEN_ID_LENGTH = 256;
const SCOPES: ReadonlyMap<string, number> = new Map([
  ['hold', Scope.HOLD],
  ['stock', Scope.STOCK],
  ['admin', Scope.ADMIN],
]);

/**
 * Who brings a token, by its payload, whose signature holds. Throws AuthError with the first reason that applies, in the order
 * of the AuthReason that says it: BAD_CLAIM comes with whatever is not of its type.
 *
 * @param nowMs the wall clock: dates in tokens are on it
 */
export function readClaims(payload: Uint8Array, rules: ClaimRules, nowMs: number): Identity {
  const claims = parse(payload);
  const { clockToleranceMs } = rules;
  const expiresAtMs = date(claims, 'exp') + clockToleranceMs;
  const notBeforeMs = 'nbf' in claims ? date(claims, 'nbf') - clockToleranceMs : 0;
  const issuedAtMs = 'iat' in claims ? date(claims, 'iat') : 0;
  if (nowMs >= expiresAtMs) {
    throw new AuthError(
      AuthReason.EXPIRED,
      `The token expired at ${new Date(expiresAtMs - clockToleranceMs).toISOString()}.`,
    );
  }
  if (nowMs < notBeforeMs) {
    throw new AuthError(
      AuthReason.NOT_YET_VALID,
      `The token is valid from ${new Date(notBeforeMs + clockToleranceMs).toISOString()} on.`,
    );
  }
  checkIssuer(claims, rules.issuer);
  checkAudience(claims, rules.audience);
  const { jti } = claims;
  if (jti !== undefined && (typeof jti !== 'string' || jti === '' || jti.length > MAX_TOKEN_ID_LENGTH)) {
    throw badClaim(`"jti" must be a text of 1 to ${MAX_TOKEN_ID_LENGTH} characters.`);
  }
  return {
    subject: subjectOf(claims),
    scopes: scopesOf(claims),
    expiresAtMs,
    issuedAtMs,
    vip: vipOf(claims),
    ...(jti === undefined ? {} : { tokenId: jti }),
  };
}

type Claims = Record<string, unknown>;

function parse(payload: Uint8Array): Claims {
  let claims: unknown;
  try {
    claims = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    throw new AuthError(AuthReason.MALFORMED, 'The payload of the token is no JSON.');
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw new AuthError(AuthReason.MALFORMED, 'The payload of the token is no JSON object.');
  }
  return claims as Claims;
}

/** A NumericDate, which may have a fraction, in ms since the epoch. */
function date(claims: Claims, name: string): number {
  const seconds = claims[name];
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds <= MAX_SECONDS)) {
    throw badClaim(`"${name}" must be there as seconds since the epoch.`);
  }
  return Math.floor(seconds * 1000);
}

function checkIssuer({ iss }: Claims, wanted: string | undefined): void {
  if (iss !== undefined && typeof iss !== 'string') throw badClaim('"iss" must be a text.');
  if (wanted !== undefined && iss !== wanted) {
    throw new AuthError(AuthReason.WRONG_ISSUER, 'The token is from another issuer ("iss").');
  }
}

function checkAudience({ aud }: Claims, wanted: string | undefined): void {
  const audiences = aud === undefined ? [] : [aud].flat();
  if (!audiences.every((one) => typeof one === 'string'))
    throw badClaim('"aud" must be a text or an array of texts.');
  if (wanted !== undefined && !audiences.includes(wanted)) {
    throw new AuthError(AuthReason.WRONG_AUDIENCE, 'The token is for another audience ("aud").');
  }
}

function subjectOf({ sub }: Claims): string {
  // Half of a surrogate pair has no UTF-8: two such subjects would be one holder.
  const bytes = typeof sub === 'string' && sub.isWellFormed() ? Buffer.byteLength(sub) : 0;
  if (bytes < 1 || bytes > MAX_HOLDER_BYTES)
    throw badClaim(`"sub" must be a text of 1 to ${MAX_HOLDER_BYTES} bytes.`);
  return sub as string;
}

/** `scope` as OAuth 2.0 has it, or `scopes` as an array. Scopes of other servers are passed over. */
function scopesOf({ scope = '', scopes = [] }: Claims): number {
  if (typeof scope !== 'string') throw badClaim('"scope" must be a text, with spaces between scopes.');
  if (!Array.isArray(scopes) || !scopes.every((one) => typeof one === 'string')) {
    throw badClaim('"scopes" must be an array of texts.');
  }
  let bits = 0;
  for (const name of [...scope.split(' '), ...scopes]) bits |= SCOPES.get(name) ?? 0;
  return bits;
}

function vipOf({ vip = false }: Claims): boolean {
  if (typeof vip !== 'boolean') throw badClaim('"vip" must be true or false.');
  return vip;
}

function badClaim(message: string): AuthError {
  return new AuthError(AuthReason.BAD_CLAIM, `A claim of the token cannot be used: ${message}`);
}
