import type uWS from 'uWebSockets.js';
import { z } from 'zod';
import { AuthReason, authReasonName, Scope, scopeName, statusName } from '../../protocol/status.ts';
import { AuthError, type Identity } from '../auth/identity.ts';
import type { Log } from '../log/events.ts';
import { Arrival } from './arrivals.ts';
import { allows, anybody, type Caller, callerOf } from './caller.ts';
import { bearerOf, challenge, tokenInUrl } from './credentials.ts';
import type { Front } from './front.ts';
import { ANONYMOUS, type HolderHash } from './holder.ts';
import { explain, REASON_PHRASES } from './http-refusals.ts';
import { endResponse, hasBody, isBadlyFramed, whoTwice } from './http-wire.ts';
import type { Guest, Lobby } from './lobby.ts';
import type { OriginCheck } from './origin.ts';
import { requestIdOf } from './request-id.ts';
import { BadTokensError, CHECK_RETRY_MS, CheckBusyError, type TokenCheck } from './token-check.ts';

const MAX_BODY_BYTES = 4096;

/** What every exchange knows of the server. */
export interface HttpDoor {
  readonly front: Front;
  readonly holders: HolderHash;
  readonly mayUse: OriginCheck;
  readonly lobby: Lobby;
  /** Missing where there is no authentication. */
  readonly check: TokenCheck | undefined;
  /** Takes what is worth a line in the log. */
  readonly log: Log;
}

