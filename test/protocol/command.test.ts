import { describe, expect, test } from 'vitest';
import { CommandPeek } from '../../protocol/command.ts';
import { MAX_COMMAND_BYTES, MAX_SEGMENTS, MAX_SKU_BYTES } from '../../protocol/limits.ts';
import { OP_SHAPES, Op, Route } from '../../protocol/ops.ts';
import { Reason, type ReasonName } from '../../protocol/status.ts';
import { concat, cursorOver, float64, hex, integerEncodings, pack, toHex, unpack } from './fixtures.ts';

const HOLD_ID = 5 * 2 ** 32 + 3 * 2 ** 22 + 9;
/** A valid first argument for each kind of route. */
const FIRST: Record<number, unknown> = {
  [Route.SKU]: 'sku-1',
  [Route.HOLD]: HOLD_ID,
  [Route.SEGMENT]: 63,
  [Route.TOKEN]: 'e30.e30.',
};
const shapes = OP_SHAPES.slice(1);

function commandOf(op: number, elements: number): unknown[] {
  const route = OP_SHAPES[op]?.route as number;
  const args = route === Route.NONE ? [] : [FIRST[route], ...Array(20).fill(1)];
  return [op, 77, ...args].slice(0, elements);
}

/** Reads one command; what came of it, with the request id as a client would read it. */
function peek(bytes: Uint8Array) {
  const cursor = cursorOver(bytes);
  const command = new CommandPeek();
  const reason = command.read(cursor);
  const { resumable, element, op, count, requestStart, requestBytes, end } = command;
  const request =
    requestBytes > 0 ? unpack(bytes.slice(requestStart, requestStart + requestBytes)) : undefined;
  return { reason, resumable, element, op, count, request, end, pos: cursor.pos, command };
}

describe('valid commands', () => {
  const counted = shapes.flatMap((shape) => {
    const counts = Array.from({ length: shape.maxElements - shape.minElements + 1 });
    return counts.map((_, i) => ({ name: shape.name, op: shape.op, elements: shape.minElements + i }));
  });

  test.each(counted)('$name with $elements elements', ({ op, elements }) => {
    const bytes = pack(commandOf(op, elements));
    expect(peek(bytes)).toMatchObject({ reason: 0, op, count: elements, request: 77, end: bytes.length });
  });

  test('a SKU is found where it lies', () => {
    const bytes = pack([Op.HOLD, 1, 'größe-42', 1, 1000]);
    const { command } = peek(bytes);
    const sku = bytes.subarray(command.skuStart, command.skuStart + command.skuBytes);
    expect(new TextDecoder().decode(sku)).toBe('größe-42');
  });

  test('a hold id is read in any format', () => {
    for (const { bytes } of integerEncodings(BigInt(HOLD_ID))) {
      const { command, reason } = peek(concat(hex('93 02 01'), bytes, hex('01')));
      expect([reason, command.hi, command.lo >>> 0]).toEqual([0, 5, 3 * 2 ** 22 + 9]);
    }
  });

  test('arguments behind the first are passed unread, whatever they are', () => {
    const bytes = pack([Op.STOCK, 9, 'a', { x: [1, null] }, new Date(0), Buffer.alloc(5), true, 'y']);
    expect(peek(bytes)).toMatchObject({ reason: 0, end: bytes.length });
  });

  test('an op and its array may come in longer formats', () => {
    for (const { bytes } of integerEncodings(9n)) {
      expect(peek(concat(hex('92'), bytes, hex('05')))).toMatchObject({ reason: 0, op: Op.TIME, request: 5 });
      expect(peek(concat(hex('dc0002'), bytes, hex('05'))).reason).toBe(0);
      expect(peek(concat(hex('dd00000002'), bytes, hex('05'))).reason).toBe(0);
    }
  });
});

