import type uWS from 'uWebSockets.js';
import { z } from 'zod';
import { MAX_QUANTITY } from '../../protocol/limits.ts';
import {
  AuthReason,
  authReasonName,
  layerName,
  reasonName,
  Scope,
  Status,
  scopeName,
  statusName,
} from '../../protocol/status.ts';
import { AuthError, type Identity } from '../auth/identity.ts';
import type { Log } from '../log/events.ts';
import { allows, anybody, type Caller, callerOf } from './caller.ts';
import type { ClientAddresses } from './client-address.ts';
import { bearerOf, challenge, tokenInUrl } from './credentials.ts';
import type { Front } from './front.ts';
import { ANONYMOUS, type HolderHash } from './holder.ts';
import { endResponse, isBadlyFramed } from './http-wire.ts';
import type { OriginCheck } from './origin.ts';
import { requestIdOf } from './request-id.ts';
import { CHECK_RETRY_MS, CheckBusyError, type TokenCheck } from './token-check.ts';

const MAX_BODY_BYTES = 4096;

/** What every exchange knows of the server. */
export interface HttpDoor {
  readonly front: Front;
  readonly holders: HolderHash;
  readonly mayUse: OriginCheck;
  readonly addresses: ClientAddresses;
  /** Missing where there is no authentication. */
  readonly check: TokenCheck | undefined;
  /** Takes what is worth a line in the log. */
  readonly log: Log;
}

/** One HTTP request and its answer. The socket layer demands that a request is answered once, and never after it was aborted. */
export class Exchange {
  /** What logs call it, and its answer. */
  readonly requestId: string;
  /** The trace that it belongs to, as its header says; not checked yet. */
  readonly traceparent: string;
  private readonly method: string;
  private readonly path: string;
  private readonly startedMs = performance.now();
  private readonly res: uWS.HttpResponse;
  private readonly door: HttpDoor;
  private readonly authorization: string;
  private readonly named: string;
  private readonly inUrl: string | undefined;
  /** Such a request is not carried out, and its connection is closed. */
  private readonly badFraming: boolean;
  /** Whose deed the answer tells of, where it is an administrator's. */
  private readonly address: readonly [lo: number, hi: number];
  private deed: Identity | undefined;
  private done = false;
  private bodyText: string | undefined;
  private onText: (() => void) | undefined;

  /** Reads at once what is needed later: the request itself is gone when its handler returns. */
  constructor(res: uWS.HttpResponse, req: uWS.HttpRequest, door: HttpDoor) {
    this.res = res;
    this.door = door;
    this.requestId = requestIdOf(req.getHeader('x-request-id'));
    this.traceparent = req.getHeader('traceparent');
    this.method = req.getMethod().toUpperCase();
    this.path = req.getUrl();
    this.authorization = req.getHeader('authorization');
    this.named = req.getHeader('x-holdfast-holder');
    this.inUrl = tokenInUrl(req.getQuery());
    this.badFraming = isBadlyFramed(req);
    door.addresses.ofRequest(res, req);
    this.address = [door.addresses.lo, door.addresses.hi];
    res.onAborted(() => {
      this.done = true;
    });
  }

  /**
   * Goes on when the request's token has one of the scopes `needed` (0: any token), else answers 401 or 403. Without authentication at
   * once, and for everybody. What an administrator does is logged, unless it is `quiet`: to read counters changes nothing, and is done
   * every few seconds.
   */
  allow(needed: number, then: (caller: Caller) => void, quiet = false): void {
    const { check, holders } = this.door;
    if (this.badFraming) {
      this.problem(400, 'MALFORMED', 'it cannot be said where the request ends');
    } else if (this.inUrl !== undefined) {
      this.problem(400, 'MALFORMED', this.inUrl);
    } else if (check === undefined) {
      then({ ...anybody(this.named || ANONYMOUS, this.named !== '', holders), address: this.address });
    } else {
      void this.authenticate(check, needed, then, quiet);
    }
  }

