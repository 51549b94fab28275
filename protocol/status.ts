/**
 * What a reply says. The numbers are an order of precedence: where several refusals apply to one command,
 * the lowest number is the answer.
 */
export const Status = {
  OK: 0,
  /** The command is no valid command; results: reason (see Reason), index of the offending element. */
  MALFORMED: 1,
  /** The server has more to do than it can; results: retryAfterMs, the layer that refused (see Layer). Nothing happened. */
  BUSY: 2,
  /**
   * The segment is being rebuilt or out of service, the store stands still, or the server stops, and nothing happened; results:
   * retryAfterMs (0: not by waiting).
   */
  UNAVAILABLE: 3,
  /** No such SKU was ever stocked. */
  UNKNOWN_SKU: 4,
  /** No such hold of this holder, or it ended so long ago that it is forgotten. */
  UNKNOWN_HOLD: 5,
  /** The key was used for another quantity or time to live; results: the holdId it stands for. */
  KEY_CONFLICT: 6,
  /** More units than the SKU allows in one hold; results: the limit. */
  HOLD_LIMIT: 7,
  /** A longer time than the SKU, or the server, allows; results: the limit in ms. */
  TTL_LIMIT: 8,
  /** More units than the SKU allows one holder, held and bought; results: the limit, units counted so far. */
  HOLDER_LIMIT: 9,
  /** Not enough, and open holds cannot make it enough; results: available. */
  SOLD_OUT: 10,
  /** Not enough now; results: available, time at which the earliest open hold of the SKU ends. */
  HELD_OUT: 11,
  /** The hold is confirmed; results: units sold. */
  CONFIRMED: 12,
  /** The hold was released; results: time of the release. */
  RELEASED: 13,
  /** The hold's deadline passed; results: time at which it ended. */
  EXPIRED: 14,
  /** RETURN of a hold that is still held: nothing was sold. */
  NOT_CONFIRMED: 15,
  /** More than the hold has; results: what it has. */
  EXCEEDS_HOLD: 16,
  /** The hold has neither `of` units nor what would remain of them; results: what it has. */
  CHANGED: 17,
  /** The hold's whole life would be too long; results: the latest deadline it can get. */
  LIFE_LIMIT: 18,
  /** STOCK would take units that are held or sold, or the total would leave its bounds; results: available, held, sold, total. */
  STOCK_LIMIT: 19,
  /** The segment's table is full: SKUs, open holds, keys, holders with a limit. */
  SKU_CAPACITY: 20,
  HOLD_CAPACITY: 21,
  KEY_CAPACITY: 22,
  HOLDER_CAPACITY: 23,
  /**
   * The thread that ran the command died over it: it happened or it did not. The one status that is no certain answer. Its segment
   * is rebuilt where there is a store to rebuild it from, and else out of service from now on.
   */
  UNKNOWN_OUTCOME: 24,
  /** No valid token came so far, or the one that did is over; results: why (see AuthReason). Like the next two, said before all others but MALFORMED. */
  UNAUTHENTICATED: 25,
  /** The token does not allow it; results: the scope that would (see Scope). */
  FORBIDDEN: 26,
  /** More than this client, or all clients of this SKU together, may ask for; results: retryAfterMs, the layer that refused. Nothing happened. */
  RATE_LIMITED: 27,
} as const;
export type StatusName = keyof typeof Status;

const names: string[] = [];
for (const [name, code] of Object.entries(Status)) names[code] = name;
export const STATUS_COUNT = names.length;

export function statusName(status: number): string {
  return names[status] ?? `status ${status}`;
}

/** Status number of a name, or -1. */
export function statusByName(name: string): number {
  return Object.hasOwn(Status, name) ? Status[name as StatusName] : -1;
}

