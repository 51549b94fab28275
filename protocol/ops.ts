import { Scope } from './status.ts';

/** The commands. Numbers are what the wire carries; names are what a text frame may say instead. */
export const Op = {
  HOLD: 1,
  CONFIRM: 2,
  RELEASE: 3,
  EXTEND: 4,
  RETURN: 5,
  STOCK: 6,
  READ: 7,
  READ_HOLD: 8,
  TIME: 9,
  INSPECT: 10,
  AUTH: 11,
} as const;
export type OpName = keyof typeof Op;

/** The first element of a push, which takes the place of a request id. */
export const PUSH = 0;
export const Push = { HELLO: 1, ERROR: 2 } as const;
/** What a client may push: a traceparent, which belongs to the command right behind it in its frame. */
export const ClientPush = { TRACE: 1 } as const;

/** What STOCK's amount means: a change of the total, or the total itself. */
export const StockMode = { DELTA: 0, TOTAL: 1 } as const;

/** A hold's state in the answer to READ_HOLD. */
export const HoldState = { HELD: 1, CONFIRMED: 2, RELEASED: 3, EXPIRED: 4 } as const;
export type HoldStateName = keyof typeof HoldState;

/** What the first argument is, and so how a command finds its segment. */
export const Route = { NONE: 0, SKU: 1, HOLD: 2, SEGMENT: 3, TOKEN: 4 } as const;

export interface OpShape {
  readonly op: number;
  readonly name: OpName;
  readonly route: number;
  /** Fewest and most elements of the whole array, with the op and the request id. */
  readonly minElements: number;
  readonly maxElements: number;
  /** Names of the arguments behind the request id, for messages and documentation. */
  readonly args: readonly string[];
}

/** Whether a command may change state, by op number. */
export const OP_CHANGES: readonly boolean[] = [
  false,
  true,
  true,
  true,
  true,
  true,
  true,
  false,
  false,
  false,
  false,
  false,
];

/** The scopes of which a command needs one (ADMIN stands for all), by op number; 0: it only takes a valid token. */
export const OP_SCOPES: readonly number[] = [
  Scope.ADMIN,
  Scope.HOLD,
  Scope.HOLD,
  Scope.HOLD,
  Scope.HOLD,
  Scope.HOLD,
  Scope.STOCK,
  0,
  Scope.HOLD,
  0,
  Scope.ADMIN,
  0,
];

/** Bits by op number of what needs no token: to bring one. */
export const OPEN_OPS = 1 << Op.AUTH;
export const ALL_OPS = -1;

/** Bits by op number of what a token with these scopes allows. */
export function opsOf(scopes: number): number {
  if ((scopes & Scope.ADMIN) !== 0) return ALL_OPS;
  let ops = 0;
  for (const [op, needed] of OP_SCOPES.entries()) {
    if (needed === 0 || (needed & scopes) !== 0) ops |= 1 << op;
  }
  return ops;
}

function shape(name: OpName, route: number, required: number, args: string[]): OpShape {
  return { op: Op[name], name, route, minElements: 2 + required, maxElements: 2 + args.length, args };
}

/** Shapes by op number; index 0 is unused. */
export const OP_SHAPES: readonly OpShape[] = [
  { op: 0, name: 'TIME', route: Route.NONE, minElements: 0, maxElements: 0, args: [] },
  shape('HOLD', Route.SKU, 3, ['sku', 'quantity', 'ttlMs', 'key']),
  shape('CONFIRM', Route.HOLD, 1, ['holdId', 'quantity']),
  shape('RELEASE', Route.HOLD, 1, ['holdId', 'quantity', 'of']),
  shape('EXTEND', Route.HOLD, 2, ['holdId', 'ttlMs']),
  shape('RETURN', Route.HOLD, 1, ['holdId', 'quantity', 'of']),
  shape('STOCK', Route.SKU, 3, ['sku', 'mode', 'amount', 'maxPerHold', 'maxPerHolder', 'maxTtlMs']),
  shape('READ', Route.SKU, 1, ['sku']),
  shape('READ_HOLD', Route.HOLD, 1, ['holdId']),
  shape('TIME', Route.NONE, 0, []),
  shape('INSPECT', Route.SEGMENT, 1, ['segment']),
  shape('AUTH', Route.TOKEN, 1, ['token']),
];

/** Op number of a name, or 0 when there is no such op. */
export function opByName(name: string): number {
  return Object.hasOwn(Op, name) ? Op[name as OpName] : 0;
}

export function opName(op: number): string {
  return op > 0 && op < OP_SHAPES.length ? (OP_SHAPES[op] as OpShape).name : `op ${op}`;
}