  private async authenticate(
    check: TokenCheck,
    needed: number,
    then: (caller: Caller) => void,
    quiet: boolean,
  ): Promise<void> {
    const token = bearerOf(this.authorization);
    if (this.named !== '') {
      this.problem(400, 'MALFORMED', 'x-holdfast-holder has no place here: the token says who it is');
      return;
    }
    if (token === undefined) {
      this.unauthenticated('this takes a token: authorization: Bearer …', 'Bearer');
      return;
    }
    let identity: Identity;
    try {
      identity = await check.verify(token);
    } catch (error) {
      this.refuseToken(error);
      return;
    }
    if (this.done) return;
    const caller = { ...callerOf(identity, this.door.holders), address: this.address };
    if (allows(identity.scopes, needed)) {
      // What any scope but that one allows is no deed of an administrator, except to look at the holds of others.
      const byOther = needed !== Scope.HOLD && allows(identity.scopes & ~Scope.ADMIN, needed);
      if (caller.admin && !byOther && !quiet) this.deed = identity;
      then(caller);
    } else this.problem(403, 'FORBIDDEN', `this takes a token with the scope ${scopeName(needed)}`);
  }

  private refuseToken(error: unknown): void {
    if (error instanceof AuthError && error.reason !== AuthReason.KEYS_UNAVAILABLE) {
      this.unauthenticated(error.message, challenge(error.message), authReasonName(error.reason));
    } else if (error instanceof AuthError || error instanceof CheckBusyError) {
      this.problem(503, 'UNAVAILABLE', error.message, { retryAfterMs: CHECK_RETRY_MS });
    } else {
      this.problem(500, 'FAILED', 'the token could not be looked at');
    }
  }

  private unauthenticated(detail: string, challenged: string, reason = 'MISSING'): void {
    this.door.log({ event: 'auth-failed', reason, requestId: this.requestId });
    this.problem(401, 'UNAUTHENTICATED', detail, { reason }, { 'www-authenticate': challenged });
  }

  /** The path's parameter, or undefined with the request answered when its escapes are broken. */
  parameter(req: uWS.HttpRequest, what: string): string | undefined {
    const raw = req.getParameter(0) ?? '';
    try {
      return decodeURIComponent(raw);
    } catch {
      this.problem(400, 'MALFORMED', `the ${what} in the path is not percent-encoded UTF-8: ${raw}`);
      return undefined;
    }
  }

  /** Whether the request may change anything; answered when not. */
  writable(req: uWS.HttpRequest): boolean {
    const origin = req.getHeader('origin');
    if (this.door.mayUse(origin)) return true;
    this.problem(403, 'FORBIDDEN', `pages of ${origin} may not use this server`);
    return false;
  }

  /** The query's parameters, or undefined with the request answered when they are not as they should be. */
  query<T>(req: uWS.HttpRequest, schema: z.ZodType<T>): T | undefined {
    const parsed = schema.safeParse(Object.fromEntries(new URLSearchParams(req.getQuery())));
    if (parsed.success) return parsed.data;
    this.problem(400, 'MALFORMED', z.prettifyError(parsed.error).replaceAll('\n', ' '));
    return undefined;
  }

  /** Begins to read the body, which has to happen before the handler returns. body() takes it from there. */
  readBody(): void {
    if (this.done) return;
    const parts: Buffer[] = [];
    let bytes = 0;
    this.res.onData((chunk, isLast) => {
      if (this.done) return;
      bytes += chunk.byteLength;
      if (bytes > MAX_BODY_BYTES) {
        this.problem(413, 'MALFORMED', `the body is over ${MAX_BODY_BYTES} bytes`);
        return;
      }
      parts.push(Buffer.from(Buffer.from(chunk)));
      if (!isLast) return;
      this.bodyText = Buffer.concat(parts).toString('utf8');
      this.onText?.();
    });
  }

  /** Checks the JSON body when it is there. Only while the request is not answered. */
  body<T>(schema: z.ZodType<T>, then: (body: T) => void): void {
    this.onText = () => this.check(schema, this.bodyText ?? '', then);
    if (this.bodyText !== undefined) this.onText();
  }

  json(status: number, body: unknown): void {
    this.end(status, 'application/json', `${JSON.stringify(body)}\n`);
  }

