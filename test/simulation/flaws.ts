import { MAX_TTL_MS } from '../../protocol/limits.ts';
import { Op } from '../../protocol/ops.ts';
import { Reason } from '../../protocol/status.ts';
import type { Prng } from '../../src/base/prng.ts';

/** What is wrong with a command, and how the server has to say so. */
export interface Flaw {
  readonly reason: number;
  /** Index of the element that is wrong; undefined where that depends on where bytes end. */
  readonly element?: number;
  /** Who notices: the front at once, or the segment when it is the command's turn. */
  readonly finder: 'front' | 'segment';
  /** Told by a push only, since there is no request id to answer to. */
  readonly push?: boolean;
  /** The rest of the frame is lost, which a push says too. */
  readonly breaks?: boolean;
}

/** A command with a flaw: what to write in place of op, request id and arguments, or its bytes. */
export interface Flawed {
  readonly flaw: Flaw;
  readonly op?: unknown;
  readonly request: unknown;
  readonly args: readonly unknown[];
  readonly bytes?: Uint8Array;
  readonly alter?: (bytes: Uint8Array) => Uint8Array;
}

type Draw = (args: readonly unknown[], request: unknown) => Flawed;

const { OUT_OF_BOUNDS, WRONG_TYPE, WRONG_COUNT, UNKNOWN_OP, BAD_REQUEST_ID, NOT_UTF8 } = Reason;
const { TRUNCATED, NOT_A_COMMAND } = Reason;

/** Three bytes that no name has, so that they can be found and made into something that is no UTF-8. */
const MARKER = '\u007f\u007f\u007f';

/** Bytes that begin no command: one that begins no value, a number, text. */
export const GARBAGE = [Uint8Array.of(0xc1), Uint8Array.of(7), Uint8Array.of(0xa2, 0x41, 0x41)];
export const GARBAGE_FLAW: Flaw = { reason: NOT_A_COMMAND, finder: 'front', push: true, breaks: true };

/** Flaws in an argument of this op, found by the segment: index of the argument (0 is the first), value, reason. */
const IN_ARGUMENTS: Record<number, readonly [at: number, value: unknown, reason: number][]> = {
  [Op.HOLD]: [
    [1, 0, OUT_OF_BOUNDS],
    [1, 2 ** 31, OUT_OF_BOUNDS],
    [1, 'two', WRONG_TYPE],
    [1, null, WRONG_TYPE],
    [1, 1.5, WRONG_TYPE],
    [2, 0, OUT_OF_BOUNDS],
    [2, MAX_TTL_MS + 1, OUT_OF_BOUNDS],
    [2, [], WRONG_TYPE],
    [3, '', OUT_OF_BOUNDS],
    [3, 'k'.repeat(65), OUT_OF_BOUNDS],
    [3, 7, WRONG_TYPE],
  ],
  [Op.CONFIRM]: [
    [1, 0, OUT_OF_BOUNDS],
    [1, 'all', WRONG_TYPE],
  ],
  [Op.RELEASE]: [
    [1, -1, OUT_OF_BOUNDS],
    [2, 0, OUT_OF_BOUNDS],
    [2, true, WRONG_TYPE],
  ],
  [Op.RETURN]: [
    [1, 2 ** 40, OUT_OF_BOUNDS],
    [2, {}, WRONG_TYPE],
  ],
  [Op.EXTEND]: [
    [1, 0, OUT_OF_BOUNDS],
    [1, 'long', WRONG_TYPE],
  ],
};

/** Flaws in the first argument, found by the front. */
const SKU_FLAWS: readonly [value: unknown, reason: number][] = [
  [5, WRONG_TYPE],
  [null, WRONG_TYPE],
  ['', OUT_OF_BOUNDS],
  ['s'.repeat(65), OUT_OF_BOUNDS],
];
const NUMBER_FLAWS: readonly [value: unknown, reason: number][] = [
  ['x', WRONG_TYPE],
  [1.5, WRONG_TYPE],
  [-5, OUT_OF_BOUNDS],
  [2n ** 60n, OUT_OF_BOUNDS],
];

const BROKEN_OPS: readonly [value: unknown, reason: number][] = [
  [0, UNKNOWN_OP],
  [12, UNKNOWN_OP],
  [-1, UNKNOWN_OP],
  [2 ** 33, UNKNOWN_OP],
  ['HOLD', WRONG_TYPE],
];

/** Draws something that is wrong with a command of this op and these arguments. */
export function drawFlaw(prng: Prng, op: number, args: readonly unknown[], request: unknown): Flawed {
  const front = { finder: 'front' } as const;
  const inArguments: Draw = () => {
    const [at, value, reason] = prng.pick(IN_ARGUMENTS[op] ?? []);
    const spoiled = args.map((arg, index) => (index === at ? value : (arg ?? null)));
    return { flaw: { reason, element: at + 2, finder: 'segment' }, request, args: spoiled };
  };
  const inFirst: Draw = () => {
    const flaws = op === Op.HOLD || op === Op.READ ? SKU_FLAWS : NUMBER_FLAWS;
    const [value, reason] = prng.pick(flaws);
    return { flaw: { ...front, reason, element: 2 }, request, args: [value, ...nils(args).slice(1)] };
  };
  const notText: Draw = () => ({
    flaw: { ...front, reason: NOT_UTF8, element: 2 },
    op: Op.READ,
    request,
    args: [`a${MARKER}`],
    alter: (bytes) => bytes.map((byte, at) => (at >= bytes.length - 3 ? 0xff : byte)),
  });
  const inOp: Draw = () => {
    const [value, reason] = prng.pick(BROKEN_OPS);
    return { flaw: { ...front, reason, element: 0 }, op: value, request, args: nils(args) };
  };
  const inCount: Draw = () => ({
    flaw: { ...front, reason: WRONG_COUNT, element: 0 },
    request,
    args: prng.oneIn(2) && op !== Op.TIME ? [] : [...nils(args), 1, 2, 3, 4, 5],
  });
  const inRequest: Draw = () => ({
    flaw: { ...front, reason: BAD_REQUEST_ID, push: true },
    request: prng.pick([0, -3, 'one', null, 1.5, 2n ** 53n]),
    args: nils(args),
  });
  const inLength: Draw = () => ({
    flaw: { ...front, reason: OUT_OF_BOUNDS, element: 5 },
    op: Op.HOLD,
    request,
    args: ['a', 1, 1000, 'k'.repeat(280)],
  });
  const noCommand: Draw = () => ({ flaw: GARBAGE_FLAW, request, args: [], bytes: prng.pick(GARBAGE) });
  const cutOff: Draw = () => ({
    // Only TIME ends with its request id, which then is what is cut.
    flaw: { ...front, reason: TRUNCATED, breaks: true, push: op === Op.TIME },
    request,
    args: nils(args),
    alter: (bytes) => bytes.subarray(0, bytes.length - 1),
  });
  const draws = [inOp, inCount, inRequest, inLength, notText];
  if (op !== Op.TIME) draws.push(inFirst, inFirst);
  if (IN_ARGUMENTS[op] !== undefined) draws.push(inArguments, inArguments, inArguments);
  if (prng.oneIn(6)) return prng.pick([noCommand, cutOff])(args, request);
  return prng.pick(draws)(args, request);
}

/** Arguments as they are written: what is left out in the middle is nil. */
function nils(args: readonly unknown[]): unknown[] {
  return args.map((arg) => arg ?? null);
}
