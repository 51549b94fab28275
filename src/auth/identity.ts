import type { AuthReason } from '../../protocol/status.ts';

/** What a token says about whoever brings it, once its signature and its claims hold. */
export interface Identity {
  /** `sub`, 1 to 64 bytes of UTF-8: the holder. */
  readonly subject: string;
  /** Scope bits: what it may do. */
  readonly scopes: number;
  /** Until when a session may stand on it, on the wall clock: `exp` and the clock tolerance. Ms since the epoch. */
  readonly expiresAtMs: number;
  /** `iat` in ms since the epoch; 0 where the token does not say it, which is before every revocation of its subject. */
  readonly issuedAtMs: number;
  /** Whether its commands go into the lane for claims of `vip`. */
  readonly vip: boolean;
  /** `jti`, by which the one token can be revoked. */
  readonly tokenId?: string;
}

export type AuthReasonCode = (typeof AuthReason)[keyof typeof AuthReason];

/** A token that opens nothing. The message is for people and has nothing of the token's that is secret. */
export class AuthError extends Error {
  override readonly name = 'AuthError';
  readonly reason: AuthReasonCode;

  constructor(reason: AuthReasonCode, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Keys or a file of revocations that cannot be used. The message names the place and says what to do. */
export class AuthSetupError extends Error {
  override readonly name = 'AuthSetupError';
  readonly exitCode = 2;
}