  /** Text of whatever type. */
  text(type: string, body: string): void {
    this.end(200, type, body);
  }

  problem(
    status: number,
    code: string,
    detail: string,
    extra: Record<string, unknown> = {},
    headers: Record<string, string> = {},
  ): void {
    const body = { type: 'about:blank', title: code, status, detail, code, ...extra };
    const { retryAfterMs = 1000 } = extra;
    const later = status === 429 || status === 503;
    this.end(status, 'application/problem+json', `${JSON.stringify(body)}\n`, {
      ...headers,
      ...(later && { 'retry-after': String(Math.max(1, Math.ceil((retryAfterMs as number) / 1000))) }),
    });
  }

  /** Says a command's refusal. */
  refuse(status: number, results: unknown[]): void {
    const [http, detail, extra] = explain(status, results);
    this.problem(http, statusName(status), detail, extra);
  }

  private check<T>(schema: z.ZodType<T>, text: string, then: (body: T) => void): void {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      this.problem(400, 'MALFORMED', 'the body is no JSON');
      return;
    }
    const parsed = schema.safeParse(value);
    if (parsed.success) then(parsed.data);
    else this.problem(400, 'MALFORMED', z.prettifyError(parsed.error).replaceAll('\n', ' '));
  }

  private end(status: number, type: string, body: string, headers: Record<string, string> = {}): void {
    if (this.done) return;
    this.done = true;
    if (this.badFraming) {
      // Not even an answer: behind one, the socket layer would go on with what it takes for the next request.
      this.note(400);
      this.res.close();
      return;
    }
    this.note(status);
    this.res.cork(() => {
      this.res.writeStatus(`${status} ${REASON_PHRASES[status] ?? ''}`);
      this.res.writeHeader('content-type', type);
      this.res.writeHeader('x-request-id', this.requestId);
      for (const [name, value] of Object.entries(headers)) this.res.writeHeader(name, value);
      endResponse(this.res, body);
    });
  }

  private note(status: number): void {
    const { requestId, method, path } = this;
    const tookMs = Math.round(performance.now() - this.startedMs);
    const event = status === 500 ? 'request-failed' : 'request';
    this.door.log({ event, requestId, method, path, status, tookMs });
    if (this.deed === undefined) return;
    const { subject, tokenId } = this.deed;
    this.door.log({
      event: 'admin-action',
      action: `${method} ${path}`,
      subject,
      tokenId,
      status,
      requestId,
    });
  }
}

const REASON_PHRASES: Record<number, string> = {
  200: 'OK',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  413: 'Content Too Large',
  429: 'Too Many Requests',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  507: 'Insufficient Storage',
};

function explain(status: number, results: unknown[]): [number, string, Record<string, unknown>] {
  switch (status) {
    case Status.MALFORMED:
      return [400, `element ${results[1]} of the command: ${reasonName(results[0] as number)}`, {}];
    case Status.BUSY:
    case Status.RATE_LIMITED: {
      const [retryAfterMs, layer] = results;
      const why = status === Status.BUSY ? 'the server has more to do than it can' : 'that is over a limit';
      const extra = { retryAfterMs, layer: layerName(layer as number) };
      return [status === Status.BUSY ? 503 : 429, `${why}; try again in ${retryAfterMs} ms`, extra];
    }
    case Status.UNAVAILABLE:
      return [
        503,
        'the server is stopping, waits for its store, or rebuilds the segment; nothing happened',
        { retryAfterMs: results[0] },
      ];
    case Status.UNKNOWN_OUTCOME:
      return [500, 'the thread that ran the command died over it: it happened or it did not', {}];
    case Status.UNKNOWN_SKU:
      return [404, 'no such SKU was ever stocked', {}];
    case Status.UNKNOWN_HOLD:
      return [404, 'no such hold of this holder, or it ended so long ago that it is forgotten', {}];
    case Status.STOCK_LIMIT: {
      const [available, held, sold, total] = results;
      const detail = `the total would be below what is held and sold, or above ${MAX_QUANTITY}`;
      return [409, detail, { available, held, sold, total }];
    }
    default:
      return [507, `refused: ${statusName(status)}`, {}];
  }
}
