import type uWS from 'uWebSockets.js';
import { type AdminOptions, routeAdmin } from './http-admin.ts';
import { Exchange } from './http-exchange.ts';
import { routeStock } from './http-stock.ts';

/** HTTP for people and scripts. */
export function routeHttp(app: uWS.TemplatedApp, options: AdminOptions): void {
  const { front } = options;
  routeStock(app, options);
  routeAdmin(app, options);
  app.get('/healthz', (res, req) => new Exchange(res, req, options).json(200, { status: 'ok' }));
  app.get('/readyz', (res, req) => {
    const exchange = new Exchange(res, req, options);
    if (!front.router.draining)
      exchange.json(200, { status: 'ready', fencedSegments: front.fencedSegments() });
    else exchange.problem(503, 'UNAVAILABLE', 'the server is starting or stopping');
  });
  app.any('/*', (res, req) => {
    const what = `${req.getMethod().toUpperCase()} ${req.getUrl()}`;
    new Exchange(res, req, options).problem(
      404,
      'NOT_FOUND',
      `there is nothing at ${what}; the routes are in protocol/README.md`,
    );
  });
}
