import { OP_SHAPES } from '../../protocol/ops.ts';
import {
  authReasonName,
  layerName,
  reasonName,
  Status,
  scopeName,
  statusName,
} from '../../protocol/status.ts';
import { type ErrorDetails, HoldfastError, type RefusalCode } from './errors.ts';
import type { Request } from './requests.ts';

/**
 * The error for a reply with a status other than OK.
 *
 * @param results what follows the status in the reply
 * @param toLocal turns a server time into a local one, both in ms since the epoch
 */
export function refusal(
  request: Request<unknown>,
  status: number,
  results: readonly unknown[],
  toLocal: (serverTimeMs: number) => number,
): HoldfastError {
  const entry = refusals[status];
  if (entry === undefined) {
    const text = `${request.what} was answered with status ${status}, which this SDK does not know: update the SDK.`;
    return new HoldfastError('PROTOCOL', text, { status });
  }
  const details: Record<string, number | string> = {};
  for (const [index, name] of entry.results.entries()) {
    const value = results[index];
    if (typeof value === 'number') details[name] = name.endsWith('At') ? toLocal(value) : value;
  }
  if (status === Status.MALFORMED) explainMalformed(details, request.op);
  else explainAdmission(details, status);
  const code = statusName(status) as RefusalCode;
  return new HoldfastError(code, `${request.what} was refused, ${code}: ${entry.text(details)}`, details);
}

/** Names of the results in their order on the wire; those that end in `At` are times. */
interface Entry {
  readonly results: readonly string[];
  readonly text: (details: ErrorDetails) => string;
}

const refusals: Entry[] = [];

function refuse(status: number, results: readonly string[], text: (details: ErrorDetails) => string): void {
  refusals[status] = { results, text };
}

const date = (timeMs: number | undefined) =>
  timeMs === undefined ? 'an unknown time' : new Date(timeMs).toISOString();

