import { compactVerify } from 'jose';
import { AuthReason } from '../../protocol/status.ts';
import type { Algorithm } from './algorithms.ts';
import { type ClaimRules, readClaims } from './claims.ts';
import { readHeader, type TokenHeader } from './compact.ts';
import { AuthError, AuthSetupError, type Identity } from './identity.ts';
import type { VerifyKey } from './key-import.ts';
import type { KeySource, OnNote } from './key-source.ts';
import { openKeySource } from './open-key-source.ts';
import { Revocations } from './revocations.ts';

/** Plain values, so that they can be posted to a thread. */
export interface AuthOptions extends ClaimRules {
  /** Where keys come from: file:<path>, env:<variable>, an address of a JWKS. At least one. */
  readonly keys: readonly string[];
  readonly algorithms: readonly Algorithm[];
  /** The file of revocations; undefined or empty keeps them in memory. */
  readonly revocations?: string | undefined;
}

/** What comes from outside of the options, for tests and logs. */
export interface AuthSurroundings {
  /** The wall clock, in ms since the epoch. */
  readonly nowMs?: () => number;
  /** A clock that only goes forward, in ms, for the age of what is cached. */
  readonly elapsedMs?: () => number;
  readonly onNote?: OnNote;
}

/** Keys with which one token is tried at most, all of its own algorithm. */
export const MAX_TRIES = 8;
/** Tokens that wait at a time for keys from far away; further ones are told to come again. Those whose key is known never wait. */
export const MAX_WAITING = 64;
/** What `typ` may say, if anything: kinds of tokens that have no business here, such as logout tokens, have another (RFC 8725, section 3.11). */
const TYPES = new Set(['jwt', 'at+jwt']);

/**
 * Tells who brings a token. One per front thread; verify() may be called any number of times at once.
 *
 * The order of the checks: length and form, algorithm against the allow-list, key by kid and type, signature, dates, issuer,
 * audience, other claims, revocations. What costs most comes last, and nothing of the token is believed before its signature holds.
 */
export class Authenticator {
  readonly revocations: Revocations;
  private readonly options: AuthOptions;
  private readonly sources: readonly KeySource[];
  private readonly nowMs: () => number;
  private waiting = 0;

  private constructor(
    options: AuthOptions,
    sources: readonly KeySource[],
    revocations: Revocations,
    nowMs: () => number,
  ) {
    this.options = options;
    this.sources = sources;
    this.revocations = revocations;
    this.nowMs = nowMs;
  }

  /**
   * Reads keys and revocations. Throws AuthSetupError for files and variables that cannot be used. A JWKS address is asked too,
   * but one that does not answer is no reason not to start: its tokens get KEYS_UNAVAILABLE until it does.
   */
  static async open(options: AuthOptions, surroundings: AuthSurroundings = {}): Promise<Authenticator> {
    const { nowMs = Date.now, elapsedMs = () => performance.now(), onNote = () => {} } = surroundings;
    if (options.keys.length === 0) throw new AuthSetupError('Tokens cannot be checked without a key.');
    const sources: KeySource[] = [];
    for (const name of options.keys) {
      sources.push(await openKeySource(name, options.algorithms, onNote, elapsedMs));
    }
    const revocations = await Revocations.open(options.revocations ?? '', { nowMs, elapsedMs, onNote });
    await Promise.all(sources.map((source) => source.lookAgain()));
    return new Authenticator(options, sources, revocations, nowMs);
  }

