import { OPEN_OPS, Op } from '../../protocol/ops.ts';
import { AuthReason, authReasonName, Layer, Status } from '../../protocol/status.ts';
import { Writer } from '../../protocol/writer.ts';
import { AuthError, type Identity } from '../auth/identity.ts';
import type { Log } from '../log/events.ts';
import { add, FrontCell, replyCell, TurnedAway, turnedAwayName } from '../shard/counters.ts';
import { Mode } from '../shard/records.ts';
import { AdminLog } from './admin-log.ts';
import { callerOf, identify } from './caller.ts';
import type { Connection } from './connections.ts';
import { type HolderHash, holderTag } from './holder.ts';
import { decodeAll } from './message.ts';
import { BadTokensError, CHECK_RETRY_MS, CheckBusyError, type TokenCheck } from './token-check.ts';

/** Codes with which a connection is closed for what its token says, in the range that RFC 6455 leaves to applications. */
export const SessionClose = {
  /** No valid token came in time, or the one that did is over. */
  UNAUTHENTICATED: 4401,
  /** The token was revoked. */
  REVOKED: 4403,
} as const;

/** Of RFC 6455's registry: the server cannot say at the moment. */
const TRY_AGAIN_LATER = 1013;

/** How often it is looked whose time is over, and whose token was revoked. */
const SWEEP_MS = 250;
/** Tokens in a row that do not do, after which a connection is closed. */
export const MAX_BAD_TOKENS = 8;
/** One AUTH in so much time, and so many at once: to look at a token costs more than any other command. */
export const AUTH_EVERY_MS = 1000;
export const AUTH_BURST = 16;
/** The longest answer to AUTH: a holder's name, a time, a request id. */
const MAX_ANSWER_BYTES = 96;

/** What a token has opened on one connection, if one came. */
interface Session {
  identity: Identity | undefined;
  /** Without an identity: when it is too late for one, by performance.now(). */
  readonly deadlineMs: number;
  /** A token is being looked at: one at a time. */
  checking: boolean;
  badTokens: number;
  /** When the next AUTH would be due, by performance.now(), if they came evenly. */
  authDueMs: number;
}

export interface SessionsOptions {
  check: TokenCheck;
  holders: HolderHash;
  /** See FrontCell. */
  counters: Float64Array;
  /** A connection without a valid token by then is closed. */
  authDeadlineMs: number;
  log: Log;
}

/**
 * Who is on which connection, from the token that opened it or that AUTH brought, and for how long. One for each front. Sessions whose
 * tokens expire or are revoked are closed within SWEEP_MS; a token's times are on the wall clock.
 */
export class Sessions {
  private readonly options: SessionsOptions;
  private readonly sessions = new Map<Connection, Session>();
  private readonly timer: NodeJS.Timeout;

  constructor(options: SessionsOptions) {
    this.options = options;
    this.timer = setInterval(() => void this.sweep(), SWEEP_MS);
    this.timer.unref();
  }

  /** A connection is open. It may do nothing but bring a token. */
  open(connection: Connection): void {
    const deadlineMs = performance.now() + this.options.authDeadlineMs;
    this.sessions.set(connection, {
      identity: undefined,
      deadlineMs,
      checking: false,
      badTokens: 0,
      authDueMs: 0,
    });
    connection.mayOps = OPEN_OPS;
    connection.authReason = AuthReason.MISSING;
  }

  /** Looks at the token that a connection was opened with. Resolves to whether it does; the connection is closed when not. */
  async admit(connection: Connection, token: string): Promise<boolean> {
    const session = this.sessions.get(connection);
    if (session === undefined) return false;
    session.checking = true;
    try {
      const identity = await this.verify(connection, token);
      if (!connection.open) return false;
      this.grant(connection, session, identity);
      return true;
    } catch (error) {
      if (connection.open) this.dismiss(connection, error);
      return false;
    } finally {
      session.checking = false;
    }
  }

