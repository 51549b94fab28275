import type uWS from 'uWebSockets.js';
import { z } from 'zod';
import { MAX_QUANTITY, MAX_TTL_MS } from '../../protocol/limits.ts';
import { type HoldState, Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Call } from './call.ts';
import type { Front } from './front.ts';
import type { HolderHash } from './holder.ts';
import { Exchange } from './http-exchange.ts';

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
const restockBody = z.strictObject({ delta: z.int().min(-MAX_QUANTITY).max(MAX_QUANTITY) });

/** Stock and holds: each request becomes the command that a WebSocket client would send. */
export function routeStock(app: uWS.TemplatedApp, front: Front, holders: HolderHash): void {
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
}