describe('request ids', () => {
  const bounds = [1n, 127n, 128n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 1n];
  test.each(bounds.flatMap(integerEncodings))('$value as $format is kept as it came', ({ value, bytes }) => {
    const frame = concat(hex('92 09'), bytes);
    const { reason, request, command } = peek(frame);
    expect([reason, request]).toEqual([0, Number(value)]);
    const echoed = frame.slice(command.requestStart, command.requestStart + command.requestBytes);
    expect(toHex(echoed)).toBe(toHex(bytes));
  });

  const others = [0n, -1n, -(2n ** 31n), 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n].flatMap(integerEncodings);
  test.each([
    ...others.map(({ value, format, bytes }) => ({ what: `${value} as ${format}`, bytes })),
    { what: 'one and a half', bytes: float64(1.5) },
    { what: 'no number', bytes: float64(Number.NaN) },
    { what: 'text', bytes: pack('1') },
    { what: 'nil', bytes: pack(null) },
    { what: 'an array', bytes: pack([1]) },
  ])('$what is none', ({ bytes }) => {
    const expected = { reason: Reason.BAD_REQUEST_ID, element: 1, resumable: true, request: undefined };
    const frame = concat(hex('92 09'), bytes);
    expect(peek(frame)).toMatchObject({ ...expected, end: frame.length });
    expect(peek(concat(hex('93 07'), bytes, hex('a1 61'))).reason).toBe(Reason.BAD_REQUEST_ID);
  });
});

describe('invalid commands', () => {
  interface Row {
    readonly what: string;
    readonly command: unknown[];
    readonly reason: ReasonName;
    readonly element: number;
    /** What the answer can say of the request id; 77 unless given. */
    readonly request?: number | undefined;
  }
  const rows: Row[] = [
    { what: 'nothing in it', command: [], reason: 'WRONG_COUNT', element: 0, request: undefined },
    { what: 'an op alone', command: [Op.TIME], reason: 'WRONG_COUNT', element: 0, request: undefined },
    { what: 'op 0', command: [0, 77], reason: 'UNKNOWN_OP', element: 0 },
    { what: 'a negative op', command: [-1, 77], reason: 'UNKNOWN_OP', element: 0 },
    { what: 'an op behind the last', command: [OP_SHAPES.length, 77, 'a'], reason: 'UNKNOWN_OP', element: 0 },
    { what: 'an op over 32 bits', command: [2 ** 40, 77, 'a'], reason: 'UNKNOWN_OP', element: 0 },
    { what: 'an op by name', command: ['HOLD', 77, 'a', 1, 1], reason: 'WRONG_TYPE', element: 0 },
    { what: 'no op', command: [null, 77, 'a'], reason: 'WRONG_TYPE', element: 0 },
    { what: 'an op of a half', command: [0.5, 77], reason: 'WRONG_TYPE', element: 0 },
    { what: 'an array as op', command: [[1, 2], 77], reason: 'WRONG_TYPE', element: 0 },
    {
      what: 'neither op nor request id',
      command: ['a', 'b'],
      reason: 'WRONG_TYPE',
      element: 0,
      request: undefined,
    },
    { what: 'a number as SKU', command: [Op.READ, 77, 5], reason: 'WRONG_TYPE', element: 2 },
    { what: 'binary as SKU', command: [Op.READ, 77, Buffer.from('a')], reason: 'WRONG_TYPE', element: 2 },
    { what: 'nil as SKU', command: [Op.HOLD, 77, null, 1, 1], reason: 'WRONG_TYPE', element: 2 },
    { what: 'an empty SKU', command: [Op.READ, 77, ''], reason: 'OUT_OF_BOUNDS', element: 2 },
    { what: 'a SKU too long', command: [Op.READ, 77, 'x'.repeat(65)], reason: 'OUT_OF_BOUNDS', element: 2 },
    { what: 'text as hold id', command: [Op.CONFIRM, 77, 'h'], reason: 'WRONG_TYPE', element: 2 },
    { what: 'a negative hold id', command: [Op.CONFIRM, 77, -1], reason: 'OUT_OF_BOUNDS', element: 2 },
    {
      what: 'a hold id over 53 bits',
      command: [Op.RELEASE, 77, 2 ** 53],
      reason: 'OUT_OF_BOUNDS',
      element: 2,
    },
    {
      what: 'a segment too high',
      command: [Op.INSPECT, 77, MAX_SEGMENTS],
      reason: 'OUT_OF_BOUNDS',
      element: 2,
    },
    {
      what: 'a segment over 32 bits',
      command: [Op.INSPECT, 77, 2 ** 32],
      reason: 'OUT_OF_BOUNDS',
      element: 2,
    },
    { what: 'a negative segment', command: [Op.INSPECT, 77, -1], reason: 'OUT_OF_BOUNDS', element: 2 },
    {
      what: 'an op and an id both wrong',
      command: [99, 0],
      reason: 'BAD_REQUEST_ID',
      element: 1,
      request: undefined,
    },
  ];

  test.each(rows)('$what: $reason', ({ command, reason, element, ...row }) => {
    const bytes = pack(command);
    const request = 'request' in row ? row.request : 77;
    const expected = { reason: Reason[reason], element, request, resumable: true, end: bytes.length };
    expect(peek(bytes)).toMatchObject(expected);
    expect(peek(concat(bytes, pack([Op.TIME, 5])))).toMatchObject({ ...expected, pos: bytes.length });
  });

  test.each(shapes)(
    '$name with an element too few or too many: WRONG_COUNT',
    ({ op, minElements, maxElements }) => {
      for (const elements of [minElements - 1, maxElements + 1]) {
        const command = Array.from({ length: elements }, (_, i) => commandOf(op, elements)[i] ?? 1);
        const bytes = pack(command);
        const request = elements > 1 ? 77 : undefined;
        const expected = {
          reason: Reason.WRONG_COUNT,
          element: 0,
          request,
          resumable: true,
          end: bytes.length,
        };
        expect(peek(bytes)).toMatchObject(expected);
      }
    },
  );

  test.each([
    ['a map', '81 09 01', Reason.NOT_A_COMMAND],
    ['a number', '09', Reason.NOT_A_COMMAND],
    ['text', 'a4 54 49 4d 45', Reason.NOT_A_COMMAND],
    ['nil', 'c0', Reason.NOT_A_COMMAND],
    ['the byte that begins nothing', 'c1', Reason.NOT_A_COMMAND],
    ['JSON in a binary frame', '5b 39 2c 31 5d', Reason.NOT_A_COMMAND],
    ['an array of 2^32 - 1', 'dd ff ff ff ff 09 01', Reason.WRONG_COUNT],
    ['nothing', '', Reason.TRUNCATED],
  ])('%s is no command, and nothing behind it can be read', (_, text, reason) => {
    expect(peek(hex(text))).toMatchObject({ reason, element: 0, resumable: false, request: undefined });
  });

  test('a byte that begins no value, within a command, ends the frame but leaves the request id', () => {
    expect(peek(hex('95 01 4d a1 61 c1 01'))).toMatchObject({
      reason: Reason.NOT_A_COMMAND,
      resumable: false,
      request: 77,
    });
  });

  test('an array without a request id does not take one from what follows', () => {
    const expected = { reason: Reason.WRONG_COUNT, resumable: true, request: undefined };
    expect(peek(hex('91 09 05'))).toMatchObject({ ...expected, pos: 2 });
    expect(peek(hex('90 09 05'))).toMatchObject({ ...expected, pos: 1 });
  });

  test('an array that announces more than there is ends the frame', () => {
    expect(peek(hex('dd 7f ff ff ff 09 4d'))).toMatchObject({ reason: Reason.TRUNCATED, resumable: false });
    expect(peek(hex('9f 09 4d'))).toMatchObject({ reason: Reason.TRUNCATED, resumable: false, request: 77 });
  });
});

