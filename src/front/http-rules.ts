import type uWS from 'uWebSockets.js';
import { Scope } from '../../protocol/status.ts';
import { Exchange, type HttpDoor } from './http-exchange.ts';
import type { RulesDesk } from './rules-desk.ts';

/** The rules of admission: what they are, and an order to read them again. */
export function routeRules(app: uWS.TemplatedApp, desk: RulesDesk, door: HttpDoor): void {
  app.get('/v1/rules', (res, req) => {
    const exchange = new Exchange(res, req, door);
    exchange.allow(Scope.ADMIN, () => {
      desk.report().then((report) => exchange.json(200, report), failed(exchange));
    });
  });
  app.post('/v1/rules/reload', (res, req) => {
    const exchange = new Exchange(res, req, door);
    if (!exchange.writable(req)) return;
    exchange.allow(Scope.ADMIN, () => {
      desk.reload().then((outcome) => answer(exchange, outcome), failed(exchange));
    });
  });
}

function answer(exchange: Exchange, outcome: Awaited<ReturnType<RulesDesk['reload']>>): void {
  if (outcome === 'no file') {
    exchange.problem(
      409,
      'NO_CONFIG_FILE',
      'this server was started without a config file (--config), so there is nothing to read again',
    );
  } else if ('problems' in outcome) {
    const detail = `nothing has changed: ${outcome.problems.join(' ')}`;
    exchange.problem(422, 'BAD_RULES', detail, { problems: outcome.problems });
  } else {
    exchange.json(200, { ...outcome.report, changed: outcome.changed });
  }
}

function failed(exchange: Exchange): (error: unknown) => void {
  return (error) =>
    exchange.problem(500, 'FAILED', error instanceof Error ? error.message : `the rules: ${error}`);
}
