import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandPeek } from '../../protocol/command.ts';
import { Cursor } from '../../protocol/cursor.ts';
import { MAX_COMMAND_BYTES } from '../../protocol/limits.ts';
import { OP_SHAPES, Op } from '../../protocol/ops.ts';
import { Reason } from '../../protocol/status.ts';
import { concat, cursorOver, hex, pack, unpack, watched } from './fixtures.ts';

const HOLD_ID = 2 ** 32 + 7;
/** One valid command of every kind, with all of its arguments. */
const COMMANDS: unknown[][] = [
  [Op.HOLD, 1, 'sku-1', 2, 30_000, 'order-17'],
  [Op.CONFIRM, 2, HOLD_ID, 2],
  [Op.RELEASE, 3, HOLD_ID, 1, 2],
  [Op.EXTEND, 2 ** 31, HOLD_ID, 60_000],
  [Op.RETURN, 2 ** 32, HOLD_ID, 1, 2],
  [Op.STOCK, 6, 'sku-1', 0, -100_000, 4, null, 600_000],
  [Op.READ, 7, 'größe-42'],
  [Op.READ_HOLD, 300, HOLD_ID],
  [Op.TIME, 2 ** 53 - 1],
  [Op.INSPECT, 70_000, 63],
  [Op.AUTH, 8, 'e30.e30.'],
];
const valid = COMMANDS.map((command) => ({
  name: OP_SHAPES[command[0] as number]?.name,
  id: command[1] as number,
  bytes: pack(command),
}));

/** Bad in ways that leave the next command's start known, with what is said of each. */
const RESUMABLE = [
  { bytes: pack([99, 501, 'x']), reason: Reason.UNKNOWN_OP, id: 501 },
  { bytes: pack([Op.HOLD, 502, 'a']), reason: Reason.WRONG_COUNT, id: 502 },
  { bytes: pack([Op.READ, 503, { deep: [[[1]]] }]), reason: Reason.WRONG_TYPE, id: 503 },
  { bytes: pack([Op.READ, 504, 'x'.repeat(300)]), reason: Reason.OUT_OF_BOUNDS, id: 504 },
  { bytes: pack([Op.HOLD, 505, 'a', 1, 1, 'k'.repeat(300)]), reason: Reason.OUT_OF_BOUNDS, id: 505 },
  { bytes: pack([Op.TIME, 0]), reason: Reason.BAD_REQUEST_ID, id: undefined },
  { bytes: pack([]), reason: Reason.WRONG_COUNT, id: undefined },
  { bytes: pack(['TIME', 508]), reason: Reason.WRONG_TYPE, id: 508 },
];

interface Read {
  readonly reason: number;
  readonly id: number | undefined;
}

/** Reads a frame as the front does: until its end, or until the next command's start is unknown. */
function readFrame(bytes: Uint8Array, end = bytes.length): { reads: Read[]; resumable: boolean } {
  const cursor = cursorOver(bytes, end);
  const command = new CommandPeek();
  const reads: Read[] = [];
  while (cursor.pos < end) {
    const before = cursor.pos;
    const reason = command.read(cursor);
    const { requestStart, requestBytes, resumable } = command;
    const request = Uint8Array.from({ length: requestBytes }, (_, i) => bytes[requestStart + i] as number);
    reads.push({ reason, id: requestBytes > 0 ? (unpack(request) as number) : undefined });
    if (!resumable) return { reads, resumable };
    expect(cursor.pos).toBeGreaterThan(before);
    expect([cursor.pos, cursor.fault]).toEqual([command.end, 0]);
  }
  return { reads, resumable: true };
}

test('there is a valid command of every op', () => {
  expect(valid.map(({ name }) => name)).toEqual(OP_SHAPES.slice(1).map(({ name }) => name));
});

describe('commands back to back', () => {
  test('are read one after another', () => {
    const { reads, resumable } = readFrame(concat(...valid.map(({ bytes }) => bytes)));
    expect(reads).toEqual(valid.map(({ id }) => ({ reason: 0, id })));
    expect(resumable).toBe(true);
  });

  test('are read on behind each bad one among them', () => {
    const good = valid[0] as (typeof valid)[number];
    const frame = concat(...RESUMABLE.flatMap(({ bytes }) => [good.bytes, bytes]), good.bytes);
    const expected = RESUMABLE.flatMap(({ reason, id }) => [
      { reason: 0, id: good.id },
      { reason, id },
    ]);
    expect(readFrame(frame)).toEqual({ reads: [...expected, { reason: 0, id: good.id }], resumable: true });
  });

  test('in any order of good and bad ones', () => {
    const rows: (Read & { bytes: Uint8Array })[] = [
      ...RESUMABLE,
      ...valid.map(({ id, bytes }) => ({ reason: 0, id, bytes })),
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...rows), { maxLength: 30 }), (picked) => {
        const { reads } = readFrame(concat(...picked.map(({ bytes }) => bytes)));
        expect(reads).toEqual(picked.map(({ reason, id }) => ({ reason, id })));
      }),
    );
  });

  test('stop where something that is no command begins', () => {
    const good = valid[6] as (typeof valid)[number];
    const { reads, resumable } = readFrame(concat(good.bytes, hex('c3'), good.bytes));
    expect(reads).toEqual([
      { reason: 0, id: good.id },
      { reason: Reason.NOT_A_COMMAND, id: undefined },
    ]);
    expect(resumable).toBe(false);
  });
});

