import type uWS from 'uWebSockets.js';
import { z } from 'zod';
import { Op } from '../../protocol/ops.ts';
import { Scope, Status } from '../../protocol/status.ts';
import { AuthSetupError } from '../auth/identity.ts';
import { MAX_REVOKED_LENGTH, type Revocation } from '../auth/revocation-list.ts';
import { CONTENT_TYPES, type Format, formatFor } from '../metrics/exposition.ts';
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
import { SERVER_ITSELF } from './caller.ts';
import type { Front } from './front.ts';
import { Exchange, type HttpDoor } from './http-exchange.ts';
import { routeRules } from './http-rules.ts';
import type { RulesDesk } from './rules-desk.ts';

export interface AdminOptions extends HttpDoor {
  stages: () => StageReport;
  /** What `GET /metrics` answers. */
  metrics: (format: Format) => Promise<string>;
  /** Measures all threads. Rejects with ProfileBusyError while another is being taken. */
  profile: (request: ProfileRequest) => Promise<ProfileReport>;
  rules: RulesDesk;
}

const profileQuery = z.strictObject({
  seconds: z.coerce.number().min(MIN_PROFILE_SECONDS).max(MAX_PROFILE_SECONDS).default(5),
  kind: z.enum(PROFILE_KINDS).default('cpu'),
});

const timeMs = z.int().min(0);
const name = z.string().min(1).max(MAX_REVOKED_LENGTH);
const revocationBody = z.union([
  z.strictObject({ tokenId: name, until: timeMs.optional() }),
  z.strictObject({ subject: name, issuedBefore: timeMs.optional(), until: timeMs.optional() }),
]);

/** What is read every few seconds is no deed. */
const QUIET = true;

/** What only those who run the server ask for. */
export function routeAdmin(app: uWS.TemplatedApp, options: AdminOptions): void {
  app.get('/v1/inspect', (res, req) => {
    const exchange = new Exchange(res, req, options);
    exchange.allow(Scope.ADMIN, () => inspect(exchange, options.front));
  });
  app.get('/v1/stages', (res, req) => {
    const exchange = new Exchange(res, req, options);
    exchange.allow(Scope.ADMIN, () => exchange.json(200, options.stages()), QUIET);
  });
  app.get('/metrics', (res, req) => {
    const format = formatFor(req.getHeader('accept'));
    const exchange = new Exchange(res, req, options);
    const answer = (text: string): void => exchange.text(CONTENT_TYPES[format], text);
    const scrape = (): void => exchange.attempt(() => options.metrics(format).then(answer));
    exchange.allow(Scope.ADMIN, scrape, QUIET);
  });
  app.post('/v1/revocations', (res, req) => {
    const exchange = new Exchange(res, req, options);
    if (!exchange.writable(req)) return;
    exchange.allow(Scope.ADMIN, () =>
      exchange.body(revocationBody, (body) => void revoke(exchange, body, options)),
    );
  });
  app.post('/v1/profile', (res, req) => {
    const exchange = new Exchange(res, req, options);
    const asked = exchange.writable(req) ? exchange.query(req, profileQuery) : undefined;
    if (asked === undefined) return;
    exchange.allow(Scope.ADMIN, () => void profile(exchange, asked, options));
  });
  routeRules(app, options.rules, options);
}

/** Refuses tokens from now on, and ends the sessions that stand on them, on every front. */
async function revoke(
  exchange: Exchange,
  body: z.infer<typeof revocationBody>,
  { check }: AdminOptions,
): Promise<void> {
  const { until } = body;
  const target =
    'tokenId' in body
      ? { tokenId: body.tokenId }
      : { subject: body.subject, issuedBefore: body.issuedBefore ?? Date.now() };
  const revocation: Revocation = { ...target, ...(until !== undefined && { until }) };
  try {
    if (check === undefined)
      throw new AuthSetupError('Nobody is asked for a token here: there is none to revoke.');
    await check.revocations.add(revocation);
    exchange.json(200, revocation);
  } catch (error) {
    const unusable = error instanceof AuthSetupError;
    exchange.problem(unusable ? 409 : 500, unusable ? 'NOT_CONFIGURED' : 'FAILED', (error as Error).message);
  }
}

const COUNTS = ['skus', 'openHolds', 'available', 'held', 'sold', 'total', 'keys', 'violations'] as const;

/** Runs the invariant in every segment, one after the other, and adds up what they say. */
function inspect(exchange: Exchange, front: Front): void {
  const segments = front.segments;
  const sums: Record<string, number> = Object.fromEntries(COUNTS.map((name) => [name, 0]));
  const bad: Record<string, unknown>[] = [];
  const fenced = front.fencedSegments();
  // As many commands as there are segments, for one question: more than a holder may send at once.
  const call = new Call(front, SERVER_ITSELF);
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

async function profile(exchange: Exchange, asked: ProfileRequest, options: AdminOptions): Promise<void> {
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