refuse(
  Status.MALFORMED,
  ['reason', 'argument'],
  (d) =>
    `the server could not read ${d.argument} (${d.reason}). Correct the value, or update the SDK or the server.`,
);
refuse(
  Status.BUSY,
  ['retryAfterMs', 'layer'],
  (d) =>
    `the server has more commands than it can take (${d.layer}) and did nothing. Try again in ${d.retryAfterMs} ms.`,
);
refuse(
  Status.UNAUTHENTICATED,
  ['reason'],
  (d) => `the server knows no valid token of this client (${d.reason}). Bring one that is.`,
);
refuse(Status.FORBIDDEN, ['scope'], (d) => `the token does not allow it: it takes the scope ${d.scope}.`);
refuse(
  Status.RATE_LIMITED,
  ['retryAfterMs', 'layer'],
  (d) => `that is over a limit (${d.layer}), and nothing happened. Try again in ${d.retryAfterMs} ms.`,
);
refuse(Status.UNAVAILABLE, ['retryAfterMs'], (d) =>
  (d.retryAfterMs ?? 0) > 0
    ? `the server is stopping, waits for its store, or rebuilds the part that owns this; nothing happened. Try again in ${d.retryAfterMs} ms.`
    : 'the part of the server that owns this is out of service, and waiting does not help. Tell its operator.',
);
refuse(
  Status.UNKNOWN_OUTCOME,
  [],
  () =>
    'the server thread that ran it died over it, so it happened or it did not. Its part of the server is rebuilt from the store, where there is one. Look before you try again.',
);
refuse(Status.UNKNOWN_SKU, [], () => 'this SKU was never stocked. Check its name, or stock it first.');
refuse(
  Status.UNKNOWN_HOLD,
  [],
  () =>
    'this holder has no such hold, or it ended so long ago that it is forgotten. Check the id and the holder.',
);
refuse(
  Status.KEY_CONFLICT,
  ['holdId'],
  (d) =>
    `the key stands for hold ${d.holdId} of another quantity or time to live. Take a new key for a new hold, or repeat the first request as it was.`,
);
refuse(
  Status.HOLD_LIMIT,
  ['limit'],
  (d) => `one hold of this SKU may have at most ${d.limit} units. Ask for less.`,
);
refuse(
  Status.TTL_LIMIT,
  ['limitMs'],
  (d) => `the longest time to live allowed here is ${d.limitMs} ms. Ask for a shorter one.`,
);
refuse(
  Status.HOLDER_LIMIT,
  ['limit', 'counted'],
  (d) =>
    `one holder may hold and buy at most ${d.limit} units of this SKU and has ${d.counted} already. Ask for at most ${(d.limit ?? 0) - (d.counted ?? 0)}.`,
);
refuse(
  Status.SOLD_OUT,
  ['available'],
  (d) =>
    `${d.available} available, and no open hold can make it enough. Ask for less, or wait for a restock.`,
);
refuse(
  Status.HELD_OUT,
  ['available', 'retryAt'],
  (d) =>
    `${d.available} available now, the rest is held. The earliest hold ends at ${date(d.retryAt)}: try again then, or ask for less.`,
);
refuse(
  Status.CONFIRMED,
  ['sold'],
  (d) => `the hold is confirmed and ${d.sold} units are sold. To take them back, return them.`,
);
refuse(
  Status.RELEASED,
  ['endedAt'],
  (d) => `the hold was released at ${date(d.endedAt)}. Place a new one if it is still wanted.`,
);
refuse(
  Status.EXPIRED,
  ['endedAt'],
  (d) =>
    `the hold expired at ${date(d.endedAt)} and its stock went back. Place a new one if it is still wanted.`,
);
refuse(
  Status.NOT_CONFIRMED,
  [],
  () => 'the hold is not confirmed, so nothing of it was sold. Release it instead.',
);
refuse(Status.EXCEEDS_HOLD, ['quantity'], (d) => `the hold has ${d.quantity} units. Give at most that many.`);
refuse(
  Status.CHANGED,
  ['quantity'],
  (d) =>
    `the hold has ${d.quantity} units, other than was expected: something else changed it. Look, then decide again.`,
);
refuse(
  Status.LIFE_LIMIT,
  ['limitAt'],
  (d) => `the whole life of a hold is bounded, and this one can last until ${date(d.limitAt)} at most.`,
);
refuse(
  Status.STOCK_LIMIT,
  ['available', 'held', 'sold', 'total'],
  (d) =>
    `of ${d.total} units ${d.held} are held and ${d.sold} sold, so that the total can neither go below their sum nor above 2147483647. Change the amount.`,
);
for (const [status, table] of [
  [Status.SKU_CAPACITY, 'SKUs'],
  [Status.HOLD_CAPACITY, 'open holds'],
  [Status.KEY_CAPACITY, 'idempotency keys'],
  [Status.HOLDER_CAPACITY, 'holders'],
] as const) {
  refuse(status, [], () => `the server has no room for more ${table}. Try later, or raise its capacity.`);
}

/** Puts names in the place of numbers of layers, scopes and reasons. */
function explainAdmission(details: Record<string, number | string>, status: number): void {
  const { layer, scope, reason } = details;
  if (typeof layer === 'number') details.layer = layerName(layer);
  if (status === Status.UNAUTHENTICATED && typeof reason === 'number')
    details.reason = authReasonName(reason);
  if (typeof scope === 'number') details.scope = scopeName(scope);
}

/** Puts names in the place of the numbers of a reason and of the index of an element. */
function explainMalformed(details: Record<string, number | string>, op: number): void {
  const element = details.argument as number | undefined;
  details.reason = reasonName((details.reason as number | undefined) ?? 0);
  details.argument =
    element === undefined
      ? 'the command'
      : (OP_SHAPES[op]?.args[element - 2] ?? (element === 1 ? 'the request id' : 'the op'));
}