describe('size of a command', () => {
  /** A valid HOLD whose array is exactly this long, by its key. */
  function holdOf(bytes: number): Uint8Array {
    const head = concat(hex('96 01 4d a1 61 01 01'), hex('da'));
    const key = bytes - head.length - 2;
    return concat(head, Uint8Array.of(key >> 8, key & 0xff), new Uint8Array(key).fill(0x6b));
  }

  test('up to the limit is read, above it is OUT_OF_BOUNDS and the next one is read', () => {
    const fits = holdOf(MAX_COMMAND_BYTES);
    expect(peek(fits)).toMatchObject({ reason: 0, end: MAX_COMMAND_BYTES });
    const over = holdOf(MAX_COMMAND_BYTES + 1);
    const expected = {
      reason: Reason.OUT_OF_BOUNDS,
      resumable: true,
      request: 77,
      pos: MAX_COMMAND_BYTES + 1,
    };
    expect(peek(concat(over, fits))).toMatchObject(expected);
  });

  test('the longest valid command fits, also in the longest formats', () => {
    const wide = (value: number) => float64(value);
    const text = concat(hex('db 00 00 00 40'), new Uint8Array(64).fill(0x78));
    const head = concat(hex('dd 00 00 00 06'), wide(1), wide(2 ** 53 - 1));
    const bytes = concat(head, text, wide(2 ** 31 - 1), wide(86_400_000), text);
    expect(text.length).toBe(5 + MAX_SKU_BYTES);
    expect(peek(bytes)).toMatchObject({ reason: 0, end: bytes.length });
  });
});