/** Why a command or frame is MALFORMED. */
export const Reason = {
  /** The bytes end before the value does. */
  TRUNCATED: 1,
  /** The value is no array, or holds a byte that begins no value: a frame cannot be read on from here. */
  NOT_A_COMMAND: 2,
  UNKNOWN_OP: 3,
  /** Too few or too many arguments. */
  WRONG_COUNT: 4,
  /** An argument, or the op, of another type. */
  WRONG_TYPE: 5,
  /** An argument of the right type outside its bounds. */
  OUT_OF_BOUNDS: 6,
  /** Text that is no UTF-8. */
  NOT_UTF8: 7,
  FRAME_TOO_LARGE: 8,
  /** A request id that is no integer from 1 to 2^53 - 1. */
  BAD_REQUEST_ID: 9,
  /** A text frame that is no JSON array. */
  NOT_JSON: 10,
} as const;
export type ReasonName = keyof typeof Reason;

const reasons: string[] = [];
for (const [name, code] of Object.entries(Reason)) reasons[code] = name;

export function reasonName(reason: number): string {
  return reasons[reason] ?? `reason ${reason}`;
}

/** Which layer of admission refused a command. */
export const Layer = {
  /** Too many commands of the connection are under way. */
  CONNECTION: 1,
  /** The holder's rate. */
  HOLDER_RATE: 2,
  /** The rate of the address, for who is anonymous. */
  ADDRESS_RATE: 3,
  /** The holds on this SKU within the window. */
  SKU_WINDOW: 4,
  /** The holder's holds within the window. */
  HOLDER_WINDOW: 5,
  /** Too many commands wait for the worker. */
  WORKER_QUEUE: 6,
  /** The group of SKUs answers too slowly or fails too often. */
  SKU_BREAKER: 7,
  /** So does the op. */
  OP_BREAKER: 8,
  /** More holds are under way than the server can answer in time. */
  CONCURRENCY: 9,
  /** The store does not keep up. */
  STORE: 10,
} as const;
export type LayerName = keyof typeof Layer;

const layers: string[] = [];
for (const [name, code] of Object.entries(Layer)) layers[code] = name;
/** Numbers of layers are below it; 0 is none. */
export const LAYER_COUNT = layers.length;

export function layerName(layer: number): string {
  return layers[layer] ?? `layer ${layer}`;
}

/** The status that says a layer's refusal: some are about the client, the others about the server. */
export function layerStatus(layer: number): number {
  return layer >= Layer.HOLDER_RATE && layer <= Layer.HOLDER_WINDOW ? Status.RATE_LIMITED : Status.BUSY;
}

/** Why a token opens nothing: results of UNAUTHENTICATED. */
export const AuthReason = {
  /** There is none, and nothing is open without one. */
  MISSING: 1,
  /** No signed JWT in compact form, too long, or by an algorithm that is not allowed. */
  MALFORMED: 2,
  BAD_SIGNATURE: 3,
  EXPIRED: 4,
  NOT_YET_VALID: 5,
  WRONG_ISSUER: 6,
  WRONG_AUDIENCE: 7,
  /** No key of its name and type is known. */
  UNKNOWN_KEY: 8,
  REVOKED: 9,
  /** A claim is missing or of another type. */
  BAD_CLAIM: 10,
  /** The keys cannot be had at present: the same token may be good in a while. */
  KEYS_UNAVAILABLE: 11,
} as const;
export type AuthReasonName = keyof typeof AuthReason;

const authReasons: string[] = [];
for (const [name, code] of Object.entries(AuthReason)) authReasons[code] = name;

export function authReasonName(reason: number): string {
  return authReasons[reason] ?? `reason ${reason}`;
}

/** What a token lets its bearer do, as bits. */
export const Scope = { HOLD: 1, STOCK: 2, ADMIN: 4 } as const;
export type ScopeName = keyof typeof Scope;

/** Name of one scope, as a token says it. */
export function scopeName(scope: number): string {
  const name = Object.entries(Scope).find(([, bit]) => bit === scope)?.[0];
  return name?.toLowerCase() ?? `scope ${scope}`;
}
