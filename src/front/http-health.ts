import type uWS from 'uWebSockets.js';
import { Exchange, type HttpDoor } from './http-exchange.ts';

/** What everybody may ask, and the answer to what is not there: behind all other routes. */
export function routeHealth(app: uWS.TemplatedApp, door: HttpDoor): void {
  app.get('/healthz', (res, req) => new Exchange(res, req, door).json(200, { status: 'ok' }));
  app.get('/readyz', (res, req) => {
    const exchange = new Exchange(res, req, door);
    const silent = door.front.silentFronts();
    if (silent.length > 0) {
      exchange.problem(503, 'UNAVAILABLE', `front ${silent.join(', ')} shows no sign of life`);
    } else if (!door.front.router.draining)
      exchange.json(200, { status: 'ready', fencedSegments: door.front.fencedSegments() });
    else exchange.problem(503, 'UNAVAILABLE', 'the server is starting or stopping');
  });
  app.any('/*', (res, req) => {
    const what = `${req.getMethod().toUpperCase()} ${req.getUrl()}`;
    new Exchange(res, req, door).problem(
      404,
      'NOT_FOUND',
      `there is nothing at ${what}; the routes are in protocol/README.md`,
    );
  });
}
