import { describe, expect, it } from 'vitest';
import { Op, PUSH, Push } from '../../protocol/ops.ts';
import { AuthReason, Layer, Reason, Scope, Status } from '../../protocol/status.ts';
import { decodeAll } from '../../src/front/message.ts';
import { readText, writeText } from '../../src/front/text.ts';
import { Mode } from '../../src/shard/records.ts';

describe('a text frame', () => {
  it.each<[string, number, unknown[]]>([
    ['["HOLD", 1, "pen", 2, 30000]', Mode.JSON_NAMES, [Op.HOLD, 1, 'pen', 2, 30_000]],
    ['["read_hold", 2, 4294967297]', Mode.JSON_NAMES, [Op.READ_HOLD, 2, 4_294_967_297]],
    [' [ "Stock" , 3, "stylo é", 1, -5, null ] ', Mode.JSON_NAMES, [Op.STOCK, 3, 'stylo é', 1, -5, null]],
    ['[1, 4, "pen", 2, 30000]', Mode.JSON, [Op.HOLD, 4, 'pen', 2, 30_000]],
    // What it means is the router's to say.
    ['["BUY", 5]', Mode.JSON_NAMES, [-1, 5]],
    ['["toString", 5]', Mode.JSON_NAMES, [-1, 5]],
    ['[77, 6]', Mode.JSON, [77, 6]],
    ['[]', Mode.JSON, []],
    ['[1.5, true, "é"]', Mode.JSON, [1.5, true, 'é']],
  ])('%s becomes one command', (text, mode, command) => {
    const read = readText(text);
    expect(read.mode).toBe(mode);
    expect(decodeAll(read.bytes as Uint8Array)).toEqual([command]);
  });

  it.each([
    '',
    'HOLD',
    '{"op": 1}',
    '"HOLD"',
    '1',
    'null',
    '["HOLD", 1',
    '[1] [2]',
    '[[1]]',
    '[1, {"a": 2}]',
  ])('is refused by name when it is no flat JSON array: %s', (text) => {
    expect(readText(text)).toEqual({ bytes: undefined, mode: Mode.JSON_NAMES });
  });
});

describe('an answer in text', () => {
  it.each<[unknown[], unknown[]]>([
    [
      [7, Status.OK, 2 ** 40, 1_700_000_000_000],
      [7, 'OK', 2 ** 40, 1_700_000_000_000],
    ],
    [
      [7, Status.HELD_OUT, 1, 5],
      [7, 'HELD_OUT', 1, 5],
    ],
    [
      [7, Status.MALFORMED, Reason.UNKNOWN_OP, 0],
      [7, 'MALFORMED', 'UNKNOWN_OP', 0],
    ],
    [
      [7, Status.BUSY, 10, Layer.STORE],
      [7, 'BUSY', 10, 'STORE'],
    ],
    [
      [7, Status.UNAUTHENTICATED, AuthReason.EXPIRED],
      [7, 'UNAUTHENTICATED', 'EXPIRED'],
    ],
    [
      [7, Status.FORBIDDEN, Scope.STOCK],
      [7, 'FORBIDDEN', 'stock'],
    ],
    [
      [7, Status.RATE_LIMITED, 10, Layer.HOLDER_RATE],
      [7, 'RATE_LIMITED', 10, 'HOLDER_RATE'],
    ],
    [
      [PUSH, Push.HELLO, 1, 5, 'memory', { segments: 4 }],
      [PUSH, 'HELLO', 1, 5, 'memory', { segments: 4 }],
    ],
    [
      [PUSH, Push.ERROR, Status.MALFORMED, Reason.NOT_JSON, 0],
      [PUSH, 'ERROR', 'MALFORMED', 'NOT_JSON', 0],
    ],
  ])('says names to who uses names, and numbers to who uses numbers: %j', (message, named) => {
    const before = JSON.stringify(message);
    expect(JSON.parse(writeText(Mode.JSON_NAMES, message))).toEqual(named);
    expect(writeText(Mode.JSON, message)).toBe(before);
    expect(JSON.stringify(message)).toBe(before);
  });
});
