import type uWS from 'uWebSockets.js';
import type { HolderHash } from './holder.ts';
import { type AdminOptions, routeAdmin } from './http-admin.ts';
import { Exchange } from './http-exchange.ts';
import { routeStock } from './http-stock.ts';

export interface HttpOptions extends AdminOptions {
  holders: HolderHash;
}

/** HTTP for people and scripts. */
export function routeHttp(app: uWS.TemplatedApp, options: HttpOptions): void {
  const { front } = options;
  routeStock(app, front, options.holders);
  routeAdmin(app, options);
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
