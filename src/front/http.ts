import type uWS from 'uWebSockets.js';
import { z } from 'zod';
import { MAX_QUANTITY, MAX_TTL_MS } from '../../protocol/limits.ts';
import { type HoldState, Op, StockMode } from '../../protocol/ops.ts';
import { reasonName, Status, statusName } from '../../protocol/status.ts';
import {
  MAX_PROFILE_SECONDS,
  MIN_PROFILE_SECONDS,
  PROFILE_KINDS,
  ProfileBusyError,
  type ProfileReport,
  type ProfileRequest,
} from '../profile/profile-report.ts';
import type { StageReport } from '../shard/stage-report.ts';
import { Call } from './call.ts';
import type { Front } from './front.ts';
import type { HolderHash } from './holder.ts';
import { isTrustedOrigin } from './origin.ts';

export interface HttpOptions {
  front: Front;
  holders: HolderHash;
  stages: () => StageReport;
  /** Measures all threads. Rejects with ProfileBusyError while another is being taken. */
  profile: (request: ProfileRequest) => Promise<ProfileReport>;
}

const MAX_BODY_BYTES = 4096;
const STATE_NAMES: Record<number, Lowercase<keyof typeof HoldState>> = {
  1: 'held',
  2: 'confirmed',
  3: 'released',
  4: 'expired',
};

const limit = (most: number) => z.int().min(0).max(most).optional();
const settings = {
  maxPerHold: limit(MAX_QUANTITY),
  maxPerHolder: limit(MAX_QUANTITY),
  maxTtlMs: limit(MAX_TTL_MS),
};
const putBody = z.strictObject({ total: z.int().min(0).max(MAX_QUANTITY), ...settings });
const profileQuery = z.strictObject({
  seconds: z.coerce.number().min(MIN_PROFILE_SECONDS).max(MAX_PROFILE_SECONDS).default(5),
  kind: z.enum(PROFILE_KINDS).default('cpu'),
});
const restockBody = z.strictObject({ delta: z.int().min(-MAX_QUANTITY).max(MAX_QUANTITY) });

/** HTTP for people and scripts: each request becomes the command that a WebSocket client would send. */
export function routeHttp(app: uWS.TemplatedApp, options: HttpOptions): void {
  const { front, holders } = options;

  const stock = (
    exchange: Exchange,
    sku: string,
    mode: number,
    amount: number,
    body: z.infer<typeof putBody> | undefined,
  ): void => {
    const { maxPerHold = null, maxPerHolder = null, maxTtlMs = null } = body ?? {};
    new Call(front, 0, 0).run(
      [Op.STOCK, 1, sku, mode, amount, maxPerHold, maxPerHolder, maxTtlMs],
      ([, status, ...rest]) => {
        if (status !== Status.OK) exchange.refuse(status as number, rest);
        else exchange.json(200, { sku, available: rest[0], held: rest[1], sold: rest[2], total: rest[3] });
      },
    );
  };

  app.put('/v1/skus/:sku', (res, req) => {
    const exchange = new Exchange(res);
    const sku = exchange.writable(req) ? exchange.parameter(req, 'SKU') : undefined;
    if (sku === undefined) return;
    exchange.body(putBody, (body) => stock(exchange, sku, StockMode.TOTAL, body.total, body));
  });

  app.post('/v1/skus/:sku/restock', (res, req) => {
    const exchange = new Exchange(res);
    const sku = exchange.writable(req) ? exchange.parameter(req, 'SKU') : undefined;
    if (sku === undefined) return;
    exchange.body(restockBody, (body) => stock(exchange, sku, StockMode.DELTA, body.delta, undefined));
  });

  app.get('/v1/skus/:sku', (res, req) => {
    const exchange = new Exchange(res);
    const sku = exchange.parameter(req, 'SKU');
    if (sku === undefined) return;
    new Call(front, 0, 0).run([Op.READ, 1, sku], ([, status, ...rest]) => {
      if (status !== Status.OK) {
        exchange.refuse(status as number, rest);
        return;
      }
      const [available, held, sold, total, maxPerHold, maxPerHolder, maxTtlMs, earliestEnd] = rest;
      exchange.json(200, {
        sku,
        available,
        held,
        sold,
        total,
        maxPerHold,
        maxPerHolder,
        maxTtlMs,
        earliestEnd,
      });
    });
  });

  app.get('/v1/holds/:id', (res, req) => {
    const exchange = new Exchange(res);
    const text = exchange.parameter(req, 'hold id');
    if (text === undefined) return;
    const id = /^\d{1,16}$/.test(text) ? Number(text) : -1;
    if (!Number.isSafeInteger(id) || id < 0) {
      exchange.problem(400, 'MALFORMED', `a hold id is a whole number up to 2^53 - 1, not ${text}`);
      return;
    }
    holders.run(req.getHeader('x-holdfast-holder') || 'anonymous');
    new Call(front, holders.lo, holders.hi).run([Op.READ_HOLD, 1, id], ([, status, ...rest]) => {
      if (status !== Status.OK) {
        exchange.refuse(status as number, rest);
        return;
      }
      const [state, sku, quantity, sold, returned, endsAt] = rest;
      exchange.json(200, { id, state: STATE_NAMES[state as number], sku, quantity, sold, returned, endsAt });
    });
  });

  app.get('/v1/inspect', (res) => inspect(new Exchange(res), front));
  app.get('/v1/stages', (res) => new Exchange(res).json(200, options.stages()));
  app.post('/v1/profile', (res, req) => {
    const exchange = new Exchange(res);
    const asked = exchange.writable(req) ? exchange.query(req, profileQuery) : undefined;
    if (asked !== undefined) profile(exchange, asked, options);
  });
  app.get('/healthz', (res) => new Exchange(res).json(200, { status: 'ok' }));
  app.get('/readyz', (res) => {
    const exchange = new Exchange(res);
    if (!front.router.draining)
      exchange.json(200, { status: 'ready', fencedSegments: front.fencedSegments() });
    else exchange.problem(503, 'UNAVAILABLE', 'the server is starting or stopping');
  });
  app.any('/*', (res, req) => {
    const what = `${req.getMethod().toUpperCase()} ${req.getUrl()}`;
    new Exchange(res).problem(
      404,
      'NOT_FOUND',
      `there is nothing at ${what}; the routes are in protocol/README.md`,
    );
  });
}