  /** The connection is gone. */
  close(connection: Connection): void {
    this.sessions.delete(connection);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** AUTH, see RouterOptions: answers when the token was looked at. */
  readonly onAuth = (connection: Connection, token: string, requestId: Uint8Array, mode: number): void => {
    const session = this.sessions.get(connection);
    if (session === undefined) return;
    if (session.checking) {
      this.answer(connection, mode, requestId, Status.BUSY, [CHECK_RETRY_MS, Layer.CONNECTION]);
      return;
    }
    const nowMs = performance.now();
    const aheadMs = Math.max(0, session.authDueMs - nowMs);
    if (aheadMs > (AUTH_BURST - 1) * AUTH_EVERY_MS) {
      const retryMs = Math.ceil(aheadMs - (AUTH_BURST - 1) * AUTH_EVERY_MS);
      this.answer(connection, mode, requestId, Status.BUSY, [retryMs, Layer.CONNECTION]);
      return;
    }
    session.authDueMs = nowMs + aheadMs + AUTH_EVERY_MS;
    session.checking = true;
    void this.authenticate(connection, session, token, requestId, mode);
  };

  /** Closes what is over. Public for tests; the timer calls it. */
  async sweep(): Promise<void> {
    const { revocations } = this.options.check;
    await revocations.refresh();
    const wallMs = Date.now();
    const elapsedMs = performance.now();
    for (const [connection, { identity, deadlineMs }] of this.sessions) {
      if (identity === undefined) {
        const { authDeadlineMs } = this.options;
        if (elapsedMs >= deadlineMs)
          connection.sink.close(
            SessionClose.UNAUTHENTICATED,
            `no valid token came within ${authDeadlineMs} ms`,
          );
      } else if (wallMs >= identity.expiresAtMs) {
        connection.sink.close(SessionClose.UNAUTHENTICATED, 'the token expired');
      } else if (revocations.isRevoked(identity)) {
        connection.sink.close(SessionClose.REVOKED, 'the token was revoked');
      }
    }
  }

  private async authenticate(
    connection: Connection,
    session: Session,
    token: string,
    requestId: Uint8Array,
    mode: number,
  ): Promise<void> {
    let identity: Identity;
    try {
      // Who is signed in renews whatever others bring from his address, who could end his session by it; how often he may is limited above.
      const signedIn = session.identity !== undefined;
      identity = await (signedIn ? this.options.check.verify(token) : this.verify(connection, token));
    } catch (error) {
      if (connection.open) this.refuse(connection, session, requestId, mode, error);
      return;
    } finally {
      session.checking = false;
    }
    // Sessions end while their tokens are looked at, and what was sent to a connection that is gone nobody reads.
    if (!connection.open) return;
    if (session.identity !== undefined && session.identity.subject !== identity.subject) {
      // No scope would do: holds and limits belong to the holder whose session it is.
      this.answer(connection, mode, requestId, Status.FORBIDDEN, [0]);
      return;
    }
    this.grant(connection, session, identity);
    const holder = Buffer.from(identity.subject);
    this.answer(connection, mode, requestId, Status.OK, [], holder, identity.expiresAtMs);
  }

  private verify({ addressLo: lo, addressHi: hi }: Connection, token: string): Promise<Identity> {
    return this.options.check.verify(token, { lo, hi });
  }

  private grant(connection: Connection, session: Session, identity: Identity): void {
    session.identity = identity;
    session.badTokens = 0;
    identify(connection, callerOf(identity, this.options.holders));
    connection.audit?.close();
    const { log } = this.options;
    const holder = holderTag(connection.holderLo, connection.holderHi);
    log({ event: 'signed-in', connection: connection.name, holder, tokenId: identity.tokenId });
    connection.audit = connection.admin
      ? new AdminLog(log, identity.subject, identity.tokenId, connection.name)
      : undefined;
  }

  /** Closes a connection whose first token does not do, or cannot be looked at. */
  private dismiss(connection: Connection, error: unknown): void {
    const later = !(error instanceof AuthError) || error.reason === AuthReason.KEYS_UNAVAILABLE;
    this.noteBadToken(connection, error);
    connection.sink.close(later ? TRY_AGAIN_LATER : SessionClose.UNAUTHENTICATED, sayable(error));
  }

  private noteBadToken(connection: Connection, error: unknown): void {
    if (error instanceof CheckBusyError) return;
    const { log, counters } = this.options;
    if (error instanceof BadTokensError) {
      add(counters, FrontCell.TURNED_AWAY + TurnedAway.ADDRESS_BAD_TOKENS, 1);
      log({ event: 'connection-refused', reason: turnedAwayName(TurnedAway.ADDRESS_BAD_TOKENS) });
      return;
    }
    const reason = error instanceof AuthError ? authReasonName(error.reason) : String(error);
    log({ event: 'auth-failed', reason, connection: connection.name });
  }

  /** Says why a token does not do. A session that there is goes on. */
  private refuse(
    connection: Connection,
    session: Session,
    requestId: Uint8Array,
    mode: number,
    error: unknown,
  ): void {
    if (error instanceof CheckBusyError) {
      this.answer(connection, mode, requestId, Status.BUSY, [CHECK_RETRY_MS, Layer.CONNECTION]);
      return;
    }
    this.noteBadToken(connection, error);
    if (error instanceof BadTokensError) {
      this.answer(connection, mode, requestId, Status.RATE_LIMITED, [error.retryMs, Layer.ADDRESS_RATE]);
      return;
    }
    const reason = error instanceof AuthError ? error.reason : AuthReason.MALFORMED;
    if (session.identity === undefined) connection.authReason = reason;
    this.answer(connection, mode, requestId, Status.UNAUTHENTICATED, [reason]);
    if (++session.badTokens >= MAX_BAD_TOKENS)
      connection.sink.close(SessionClose.UNAUTHENTICATED, `${MAX_BAD_TOKENS} tokens did not do`);
  }

  /** Replies under a request id as it came: numbers, then a text and a time. */
  private answer(
    connection: Connection,
    mode: number,
    requestId: Uint8Array,
    status: number,
    numbers: readonly number[],
    text?: Uint8Array,
    timeMs?: number,
  ): void {
    add(this.options.counters, replyCell(0, Op.AUTH, status), 1);
    const writer = new Writer(new Uint8Array(MAX_ANSWER_BYTES));
    writer.array(2 + numbers.length + (text === undefined ? 0 : 1) + (timeMs === undefined ? 0 : 1));
    writer.copy(requestId, 0, requestId.length);
    writer.int32(status);
    for (const number of numbers) writer.int32(number);
    if (text !== undefined) writer.textFrom(text, 0, text.length);
    if (timeMs !== undefined) writer.time(timeMs);
    const bytes = writer.u8.subarray(0, writer.pos);
    if (mode === Mode.BINARY) connection.sink.send(bytes);
    else connection.sink.sendDecoded(mode, decodeAll(bytes)[0] as unknown[]);
  }
}

/** What a client is told: of what it did, or is to do. Whatever else went wrong is for the log, since it may tell of files within. */
function sayable(error: unknown): string {
  const itsOwn =
    error instanceof AuthError || error instanceof CheckBusyError || error instanceof BadTokensError;
  return itsOwn ? error.message : 'the token could not be looked at';
}
