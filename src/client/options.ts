import { MAX_HOLDER_BYTES, MAX_TOKEN_BYTES } from '../../protocol/limits.ts';
import { checkInteger, checkText, malformed } from './arguments.ts';
import type { TokenSource } from './bearer.ts';
import { HoldfastError } from './errors.ts';

/** What the SDK uses of a WebSocket: the built-in one of Node 22 and of browsers has it. */
export interface WebSocketLike {
  binaryType: string;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(
    type: 'open' | 'message' | 'error' | 'close',
    listener: (event: SocketEvent) => void,
  ): void;
}

export interface SocketEvent {
  readonly data?: unknown;
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
}

export type WebSocketConstructor = new (url: string) => WebSocketLike;

export interface ReconnectOptions {
  /** Upper bound of the first wait in ms. Default 100. */
  readonly initialMs?: number;
  /** Upper bound of every wait in ms. Default 5,000. */
  readonly maxMs?: number;
  /** Failed attempts in a row after which the client closes; 0 never reconnects. Default: no end. */
  readonly attempts?: number;
}

export interface ConnectOptions {
  /** Name of the holder, 1 to 64 bytes, where the server runs without authentication. Default: "anonymous". */
  readonly holder?: string;
  /**
   * Where the server runs with authentication: a token, or a function that fetches one, within `timeoutMs`. It is called for
   * each connection, and again before the token expires. Goes instead of `holder`, for the token says who it is.
   */
  readonly token?: TokenSource;
  /** How long to wait for the connection, and for each answer, in ms. Default 5,000. */
  readonly timeoutMs?: number;
  /** Whether commands that got BUSY, RATE_LIMITED or UNAVAILABLE are sent again, when the server said, until their time-out. Default true. */
  readonly retryBusy?: boolean;
  readonly reconnect?: ReconnectOptions;
  /** Gives up connecting. It has no effect once connect() has resolved. */
  readonly signal?: AbortSignal;
  /**
   * Asked for each command: the W3C traceparent of the span that it belongs to, if there is one. With its sampled flag set, the server adds its
   * own spans to the trace, where it has somewhere to send them. What it throws is as good as none.
   */
  readonly traceparent?: () => string | undefined;
  /** Another WebSocket than the built-in one. */
  readonly webSocket?: WebSocketConstructor;
}

export interface Settings {
  readonly url: string;
  readonly token: TokenSource | undefined;
  readonly timeoutMs: number;
  readonly retryBusy: boolean;
  readonly reconnect: Required<ReconnectOptions>;
  readonly traceparent: (() => string | undefined) | undefined;
  readonly webSocket: WebSocketConstructor;
}

/** Largest delay that setTimeout takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Options with their defaults. Throws MALFORMED, naming the option, its value and what would be right. */
export function readOptions(url: string | URL, options: ConnectOptions): Settings {
  const { initialMs = 100, maxMs = 5_000, attempts = Number.POSITIVE_INFINITY } = options.reconnect ?? {};
  const webSocket = options.webSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
  if (webSocket === undefined) {
    const text =
      'This runtime has no WebSocket: use Node 22 or later, or give a constructor as the option webSocket.';
    throw new HoldfastError('MALFORMED', text, { argument: 'webSocket', sent: false });
  }
  if (attempts !== Number.POSITIVE_INFINITY)
    checkInteger('reconnect.attempts', attempts, 0, Number.MAX_SAFE_INTEGER);
  const { holder, token, traceparent } = options;
  if (traceparent !== undefined && typeof traceparent !== 'function')
    throw malformed('traceparent', typeof traceparent, 'a function that returns a text', 'WRONG_TYPE');
  if (typeof token === 'string') checkText('token', token, MAX_TOKEN_BYTES);
  else if (token !== undefined && typeof token !== 'function')
    throw malformed('token', typeof token, 'a text or a function that returns one', 'WRONG_TYPE');
  if (token !== undefined && holder !== undefined)
    throw malformed('holder', holder, 'left out where there is a token, which says who it is');
  return {
    url: readUrl(url, holder),
    token,
    traceparent,
    timeoutMs: checkInteger('timeoutMs', options.timeoutMs ?? 5_000, 1, MAX_TIMER_MS),
    retryBusy: options.retryBusy ?? true,
    reconnect: {
      initialMs: checkInteger('reconnect.initialMs', initialMs, 1, MAX_TIMER_MS),
      maxMs: checkInteger('reconnect.maxMs', maxMs, 1, MAX_TIMER_MS),
      attempts,
    },
    webSocket,
  };
}

function readUrl(url: string | URL, holder: string | undefined): string {
  const right = 'the address of a Holdfast server, such as ws://127.0.0.1:7070/v1/ws';
  // Copied, so that the caller's own object stays as it is.
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^(ws|http)s?:$/.test(parsed.protocol)) throw malformed('url', url, right);
  parsed.protocol = parsed.protocol.replace('http', 'ws');
  parsed.hash = '';
  if (holder !== undefined) parsed.searchParams.set('holder', checkText('holder', holder, MAX_HOLDER_BYTES));
  return parsed.href;
}