const COUNTS = ['skus', 'openHolds', 'available', 'held', 'sold', 'total', 'keys', 'violations'] as const;

/** Runs the invariant in every segment, one after the other, and adds up what they say. */
function inspect(exchange: Exchange, front: Front): void {
  const segments = front.segments;
  const sums: Record<string, number> = Object.fromEntries(COUNTS.map((name) => [name, 0]));
  const bad: Record<string, unknown>[] = [];
  const fenced = front.fencedSegments();
  const call = new Call(front, 0, 0);
  const next = (segment: number): void => {
    if (segment === segments) {
      exchange.json(200, { ...sums, fenced: fenced.length, segments, fencedSegments: fenced, violated: bad });
      return;
    }
    if (fenced.includes(segment)) {
      next(segment + 1);
      return;
    }
    call.run([Op.INSPECT, segment + 1, segment], ([, status, ...counts]) => {
      if (status !== Status.OK) {
        exchange.refuse(status as number, counts);
        return;
      }
      COUNTS.forEach((name, i) => {
        sums[name] = (sums[name] as number) + (counts[i] as number);
      });
      if (counts[7] !== 0) bad.push({ segment, violations: counts[7] });
      next(segment + 1);
    });
  };
  next(0);
}

async function profile(exchange: Exchange, asked: ProfileRequest, options: HttpOptions): Promise<void> {
  try {
    exchange.json(200, await options.profile(asked));
  } catch (error) {
    if (error instanceof ProfileBusyError) {
      exchange.problem(409, 'BUSY', 'another profile is being taken; ask again when it is done');
    } else {
      exchange.problem(500, 'FAILED', `no profile: ${error instanceof Error ? error.message : error}`);
    }
  }
}

/** One HTTP request and its answer. The socket layer demands that a request is answered once, and never after it was aborted. */
class Exchange {
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
    this.end(status, 'application/json', body);
  }

  problem(status: number, code: string, detail: string, extra: Record<string, unknown> = {}): void {
    const body = { type: 'about:blank', title: code, status, detail, code, ...extra };
    this.end(status, 'application/problem+json', body);
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

  private end(status: number, type: string, body: unknown): void {
    if (this.done) return;
    this.done = true;
    this.res.cork(() => {
      this.res.writeStatus(`${status} ${REASON_PHRASES[status] ?? ''}`);
      this.res.writeHeader('content-type', type);
      if (status === 503) this.res.writeHeader('retry-after', '1');
      this.res.end(`${JSON.stringify(body)}\n`);
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
