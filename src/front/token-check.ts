import type { Identity } from '../auth/identity.ts';
import type { Revocation } from '../auth/revocation-list.ts';

/** Tells who brings a token. */
export interface TokenCheck {
  /** Rejects with AuthError when the token does not do, and with CheckBusyError when too many are being looked at. */
  verify(token: string): Promise<Identity>;
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

/** A check that takes no more than `most` tokens at a time, however many clients come at once. */
export class BoundedCheck implements TokenCheck {
  /** Tokens that are being looked at, and how many were turned away. */
  underWay = 0;
  refused = 0;
  private readonly inner: TokenCheck;
  private readonly most: number;

  constructor(inner: TokenCheck, most = MAX_CHECKS) {
    this.inner = inner;
    this.most = most;
  }

  get revocations(): TokenCheck['revocations'] {
    return this.inner.revocations;
  }

  async verify(token: string): Promise<Identity> {
    if (this.underWay >= this.most) {
      this.refused++;
      throw new CheckBusyError(`${this.most} tokens are being looked at`);
    }
    this.underWay++;
    try {
      return await this.inner.verify(token);
    } finally {
      this.underWay--;
    }
  }
}
