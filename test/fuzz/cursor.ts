import { Unpackr } from 'msgpackr';
import { CommandPeek, TRACE } from '../../protocol/command.ts';
import { Cursor } from '../../protocol/cursor.ts';
import { arrayAt, NOT_WHOLE, valueEnd } from './reference.ts';

const unpackr = new Unpackr({ useRecords: false, int64AsType: 'bigint' });
const MOST_BYTES = 64;
/** Lie behind the input in turn, and must make no difference. */
const TAILS = [0x00, 0x93, 0xff];
const TAIL_BYTES = 16;

const cursor = new Cursor();
const peek = new CommandPeek();

/**
 * Fuzz target: the MessagePack cursor and the command peek over any bytes. The cursor finds the same ends as a reader of another make
 * (reference.ts) and the same values as msgpackr, or says what is wrong; it reads nothing behind its end; the peek gets to the end of
 * every frame, or says that it cannot.
 */
export function fuzz(data: Buffer): void {
  const told = TAILS.map((tail) => {
    const bytes = new Uint8Array(data.length + TAIL_BYTES).fill(tail);
    bytes.set(data);
    return JSON.stringify([readValues(bytes, data.length), readFrame(bytes, data.length)]);
  });
  if (told.some((one) => one !== told[0])) fail(`what lies behind the input was read: ${told.join(' or ')}`);
}

/** Reads one value after another by every method. Returns all that was found. */
function readValues(bytes: Uint8Array, end: number): unknown[] {
  const found: unknown[] = [];
  const own = bytes.subarray(0, end);
  for (let at = 0; at < end; ) {
    const next = valueEnd(own, at);
    const value = next === NOT_WHOLE ? undefined : decode(own, at, next);
    cursor.reset(bytes, at, end);
    const skipped = cursor.skip(1);
    if (skipped !== (next !== NOT_WHOLE)) fail(`skip at ${at}: ${skipped}, but it ends at ${next}`);
    if (skipped && cursor.pos !== next) fail(`skip from ${at} to ${cursor.pos}, not to ${next}`);
    found.push(cursor.fault, readInt32(bytes, at, end, next, value), readUint53(bytes, at, end, next, value));
    found.push(readBytes(bytes, at, end, next, 'text'), readBytes(bytes, at, end, next, 'bytes'));
    found.push(readArray(bytes, at, end));
    if (next === NOT_WHOLE) break;
    at = next;
  }
  return found;
}

/** What a value is by msgpackr, where it is a number; else undefined. */
function decode(own: Uint8Array, at: number, next: number): number | bigint | undefined {
  const head = own[at] as number;
  const isNumber = head <= 0x7f || head >= 0xe0 || (head >= 0xca && head <= 0xd3);
  return isNumber ? (unpackr.unpack(own.slice(at, next)) as number | bigint) : undefined;
}

function isWhole(value: number | bigint | undefined, min: number, max: number): boolean {
  if (typeof value === 'number' && !Number.isInteger(value)) return false;
  return value !== undefined && value >= min && value <= max;
}

function readInt32(
  bytes: Uint8Array,
  at: number,
  end: number,
  next: number,
  value: number | bigint | undefined,
): number[] {
  cursor.reset(bytes, at, end);
  const read = cursor.int32();
  const fits = isWhole(value, -(2 ** 31), 2 ** 31 - 1);
  if ((cursor.fault === 0) !== fits) fail(`int32 of ${value}: fault ${cursor.fault}`);
  if (fits && (read !== Number(value) || cursor.pos !== next)) fail(`int32 of ${value}: ${read}`);
  if (!fits && read !== 0) fail(`int32 of ${value} failed with ${read}`);
  return [read, cursor.fault];
}

function readUint53(
  bytes: Uint8Array,
  at: number,
  end: number,
  next: number,
  value: number | bigint | undefined,
): number[] {
  cursor.reset(bytes, at, end);
  const read = cursor.uint53();
  const fits = isWhole(value, 0, Number.MAX_SAFE_INTEGER);
  if (read !== fits || (cursor.fault === 0) !== fits) fail(`uint53 of ${value}: fault ${cursor.fault}`);
  const whole = (cursor.hi >>> 0) * 2 ** 32 + (cursor.lo >>> 0);
  if (fits && (whole !== Number(value) || cursor.pos !== next)) fail(`uint53 of ${value}: ${whole}`);
  return [fits ? whole : -1, cursor.fault];
}

function readBytes(
  bytes: Uint8Array,
  at: number,
  end: number,
  next: number,
  method: 'text' | 'bytes',
): number[] {
  const head = bytes[at] as number;
  const isText = (head >= 0xa0 && head <= 0xbf) || (head >= 0xd9 && head <= 0xdb);
  const fitting = isText || (method === 'bytes' && head >= 0xc4 && head <= 0xc6);
  cursor.reset(bytes, at, end);
  const length = cursor[method](MOST_BYTES);
  if (length >= 0 !== (cursor.fault === 0)) fail(`${method} at ${at}: ${length}, fault ${cursor.fault}`);
  if (length >= 0) {
    // A text's or binary's bytes are the last of the value.
    const right = fitting && length <= MOST_BYTES && cursor.start + length === next && cursor.pos === next;
    if (!right) fail(`${method} at ${at}: ${length} bytes from ${cursor.start}, but it ends at ${next}`);
  } else if (fitting && next !== NOT_WHOLE && next - at <= MOST_BYTES) {
    fail(`${method} at ${at}, which ends at ${next}: fault ${cursor.fault}`);
  }
  return [length, cursor.fault];
}

function readArray(bytes: Uint8Array, at: number, end: number): number[] {
  cursor.reset(bytes, at, end);
  const count = cursor.array();
  const array = arrayAt(bytes.subarray(0, end), at);
  const right = array === undefined || array.count >= 2 ** 31 ? -1 : array.count;
  if (count !== right) fail(`array at ${at}: ${count}, not ${right}`);
  return [count, cursor.fault];
}

/** Reads a frame of commands as the router does. Returns what was found of each. */
function readFrame(bytes: Uint8Array, end: number): unknown[] {
  const found: unknown[] = [];
  const own = bytes.subarray(0, end);
  cursor.reset(bytes, 0, end);
  while (cursor.pos < end) {
    const start = cursor.pos;
    const reason = peek.read(cursor);
    const next = arrayAt(own, start) === undefined ? NOT_WHOLE : valueEnd(own, start);
    if (peek.resumable !== (next !== NOT_WHOLE))
      fail(`a command at ${start}, ends at ${next}: reason ${reason}`);
    found.push([reason, peek.element, peek.requestBytes]);
    if (!peek.resumable) break;
    const { end: told } = peek;
    // Of a traceparent, which is no command, only the cursor tells the end.
    if (cursor.pos !== next || (reason !== TRACE && told !== next))
      fail(`a command from ${start} to ${cursor.pos}, not ${next}`);
    if (cursor.fault !== 0) fail(`fault ${cursor.fault} is left behind`);
    if (reason === 0 && peek.requestBytes === 0) fail(`a command without a request id at ${start}`);
  }
  return found;
}

function fail(what: string): never {
  throw new Error(what);
}
