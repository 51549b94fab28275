import { describe, expect, test } from 'vitest';
import * as limits from '../../protocol/limits.ts';
import { OP_SHAPES, Op, opByName, opName } from '../../protocol/ops.ts';
import { Reason, reasonName, STATUS_COUNT, Status, statusByName, statusName } from '../../protocol/status.ts';
import { Writer } from '../../protocol/writer.ts';

describe('bounds', () => {
  test('a hold id of the highest parts is the highest safe integer', () => {
    const { MAX_GENERATION, MAX_SEGMENTS, MAX_SLOTS } = limits;
    const low = (MAX_SEGMENTS - 1) * MAX_SLOTS + (MAX_SLOTS - 1);
    expect(low).toBe(2 ** 32 - 1);
    expect(MAX_GENERATION * 2 ** 32 + low).toBe(Number.MAX_SAFE_INTEGER);
    expect(limits.MAX_REQUEST_ID).toBe(Number.MAX_SAFE_INTEGER);
  });

  test('the longest replies fit, with the request id as a client may send it', () => {
    const id = new Uint8Array(9).fill(0xcf);
    const text = new Uint8Array(limits.MAX_SKU_BYTES).fill(0x78);
    const buffer = new Uint8Array(1024);
    const most = limits.MAX_QUANTITY;
    const lengthOf = (results: number, write: (writer: Writer) => void): number => {
      const writer = new Writer(buffer);
      writer.array(2 + results);
      writer.copy(id, 0, id.length);
      writer.int32(Status.OK);
      write(writer);
      return writer.pos;
    };
    const readHold = lengthOf(6, (writer) => {
      writer.int32(4);
      writer.textFrom(text, 0, text.length);
      for (let i = 0; i < 3; i++) writer.int32(most);
      writer.time(Number.MAX_SAFE_INTEGER);
    });
    const read = lengthOf(8, (writer) => {
      for (let i = 0; i < 7; i++) writer.int32(most);
      writer.time(Number.MAX_SAFE_INTEGER);
    });
    const inspect = lengthOf(8, (writer) => {
      for (let i = 0; i < 8; i++) writer.uint53(Number.MAX_SAFE_INTEGER);
    });
    for (const length of [readHold, read, inspect]) expect(length).toBeLessThanOrEqual(114);
    expect(114).toBeLessThanOrEqual(limits.MAX_REPLY_BYTES);
  });

  test('a backlog of replies that closes a connection is longer than what one frame can cause', () => {
    const shortestCommand = 3;
    const shortestReply = 4;
    const commands = limits.MAX_FRAME_BYTES / shortestCommand;
    expect(commands * shortestReply).toBeLessThan(limits.MAX_BACKPRESSURE_BYTES);
  });
});

describe('numbers and names', () => {
  test.each([
    ['statuses', Status, 0],
    ['reasons', Reason, 1],
    ['ops', Op, 1],
  ])('%s are numbered without gaps, in the order in which they are written', (_, table, first) => {
    const numbers = Object.values(table);
    expect(numbers).toEqual(numbers.map((_, i) => first + i));
  });

  test('statuses are found by number and by name', () => {
    expect(STATUS_COUNT).toBe(Object.keys(Status).length);
    for (const [name, status] of Object.entries(Status)) {
      expect([statusName(status), statusByName(name)]).toEqual([name, status]);
    }
    expect(statusName(STATUS_COUNT)).toBe(`status ${STATUS_COUNT}`);
    for (const name of ['', 'ok', 'toString', '__proto__']) expect(statusByName(name)).toBe(-1);
  });

  test('reasons have names', () => {
    for (const [name, reason] of Object.entries(Reason)) expect(reasonName(reason)).toBe(name);
    expect(reasonName(0)).toBe('reason 0');
  });

  test('ops are found by number and by name, and each has the shape of its number', () => {
    for (const [name, op] of Object.entries(Op)) {
      expect([opName(op), opByName(name)]).toEqual([name, op]);
      expect(OP_SHAPES[op]).toMatchObject({ op, name });
    }
    expect(OP_SHAPES.length).toBe(Object.keys(Op).length + 1);
    for (const op of [0, -1, OP_SHAPES.length]) expect(opName(op)).toBe(`op ${op}`);
    for (const name of ['', 'hold', 'constructor', '__proto__']) expect(opByName(name)).toBe(0);
  });
});
