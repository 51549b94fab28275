import { AuthReason } from '../../protocol/status.ts';
import { AuthError, type Identity } from '../auth/identity.ts';
import type { Revocation } from '../auth/revocation-list.ts';

/** Words of the address that a token comes from, see ClientAddresses. */
export interface TokenFrom {
  readonly lo: number;
  readonly hi: number;
}

/** Tells who brings a token. */
export interface TokenCheck {
  /** What is wrong with a token whatever its signature, found at once and without a key; undefined for nothing. */
  flawOf(token: string): AuthError | undefined;
  /**
   * Rejects with AuthError when the token does not do, with CheckBusyError when too many are being looked at, and with BadTokensError when
   * too many from this address did not do.
   */
  verify(token: string, from?: TokenFrom): Promise<Identity>;
  readonly revocations: {
    /** Brings them up to date where they are kept in a file. */
    refresh(): Promise<void>;
    isRevoked(identity: Identity): boolean;
    /** Resolves when it is kept for every front. Rejects with AuthSetupError where there is no file for it, or no room. */
    add(revocation: Revocation): Promise<void>;
  };
}

/** Tokens that one front looks at, at the same time: a signature takes some 0.1 ms, keys from far away some seconds. */
export const MAX_CHECKS = 1024;
/** How long a client had better wait that came while so many were looked at. */
export const CHECK_RETRY_MS = 1000;

/** More tokens are being looked at than one front looks at, at the same time. */
export class CheckBusyError extends Error {
  override readonly name = 'CheckBusyError';
}

/** Too many tokens from an address did not do: none is looked at for a while. */
export class BadTokensError extends Error {
  override readonly name = 'BadTokensError';
  readonly retryMs: number;

  constructor(retryMs: number) {
    super('too many tokens came from this address of late that did not do');
    this.retryMs = retryMs;
  }
}

/** Counts by address the tokens that do not do, see Arrivals. */
export interface Tries {
  mayTry(lo: number, hi: number): boolean;
  failed(lo: number, hi: number): void;
  readonly retryMs: number;
}

/** A check that takes no more than `most` tokens at a time, however many clients come at once, and so many bad ones of an address. */
export class BoundedCheck implements TokenCheck {
  /** Tokens that are being looked at, and how many were turned away. */
  underWay = 0;
  refused = 0;
  private readonly inner: TokenCheck;
  private readonly most: number;
  private readonly tries: Tries | undefined;

  constructor(inner: TokenCheck, most = MAX_CHECKS, tries?: Tries) {
    this.inner = inner;
    this.most = most;
    this.tries = tries;
  }

  get revocations(): TokenCheck['revocations'] {
    return this.inner.revocations;
  }

  flawOf(token: string): AuthError | undefined {
    return this.inner.flawOf(token);
  }

  async verify(token: string, from?: TokenFrom): Promise<Identity> {
    const { tries } = this;
    if (from !== undefined && tries?.mayTry(from.lo, from.hi) === false)
      throw new BadTokensError(tries.retryMs);
    if (this.underWay >= this.most) {
      this.refused++;
      throw new CheckBusyError(`${this.most} tokens are being looked at`);
    }
    this.underWay++;
    try {
      return await this.inner.verify(token);
    } catch (error) {
      const bad = error instanceof AuthError && error.reason !== AuthReason.KEYS_UNAVAILABLE;
      if (bad && from !== undefined) tries?.failed(from.lo, from.hi);
      throw error;
    } finally {
      this.underWay--;
    }
  }
}
