import type uWS from 'uWebSockets.js';
import { z } from 'zod';
import { MAX_QUANTITY, MAX_TTL_MS } from '../../protocol/limits.ts';
import { type HoldState, Op, StockMode } from '../../protocol/ops.ts';
import { Scope, Status } from '../../protocol/status.ts';
import { Call } from './call.ts';
import { Exchange, type HttpDoor } from './http-exchange.ts';

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
export function routeStock(app: uWS.TemplatedApp, door: HttpDoor): void {
  const { front } = door;

  app.put('/v1/skus/:sku', (res, req) => {
    const exchange = new Exchange(res, req, door);
    const sku = exchange.writable(req) ? exchange.parameter(req, 'SKU') : undefined;
    if (sku === undefined) return;
    exchange.allow(Scope.STOCK, (caller) =>
      exchange.body(putBody, ({ total, maxPerHold = null, maxPerHolder = null, maxTtlMs = null }) =>
        stock(exchange, new Call(front, caller, exchange.traceparent), [
          sku,
          StockMode.TOTAL,
          total,
          maxPerHold,
          maxPerHolder,
          maxTtlMs,
        ]),
      ),
    );
  });

  app.post('/v1/skus/:sku/restock', (res, req) => {
    const exchange = new Exchange(res, req, door);
    const sku = exchange.writable(req) ? exchange.parameter(req, 'SKU') : undefined;
    if (sku === undefined) return;
    exchange.allow(Scope.STOCK, (caller) =>
      exchange.body(restockBody, ({ delta }) =>
        stock(exchange, new Call(front, caller, exchange.traceparent), [sku, StockMode.DELTA, delta]),
      ),
    );
  });

  app.get('/v1/skus/:sku', (res, req) => {
    const exchange = new Exchange(res, req, door);
    const sku = exchange.parameter(req, 'SKU');
    if (sku !== undefined)
      exchange.allow(0, (caller) => read(exchange, new Call(front, caller, exchange.traceparent), sku));
  });

  app.get('/v1/holds/:id', (res, req) => {
    const exchange = new Exchange(res, req, door);
    const text = exchange.parameter(req, 'hold id');
    if (text === undefined) return;
    const id = /^\d{1,16}$/.test(text) ? Number(text) : -1;
    if (!Number.isSafeInteger(id) || id < 0) {
      exchange.problem(400, 'MALFORMED', `a hold id is a whole number up to 2^53 - 1, not ${text}`);
      return;
    }
    exchange.allow(Scope.HOLD, (caller) =>
      readHold(exchange, new Call(front, caller, exchange.traceparent), id),
    );
  });
}

function stock(exchange: Exchange, call: Call, [sku, ...rest]: [string, ...unknown[]]): void {
  call.run([Op.STOCK, 1, sku, ...rest], ([, status, ...results]) => {
    const [available, held, sold, total] = results;
    if (status === Status.OK) exchange.json(200, { sku, available, held, sold, total });
    else exchange.refuse(status as number, results);
  });
}

function read(exchange: Exchange, call: Call, sku: string): void {
  call.run([Op.READ, 1, sku], ([, status, ...results]) => {
    const [available, held, sold, total, maxPerHold, maxPerHolder, maxTtlMs, earliestEnd] = results;
    if (status === Status.OK) {
      const counts = { sku, available, held, sold, total };
      exchange.json(200, { ...counts, maxPerHold, maxPerHolder, maxTtlMs, earliestEnd });
    } else {
      exchange.refuse(status as number, results);
    }
  });
}

function readHold(exchange: Exchange, call: Call, id: number): void {
  call.run([Op.READ_HOLD, 1, id], ([, status, ...results]) => {
    const [state, sku, quantity, sold, returned, endsAt] = results;
    if (status === Status.OK) {
      exchange.json(200, { id, state: STATE_NAMES[state as number], sku, quantity, sold, returned, endsAt });
    } else {
      exchange.refuse(status as number, results);
    }
  });
}
