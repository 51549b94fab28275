import type uWS from 'uWebSockets.js';
import { z } from 'zod';
import { MAX_QUANTITY } from '../../protocol/limits.ts';
import { reasonName, Status, statusName } from '../../protocol/status.ts';
import { isTrustedOrigin } from './origin.ts';

const MAX_BODY_BYTES = 4096;

/** One HTTP request and its answer. The socket layer demands that a request is answered once, and never after it was aborted. */
export class Exchange {
  private readonly res: uWS.HttpResponse;
  private done = false;

  constructor(res: uWS.HttpResponse) {
    this.res = res;
    res.onAborted(() => {
      this.done = true;
    });
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
    if (isTrustedOrigin(origin)) return true;
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

  /** Reads and checks a JSON body. Only while the request is not answered. */
  body<T>(schema: z.ZodType<T>, then: (body: T) => void): void {
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
      if (isLast) this.check(schema, Buffer.concat(parts).toString('utf8'), then);
    });
  }

  json(status: number, body: unknown): void {
    this.end(status, 'application/json', `${JSON.stringify(body)}\n`);
  }

  /** Text of whatever type. */
  text(type: string, body: string): void {
    this.end(200, type, body);
  }

  problem(status: number, code: string, detail: string, extra: Record<string, unknown> = {}): void {
    const body = { type: 'about:blank', title: code, status, detail, code, ...extra };
    this.end(status, 'application/problem+json', `${JSON.stringify(body)}\n`);
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

  private end(status: number, type: string, body: string): void {
    if (this.done) return;
    this.done = true;
    this.res.cork(() => {
      this.res.writeStatus(`${status} ${REASON_PHRASES[status] ?? ''}`);
      this.res.writeHeader('content-type', type);
      if (status === 503) this.res.writeHeader('retry-after', '1');
      this.res.end(body);
    });
  }
}

const REASON_PHRASES: Record<number, string> = {
  200: 'OK',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  413: 'Content Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  507: 'Insufficient Storage',
};

function explain(status: number, results: unknown[]): [number, string, Record<string, unknown>] {
  switch (status) {
    case Status.MALFORMED:
      return [400, `element ${results[1]} of the command: ${reasonName(results[0] as number)}`, {}];
    case Status.BUSY:
      return [503, `a queue is full; try again in ${results[0]} ms`, { retryAfterMs: results[0] }];
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