describe('a frame that is cut off', () => {
  test.each(valid)('within $name, at every byte', ({ bytes, id }) => {
    const good = (valid[0] as (typeof valid)[number]).bytes;
    // Array header and op have a byte each; the answer can name the command once its request id is whole.
    const named = 2 + pack(id).length;
    for (let length = 1; length < bytes.length; length++) {
      const { reads, resumable } = readFrame(concat(good, bytes.subarray(0, length)));
      expect(reads).toEqual([
        { reason: 0, id: 1 },
        { reason: Reason.TRUNCATED, id: length >= named ? id : undefined },
      ]);
      expect(resumable).toBe(false);
    }
  });

  test.each(valid)('$name arriving a byte at a time is whole with its last byte', ({ bytes, id }) => {
    const arrived = new Uint8Array(bytes.length);
    const cursor = new Cursor(arrived);
    const command = new CommandPeek();
    for (let count = 0; count < bytes.length; count++) {
      cursor.reset(arrived, 0, count);
      expect([command.read(cursor), command.resumable]).toEqual([Reason.TRUNCATED, false]);
      arrived[count] = bytes[count] as number;
    }
    cursor.reset(arrived, 0, bytes.length);
    expect([command.read(cursor), command.resumable, command.end]).toEqual([0, true, bytes.length]);
    expect(unpack(arrived.slice(command.requestStart, command.requestStart + command.requestBytes))).toBe(id);
  });
});

describe('hostile frames', () => {
  /** Reads a frame whose every read is checked and counted; a byte is read a few times at most. */
  function readWatched(bytes: Uint8Array, end: number): void {
    const watch = watched(bytes, end);
    const cursor = cursorOver(watch.bytes, end);
    const command = new CommandPeek();
    let commands = 0;
    do {
      const start = cursor.pos;
      const reason = command.read(cursor);
      commands++;
      if (reason === 0) {
        expect(command.end - start).toBeLessThanOrEqual(MAX_COMMAND_BYTES);
        expect(command.requestBytes).toBeGreaterThan(0);
      }
      if (command.resumable) expect(command.end).toBeLessThanOrEqual(end);
      expect(command.requestBytes).toBeLessThanOrEqual(9);
    } while (command.resumable && cursor.pos < end);
    expect(commands).toBeLessThanOrEqual(Math.max(end, 1));
    expect(watch.reads).toBeLessThanOrEqual(4 * end + 16);
  }

  test('of random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(400), (bytes, cut) =>
        readWatched(bytes, Math.min(cut, bytes.length)),
      ),
      { numRuns: 2000 },
    );
  });

  test('of arrays of random bytes, which come further', () => {
    const head = fc.constantFrom('92', '93', '95', '96', '9f', 'dc0006', 'dd00000006', 'ddffffff7f');
    const op = fc.constantFrom('01', '02', '06', 'cb3ff0000000000000', 'a0', '91');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(head, op, fc.uint8Array({ maxLength: 30 })), { maxLength: 9 }),
        (parts) => {
          const bytes = concat(...parts.map(([array, number, rest]) => concat(hex(array + number), rest)));
          readWatched(bytes, bytes.length);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('of valid commands with some bytes changed', () => {
    const whole = concat(...valid.map(({ bytes }) => bytes));
    const changes = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(changes, (changed) => {
        const bytes = Uint8Array.from(whole);
        for (const [at, byte] of changed) bytes[at] = byte;
        readWatched(bytes, bytes.length);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['arrays within arrays in an argument', `940701${'91'.repeat(10_000)}`],
    ['maps of maps as a SKU', `930701${'8f'.repeat(10_000)}`],
    ['an op that is 10,000 arrays deep', `92${'91'.repeat(10_000)}c001`],
    ['a request id that is 10,000 arrays deep', `9209${'91'.repeat(10_000)}c0`],
    ['a SKU of 4 GiB', '930701dbffffffff61'],
    ['an array of 4 G commands', 'ddffffffff0901'],
    ['a key that is an extension of 4 GiB', '96010101a1610101c9ffffffff'],
    ['empty arrays only', '90'.repeat(10_000)],
    ['commands without request ids only', '9109'.repeat(10_000)],
  ])('of %s', (_, text) => {
    const bytes = hex(text);
    readWatched(bytes, bytes.length);
  });
});
