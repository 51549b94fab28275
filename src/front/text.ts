import { opByName, Push } from '../../protocol/ops.ts';
import {
  authReasonName,
  layerName,
  reasonName,
  Status,
  scopeName,
  statusName,
} from '../../protocol/status.ts';
import { Mode } from '../shard/records.ts';
import { encode } from './message.ts';

/**
 * The slow path for people: a command as a JSON array in a text frame. It becomes the MessagePack that a binary frame would
 * have had, and its reply becomes JSON again. Where the op is a name, status and reason are names too.
 */
export interface TextCommand {
  /** The command as MessagePack, or undefined when the text is no JSON array. */
  readonly bytes: Uint8Array | undefined;
  readonly mode: number;
}

const NO_OP = -1;

export function readText(text: string): TextCommand {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { bytes: undefined, mode: Mode.JSON_NAMES };
  }
  // A command is flat. What is not would be encoded by recursion, and a client decides how deep.
  if (!Array.isArray(value) || value.some((element) => typeof element === 'object' && element !== null)) {
    return { bytes: undefined, mode: Mode.JSON_NAMES };
  }
  if (typeof value[0] !== 'string') return { bytes: encode(value), mode: Mode.JSON };
  // Of an unknown name none that there is: 0 would make a push of it, which nobody answers.
  const op = opByName(value[0].toUpperCase()) || NO_OP;
  return { bytes: encode([op, ...value.slice(1)]), mode: Mode.JSON_NAMES };
}

/** A reply or push as JSON. */
export function writeText(mode: number, message: unknown[]): string {
  if (mode !== Mode.JSON_NAMES) return JSON.stringify(message);
  const named = [...message];
  if (named[0] === 0) {
    named[1] = named[1] === Push.HELLO ? 'HELLO' : 'ERROR';
    if (named[1] === 'ERROR') {
      named[2] = statusName(named[2] as number);
      named[3] = reasonName(named[3] as number);
    }
  } else {
    const status = named[1] as number;
    named[1] = statusName(status);
    const [place, nameOf] = NUMBERED.get(status) ?? [];
    if (place !== undefined) named[place] = nameOf?.(named[place] as number);
  }
  return JSON.stringify(named);
}

/** Where a status has a number among its results that has a name. */
const NUMBERED = new Map<number, [place: number, nameOf: (number: number) => string]>([
  [Status.MALFORMED, [2, reasonName]],
  [Status.BUSY, [3, layerName]],
  [Status.UNAUTHENTICATED, [2, authReasonName]],
  [Status.FORBIDDEN, [2, scopeName]],
  [Status.RATE_LIMITED, [3, layerName]],
]);
