import type uWS from 'uWebSockets.js';
import { MAX_HOLDER_BYTES } from '../../protocol/limits.ts';
import { authReasonName } from '../../protocol/status.ts';
import type { AuthError } from '../auth/identity.ts';
import { add, FrontCell, TurnedAway } from '../shard/counters.ts';
import { Arrival } from './arrivals.ts';
import { anybody, identify } from './caller.ts';
import { CLOSED_SINK, type Connection } from './connections.ts';
import { challenge, credentialsOf } from './credentials.ts';
import { ANONYMOUS } from './holder.ts';
import type { HttpDoor } from './http-exchange.ts';
import { hasBody, isBadlyFramed, whoTwice } from './http-wire.ts';
import type { Guest, Lobby } from './lobby.ts';
import type { SocketCount } from './socket-count.ts';

export interface UpgradeOptions extends HttpDoor {
  /** Open WebSockets of all fronts, and how many there may be. */
  readonly count: SocketCount;
  readonly maxConnections: number;
}

/** What hangs on a socket from its upgrade on. */
export interface Client {
  connection: Connection;
  /** Came with the upgrade, and nobody has looked at it so far. */
  token: string | undefined;
  text: boolean;
  /** Whether its address has one connection more. */
  counted: boolean;
}

/**
 * Takes a WebSocket in, or says why not. A program's token whose form or algorithm is wrong is refused here; any other is looked at when the
 * socket is open, and nothing is done for it until then. To answer the upgrade itself later would have two drawbacks: a page is not told why a WebSocket does not open, but it is told why one was closed; and
 * uWebSockets.js, which wants late answers within cork(), then now and then closes a socket that an upgrade has left at the same place in memory.
 */
export function upgrade(
  res: uWS.HttpResponse,
  req: uWS.HttpRequest,
  context: uWS.us_socket_context_t,
  options: UpgradeOptions,
): void {
  const { front, holders, count, maxConnections, check, mayUse, lobby, log } = options;
  const authenticated = check !== undefined;
  const { counters } = front;
  const { arrivals } = lobby;
  const guest = lobby.guest(res, req);
  if (guest === undefined) return;
  const { lo, hi } = guest;
  const refusal = guest.limited ? arrivals.arrive(lo, hi) : Arrival.OK;
  if (refusal !== Arrival.OK) {
    turnAway(res, refusal, guest, lobby);
    return;
  }
  const counted = guest.limited && arrivals.counted;
  const refuseCounted = (cell: number, status: string, why: string, headers: Headers = {}): void => {
    add(counters, FrontCell.TURNED_AWAY + cell, 1);
    if (counted) arrivals.leave(lo, hi);
    refuse(res, status, why, headers, () => lobby.leave(guest));
  };
  const origin = req.getHeader('origin');
  const protocols = req.getHeader('sec-websocket-protocol');
  const authorization = req.getHeader('authorization');
  const { token, byProgram, subprotocol, problem } = credentialsOf(authorization, protocols, req.getQuery());
  const name = req.getQuery('holder');
  const wrong = bodyProblem(req) ?? whoTwice(req) ?? problem ?? nameProblem(name, authenticated);
  if (wrong !== undefined) {
    refuseCounted(TurnedAway.MALFORMED, '400 Bad Request', wrong);
    return;
  }
  if (!mayUse(origin)) {
    refuseCounted(TurnedAway.ORIGIN, '403 Forbidden', `pages of ${origin} may not use this server`);
    return;
  }
  if (authenticated && token !== undefined && !arrivals.mayTry(lo, hi)) {
    if (counted) arrivals.leave(lo, hi);
    turnAway(res, Arrival.ADDRESS_BAD_TOKENS, guest, lobby);
    return;
  }
  const flaw: AuthError | undefined = byProgram ? check?.flawOf(token as string) : undefined;
  if (flaw !== undefined) {
    arrivals.failed(lo, hi);
    log({ event: 'auth-failed', reason: authReasonName(flaw.reason), address: guest.address });
    const headers = { 'www-authenticate': challenge(flaw.message) };
    refuseCounted(TurnedAway.TOKEN, '401 Unauthorized', flaw.message, headers);
    return;
  }
  const { draining } = front.router;
  if (draining || !count.add(maxConnections)) {
    const why = draining ? STOPPING : `${maxConnections} connections are open`;
    const cell = draining ? TurnedAway.STOPPING : TurnedAway.CONNECTIONS;
    refuseCounted(cell, '503 Service Unavailable', why, { 'retry-after': '1' });
    return;
  }
  const connection = front.connections.add(CLOSED_SINK, 0, 0);
  identify(connection, anybody(name ?? ANONYMOUS, name !== undefined, holders));
  connection.addressLo = lo;
  connection.addressHi = hi;
  const text = req.getQuery('format') === 'json';
  const client: Client = { connection, token: authenticated ? token : undefined, text, counted };
  const key = req.getHeader('sec-websocket-key');
  res.upgrade(client, key, subprotocol, req.getHeader('sec-websocket-extensions'), context);
  lobby.leave(guest);
}

/** Refuses for a limit of layer 1. */
function turnAway(res: uWS.HttpResponse, refusal: number, guest: Guest, lobby: Lobby): void {
  const { status, why } = lobby.turnAway(refusal, guest.address);
  const headers = { 'retry-after': String(lobby.retryAfterS) };
  refuse(res, status, why, headers, () => lobby.leave(guest));
}

/** What is wrong with what comes behind the head, if anything: who takes it for a body, and not for frames, sees other requests than this server. */
function bodyProblem(req: uWS.HttpRequest): string | undefined {
  const empty = !hasBody(req) || req.getHeader('content-length') === '0';
  return empty && !isBadlyFramed(req) ? undefined : 'an upgrade has no body';
}

/** What is wrong with the name in the address, if anything. */
function nameProblem(name: string | undefined, authenticated: boolean): string | undefined {
  if (name === undefined) return undefined;
  if (authenticated) return 'holder= has no place in the address: the token says who it is';
  const bytes = Buffer.byteLength(name);
  if (bytes >= 1 && bytes <= MAX_HOLDER_BYTES) return undefined;
  return `holder must be 1 to ${MAX_HOLDER_BYTES} bytes, not ${bytes}`;
}

type Headers = Readonly<Record<string, string>>;

const STOPPING = 'the server is stopping';

/**
 * Answers, and closes the connection behind: who is refused need not ask for more here, and answers that nobody reads do not pile up. A little
 * later, so that a request that was sent ahead of the answer is found before it, and ends the connection. `left` is told of the end.
 */
function refuse(
  res: uWS.HttpResponse,
  status: string,
  why: string,
  headers: Headers,
  left: () => void,
): void {
  let aborted = false;
  res.onAborted(() => {
    aborted = true;
    left();
  });
  setImmediate(() => {
    if (aborted) return;
    res.cork(() => {
      res.writeStatus(status);
      for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
      res.end(`${why}\n`, true);
    });
    left();
  });
}
