import type { AuthReasonName, LayerName, ReasonName, StatusName } from '../../protocol/status.ts';

/** Refusals by the server, under the names of their statuses. */
export type RefusalCode = Exclude<StatusName, 'OK'>;

/**
 * What happened, where it was not a refusal by the server:
 * TIMEOUT          no answer in time; unless `details.sent` is false, the outcome is unknown
 * ABORTED          the caller's AbortSignal fired
 * CLOSED           the client is closed, by close() or because the connection could not be had
 * UNKNOWN_OUTCOME  the connection was lost, and to send the command again could apply it twice
 * PROTOCOL         the other side does not speak this protocol
 */
export type ClientCode = 'TIMEOUT' | 'ABORTED' | 'CLOSED' | 'UNKNOWN_OUTCOME' | 'PROTOCOL';

export type ErrorCode = RefusalCode | ClientCode;

/** What a refusal carries, by name. Times are local milliseconds since the epoch, comparable with Date.now(). */
export interface ErrorDetails {
  /** Units that can be held at this moment. */
  readonly available?: number;
  readonly held?: number;
  readonly sold?: number;
  readonly total?: number;
  /** HELD_OUT: when the earliest open hold of the SKU ends, which is when another attempt makes sense. */
  readonly retryAt?: number;
  /** BUSY, RATE_LIMITED, UNAVAILABLE: how long to wait; 0 when waiting does not help. */
  readonly retryAfterMs?: number;
  /** HOLD_LIMIT, HOLDER_LIMIT: most units allowed. */
  readonly limit?: number;
  /** TTL_LIMIT: longest time to live allowed. */
  readonly limitMs?: number;
  /** LIFE_LIMIT: the latest deadline that the hold can get. */
  readonly limitAt?: number;
  /** HOLDER_LIMIT: units of the SKU that the holder holds and has bought. */
  readonly counted?: number;
  /** KEY_CONFLICT: the hold that the key stands for. */
  readonly holdId?: number;
  /** EXCEEDS_HOLD, CHANGED: units that the hold has. */
  readonly quantity?: number;
  /** RELEASED, EXPIRED: when the hold ended. */
  readonly endedAt?: number;
  /** BUSY, RATE_LIMITED: which of the server's limits it was. */
  readonly layer?: LayerName | string;
  /** FORBIDDEN: the scope that the token lacks, in lower case. */
  readonly scope?: string;
  /** MALFORMED: what is wrong, and with which argument. UNAUTHENTICATED: why the token does not do. */
  readonly reason?: ReasonName | AuthReasonName | string;
  readonly argument?: string;
  /** Whether the command left, so that the server may have carried it out. */
  readonly sent?: boolean;
  readonly timeoutMs?: number;
  /** How the WebSocket connection ended. */
  readonly closeCode?: number;
  readonly closeReason?: string;
  /** PROTOCOL: a status number that this SDK does not know. */
  readonly status?: number;
}

/** The one error that this SDK throws. `code` is for programs, `message` for people, `details` for both. */
export class HoldfastError extends Error {
  override readonly name = 'HoldfastError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }
}