  /** Rejects with AuthError. */
  async verify(token: string): Promise<Identity> {
    const { header, payload } = await this.verifySignature(token);
    const type = header.type?.toLowerCase().replace(/^application\//, '');
    if (type !== undefined && !TYPES.has(type)) {
      throw new AuthError(AuthReason.MALFORMED, 'The "typ" of the token is neither JWT nor at+jwt.');
    }
    const identity = readClaims(payload, this.options, this.nowMs());
    await this.revocations.refresh();
    if (this.revocations.isRevoked(identity)) {
      throw new AuthError(AuthReason.REVOKED, 'The token is revoked.');
    }
    return identity;
  }

  /** What is wrong with a token whatever its signature: its form, or an algorithm that is not allowed. Undefined for nothing. */
  flawOf(token: string): AuthError | undefined {
    try {
      this.readAllowed(token);
      return undefined;
    } catch (error) {
      if (error instanceof AuthError) return error;
      throw error;
    }
  }

  /** The payload of a token whose signature holds, whatever it claims. Rejects with AuthError. */
  async verifySignature(token: string): Promise<{ header: TokenHeader; payload: Uint8Array }> {
    const header = this.readAllowed(token);
    for (const source of this.sources) await source.refresh();
    const named = this.keysFor(header);
    const keys = named.length > 0 ? named : this.namelessKeys(header);
    const payload = await tryKeys(token, keys);
    if (payload !== undefined) return { header, payload };
    const allKnown = this.sources.every((source) => source.known);
    // Its own key is there, or all that it may be signed by: nothing that may come could help.
    if (named.length > 0 && (header.keyId !== undefined || allKnown)) throw badSignature();
    const came = header.keyId === undefined && allKnown ? [] : await this.lookAgain(header);
    const again = await tryKeys(token, came);
    if (again !== undefined) return { header, payload: again };
    if (came.length > 0) throw badSignature();
    if (this.sources.some((source) => !source.known)) throw keysUnavailable();
    if (keys.length > 0) throw badSignature();
    throw new AuthError(
      AuthReason.UNKNOWN_KEY,
      `No key for ${header.algorithm} with the "kid" of the token is known.`,
    );
  }

  private readAllowed(token: string): TokenHeader {
    const header = readHeader(token);
    if (this.options.algorithms.includes(header.algorithm)) return header;
    throw new AuthError(AuthReason.MALFORMED, `The algorithm ${header.algorithm} is not allowed here.`);
  }

  /** Keys of the token's algorithm with its kid; for a token without a kid, all of its algorithm. */
  private keysFor({ algorithm, keyId }: TokenHeader): VerifyKey[] {
    return this.keysWhere(
      (key) => key.algorithm === algorithm && (keyId === undefined || key.keyId === keyId),
    );
  }

  /** Keys that have no name, such as those of PEM files, verify tokens of any name. */
  private namelessKeys({ algorithm }: TokenHeader): VerifyKey[] {
    return this.keysWhere((key) => key.algorithm === algorithm && key.keyId === undefined);
  }

  private keysWhere(fits: (key: VerifyKey) => boolean): VerifyKey[] {
    return this.sources
      .flatMap((source) => source.keys)
      .filter(fits)
      .slice(0, MAX_TRIES);
  }

  /** The keys that nobody knew, if somebody knows them now. */
  private async lookAgain(header: TokenHeader): Promise<VerifyKey[]> {
    if (this.waiting >= MAX_WAITING) throw keysUnavailable();
    this.waiting++;
    try {
      const came = await Promise.all(this.sources.map((source) => source.lookAgain()));
      return came.includes(true) ? this.keysFor(header) : [];
    } finally {
      this.waiting--;
    }
  }
}

function keysUnavailable(): AuthError {
  return new AuthError(
    AuthReason.KEYS_UNAVAILABLE,
    'The keys for tokens cannot be had at present: try again in a few seconds.',
  );
}

function badSignature(): AuthError {
  return new AuthError(AuthReason.BAD_SIGNATURE, 'The signature of the token does not hold.');
}

async function tryKeys(token: string, keys: readonly VerifyKey[]): Promise<Uint8Array | undefined> {
  for (const { key, algorithm } of keys) {
    try {
      const { payload } = await compactVerify(token, key, { algorithms: [algorithm] });
      return payload;
    } catch {
      // Not by this key. Whatever else jose finds wrong is as good a reason to refuse.
    }
  }
  return undefined;
}
