import type uWS from 'uWebSockets.js';
import { MAX_HOLDER_BYTES } from '../../protocol/limits.ts';
import { AuthReason } from '../../protocol/status.ts';
import { AuthError, type Identity } from '../auth/identity.ts';
import { anybody, identify } from './caller.ts';
import { CLOSED_SINK, type Connection } from './connections.ts';
import { credentialsOf } from './credentials.ts';
import type { Front } from './front.ts';
import { ANONYMOUS, type HolderHash } from './holder.ts';
import type { OriginCheck } from './origin.ts';
import type { SocketCount } from './socket-count.ts';
import { CHECK_RETRY_MS, CheckBusyError, type TokenCheck } from './token-check.ts';

export interface UpgradeOptions {
  front: Front;
  holders: HolderHash;
  mayUse: OriginCheck;
  /** Missing where there is no authentication. */
  check: TokenCheck | undefined;
  /** A token that is still looked at by then is refused. */
  authDeadlineMs: number;
  /** Open WebSockets of all fronts, and how many there may be. */
  count: SocketCount;
  maxConnections: number;
}

/** What hangs on a socket from its upgrade on. */
export interface Client {
  connection: Connection;
  /** Whose token came with the upgrade. */
  identity: Identity | undefined;
  text: boolean;
}

/** What the answer to an upgrade takes from its request, which is gone when the handler returns. */
interface Handshake {
  readonly key: string;
  readonly extensions: string;
  readonly subprotocol: string;
  readonly text: boolean;
  /** Without authentication: the name that is believed. */
  readonly holder: string;
  readonly named: boolean;
}

/** Takes a WebSocket in, or says why not. With a token, when that was looked at. */
export function upgrade(
  res: uWS.HttpResponse,
  req: uWS.HttpRequest,
  context: uWS.us_socket_context_t,
  options: UpgradeOptions,
): void {
  const { front, count, maxConnections, check, mayUse } = options;
  const origin = req.getHeader('origin');
  const protocols = req.getHeader('sec-websocket-protocol');
  const { token, subprotocol, problem } = credentialsOf(
    req.getHeader('authorization'),
    protocols,
    req.getQuery(),
  );
  const name = req.getQuery('holder');
  const wrong = problem ?? nameProblem(name, check !== undefined);
  if (wrong !== undefined) {
    refuse(res, '400 Bad Request', wrong);
    return;
  }
  if (!mayUse(origin)) {
    refuse(res, '403 Forbidden', `pages of ${origin} may not use this server`);
    return;
  }
  const { draining } = front.router;
  if (draining || !count.add(maxConnections)) {
    const why = draining ? STOPPING : `${maxConnections} connections are open`;
    refuse(res, '503 Service Unavailable', why, 1);
    return;
  }
  const handshake: Handshake = {
    key: req.getHeader('sec-websocket-key'),
    extensions: req.getHeader('sec-websocket-extensions'),
    subprotocol,
    text: req.getQuery('format') === 'json',
    holder: name ?? ANONYMOUS,
    named: name !== undefined,
  };
  if (check === undefined || token === undefined) take(res, context, handshake, undefined, options);
  else new PendingUpgrade(res, context, handshake, token, check, options);
}

/** An upgrade whose token is being looked at. */
class PendingUpgrade {
  private readonly res: uWS.HttpResponse;
  private readonly options: UpgradeOptions;
  private readonly late: NodeJS.Timeout;
  /** Neither answered nor aborted. */
  private waiting = true;

  constructor(
    res: uWS.HttpResponse,
    context: uWS.us_socket_context_t,
    handshake: Handshake,
    token: string,
    check: TokenCheck,
    options: UpgradeOptions,
  ) {
    this.res = res;
    this.options = options;
    res.onAborted(() => {
      if (this.leave()) options.count.remove();
    });
    // The socket layer's own time-out ends where a request has been routed.
    this.late = setTimeout(() => this.refuse('503 Service Unavailable', LATE, 1), options.authDeadlineMs);
    this.late.unref();
    check.verify(token).then(
      (identity) => this.accept(context, handshake, identity),
      (error: unknown) => this.explain(error),
    );
  }

  private accept(context: uWS.us_socket_context_t, handshake: Handshake, identity: Identity): void {
    if (this.options.front.router.draining) {
      this.refuse('503 Service Unavailable', STOPPING, 1);
      return;
    }
    if (!this.leave()) return;
    this.res.cork(() => take(this.res, context, handshake, identity, this.options));
  }

  private explain(error: unknown): void {
    if (error instanceof AuthError && error.reason !== AuthReason.KEYS_UNAVAILABLE) {
      this.refuse('401 Unauthorized', error.message, undefined, challenge(error.message));
    } else if (error instanceof AuthError || error instanceof CheckBusyError) {
      this.refuse('503 Service Unavailable', error.message, CHECK_RETRY_MS / 1000);
    } else {
      this.refuse('500 Internal Server Error', 'the token could not be looked at');
    }
  }

  private refuse(status: string, why: string, retryAfterS?: number, authenticate?: string): void {
    if (!this.leave()) return;
    this.options.count.remove();
    this.res.cork(() => refuse(this.res, status, why, retryAfterS, authenticate));
  }

  /** Whether it still waited, which it does not from now on. */
  private leave(): boolean {
    clearTimeout(this.late);
    const waited = this.waiting;
    this.waiting = false;
    return waited;
  }
}

/** What is wrong with the name in the address, if anything. */
function nameProblem(name: string | undefined, authenticated: boolean): string | undefined {
  if (name === undefined) return undefined;
  if (authenticated) return 'holder= has no place in the address: the token says who it is';
  const bytes = Buffer.byteLength(name);
  if (bytes >= 1 && bytes <= MAX_HOLDER_BYTES) return undefined;
  return `holder must be 1 to ${MAX_HOLDER_BYTES} bytes, not ${bytes}`;
}

const STOPPING = 'the server is stopping';
const LATE = 'the token could not be looked at in time';

function take(
  res: uWS.HttpResponse,
  context: uWS.us_socket_context_t,
  handshake: Handshake,
  identity: Identity | undefined,
  { front, holders }: UpgradeOptions,
): void {
  const { holder, named, text, key, subprotocol, extensions } = handshake;
  const connection = front.connections.add(CLOSED_SINK, 0, 0);
  identify(connection, anybody(holder, named, holders));
  const client: Client = { connection, identity, text };
  res.upgrade(client, key, subprotocol, extensions, context);
}

/** What `www-authenticate` says to a request whose token does not do (RFC 6750, section 3). */
export function challenge(why: string): string {
  // Quoted text of a header: no quotes, backslashes or anything that is not plain ASCII.
  return `Bearer error="invalid_token", error_description="${why.replace(/[^ !#-[\]-~]/g, "'")}"`;
}

function refuse(
  res: uWS.HttpResponse,
  status: string,
  why: string,
  retryAfterS?: number,
  authenticate?: string,
): void {
  res.writeStatus(status);
  if (retryAfterS !== undefined) res.writeHeader('retry-after', String(retryAfterS));
  if (authenticate !== undefined) res.writeHeader('www-authenticate', authenticate);
  // Closed behind it: who is refused need not ask for more here, and answers that nobody reads do not pile up.
  res.end(`${why}\n`, true);
}
