import { MAX_QUANTITY } from '../../protocol/limits.ts';
import { layerName, reasonName, Status, statusName } from '../../protocol/status.ts';

/** Of the status line. */
export const REASON_PHRASES: Record<number, string> = {
  200: 'OK',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  413: 'Content Too Large',
  429: 'Too Many Requests',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  507: 'Insufficient Storage',
};

/** What HTTP says of a command's refusal: the status, a sentence, and what else there is to tell. */
export function explain(status: number, results: unknown[]): [number, string, Record<string, unknown>] {
  switch (status) {
    case Status.MALFORMED:
      return [400, `element ${results[1]} of the command: ${reasonName(results[0] as number)}`, {}];
    case Status.BUSY:
    case Status.RATE_LIMITED: {
      const [retryAfterMs, layer] = results;
      const why = status === Status.BUSY ? 'the server has more to do than it can' : 'that is over a limit';
      const extra = { retryAfterMs, layer: layerName(layer as number) };
      return [status === Status.BUSY ? 503 : 429, `${why}; try again in ${retryAfterMs} ms`, extra];
    }
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