/**
 * One HTTP request and its answer. The socket layer demands that a request is answered once, and never after it was aborted: what comes
 * later than an answer does nothing. Made for each request first of all, since it is here that requests are counted and limited.
 */
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
  /** What is wrong with how it says who asks. */
  private readonly wrong: string | undefined;
  /** Such a request is not carried out, and its connection is closed. */
  private readonly badFraming: boolean;
  /** Missing when the sender was gone before anybody looked. */
  private readonly guest: Guest | undefined;
  /** Whose deed the answer tells of, where it is an administrator's. */
  private deed: Identity | undefined;
  /** Of an answer 500, for the log. */
  private failure: string | undefined;
  /** Answered, or aborted. */
  private done = false;
  private aborted = false;
  /** Set when the whole body is there. */
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
    this.wrong = whoTwice(req) ?? tokenInUrl(req.getQuery());
    this.badFraming = isBadlyFramed(req);
    this.guest = door.lobby.guest(res, req);
    if (this.guest === undefined) {
      this.done = true;
      return;
    }
    const { guest } = this;
    res.onAborted(() => {
      this.done = true;
      this.aborted = true;
      door.lobby.leave(guest);
    });
    if (hasBody(req)) this.readBody();
    else this.bodyText = '';
    if (guest.limited) this.count(guest);
  }

  private count({ lo, hi, address }: Guest): void {
    const { lobby } = this.door;
    const refusal = lobby.arrivals.request(lo, hi);
    if (refusal !== Arrival.OK) this.turnAway(refusal, address, lobby.arrivals.retryMs);
  }

  private turnAway(refusal: number, address: string, retryAfterMs: number): void {
    const { why, status } = this.door.lobby.turnAway(refusal, address);
    const forAll = status.startsWith('503');
    this.problem(forAll ? 503 : 429, forAll ? 'BUSY' : 'RATE_LIMITED', why, { retryAfterMs });
  }

  /**
   * Goes on when the request's token has one of the scopes `needed` (0: any token), else answers 401 or 403. Without authentication at
   * once, and for everybody. What an administrator does is logged, unless it is `quiet`: to read counters changes nothing, and is done
   * every few seconds.
   */
  allow(needed: number, then: (caller: Caller) => void, quiet = false): void {
    const { check, holders } = this.door;
    if (this.done || this.guest === undefined) return;
    if (this.badFraming) {
      this.problem(400, 'MALFORMED', 'it cannot be said where the request ends');
    } else if (this.wrong !== undefined) {
      this.problem(400, 'MALFORMED', this.wrong);
    } else if (check === undefined) {
      const { lo, hi } = this.guest;
      const caller = anybody(this.named || ANONYMOUS, this.named !== '', holders);
      this.attempt(() => then({ ...caller, address: [lo, hi] }));
    } else {
      const { guest } = this;
      this.attempt(() => this.authenticate(check, guest, needed, then, quiet));
    }
  }

  /** Does something that may throw or reject, which is a bug or somebody's trouble: the answer is then 500, and the log says more. */
  attempt(work: () => void | Promise<void>): void {
    const failed = (error: unknown): void => this.fail('the request could not be carried out', error);
    try {
      work()?.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Answers 500. What the error says is for the log only: it may tell of files and addresses within. */
  fail(what: string, error: unknown): void {
    this.failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.problem(500, 'FAILED', `${what}: the log of the server tells why`);
  }

  private async authenticate(
    check: TokenCheck,
    guest: Guest,
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
      identity = await check.verify(token, guest);
    } catch (error) {
      this.refuseToken(error, guest);
      return;
    }
    if (this.done) return;
    const address = [guest.lo, guest.hi] as const;
    const caller = { ...callerOf(identity, this.door.holders), address };
    if (allows(identity.scopes, needed)) {
      // What any scope but that one allows is no deed of an administrator, except to look at the holds of others.
      const byOther = needed !== Scope.HOLD && allows(identity.scopes & ~Scope.ADMIN, needed);
      if (caller.admin && !byOther && !quiet) this.deed = identity;
      then(caller);
    } else this.problem(403, 'FORBIDDEN', `this takes a token with the scope ${scopeName(needed)}`);
  }

  private refuseToken(error: unknown, { address }: Guest): void {
    if (error instanceof BadTokensError) {
      this.turnAway(Arrival.ADDRESS_BAD_TOKENS, address, error.retryMs);
    } else if (error instanceof AuthError && error.reason !== AuthReason.KEYS_UNAVAILABLE) {
      this.unauthenticated(error.message, challenge(error.message), authReasonName(error.reason));
    } else if (error instanceof AuthError || error instanceof CheckBusyError) {
      this.problem(503, 'UNAVAILABLE', error.message, { retryAfterMs: CHECK_RETRY_MS });
    } else {
      this.fail('the token could not be looked at', error);
    }
  }

  private unauthenticated(detail: string, challenged: string, reason = 'MISSING'): void {
    this.door.log({ event: 'auth-failed', reason, requestId: this.requestId, address: this.guest?.address });
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

  /** Reads the body, which has to begin before the handler returns. body() takes it from there. */
  private readBody(): void {
    const parts: Buffer[] = [];
    let bytes = 0;
    this.res.onData((chunk, isLast) => {
      if (this.aborted) return;
      bytes += chunk.byteLength;
      if (bytes > MAX_BODY_BYTES) {
        // Whatever else comes is not waited for.
        if (this.bodyText !== undefined) return;
        this.bodyText = '';
        this.problem(413, 'MALFORMED', `the body is over ${MAX_BODY_BYTES} bytes`);
        this.onText?.();
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
    if (this.done) return;
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
    if (this.done) return;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      this.problem(400, 'MALFORMED', 'the body is no JSON');
      return;
    }
    const parsed = schema.safeParse(value);
    if (parsed.success) this.attempt(() => then(parsed.data));
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
    const send = (): void => this.send(status, type, body, headers);
    if (this.guest?.visits !== true) {
      send();
      return;
    }
    // Who is still sending when the connection is closed would not get to read the answer. And a request that was sent ahead of it ends the
    // connection only when it is found before the answer: so that has to wait until the socket layer has seen all that it has read.
    const sendLater = (): void => void setImmediate(() => !this.aborted && send());
    if (this.bodyText === undefined) this.onText = sendLater;
    else sendLater();
  }

  private send(status: number, type: string, body: string, headers: Record<string, string>): void {
    const { res, guest, door } = this;
    res.cork(() => {
      res.writeStatus(`${status} ${REASON_PHRASES[status] ?? ''}`);
      res.writeHeader('content-type', type);
      res.writeHeader('x-request-id', this.requestId);
      for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
      if (guest?.visits === true) res.end(body, true);
      else endResponse(res, body);
    });
    if (guest !== undefined) door.lobby.leave(guest);
  }

  private note(status: number): void {
    const { requestId, method, path } = this;
    const tookMs = Math.round(performance.now() - this.startedMs);
    const answered = { requestId, method, path, status, tookMs };
    if (status === 500) this.door.log({ event: 'request-failed', ...answered, detail: this.failure });
    else this.door.log({ event: 'request', ...answered });
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
