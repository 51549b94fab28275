import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as limits from '../../protocol/limits.ts';
import { HoldState, OP_SHAPES, PUSH } from '../../protocol/ops.ts';
import { AuthReason, Layer, Reason, Status } from '../../protocol/status.ts';
import { Writer } from '../../protocol/writer.ts';
import { DEFAULT_SEGMENT_OPTIONS } from '../../src/core/layout.ts';
import { Hello } from '../../src/front/hello.ts';
import { encode } from '../../src/front/message.ts';
import { writeText } from '../../src/front/text.ts';
import { Mode } from '../../src/shard/records.ts';
import { Conversation } from './conversation.ts';
import { concat, cursorOver, float64, hex, toHex, unpack } from './fixtures.ts';
import { table, text, textExamples, wireExamples } from './specification.ts';

const SEGMENTS = 64;
const examples = wireExamples();
const messages = examples.flatMap(({ from, messages: all, bytes }) =>
  all.map((message) => ({ from, message, bytes, alone: all.length === 1, name: JSON.stringify(message) })),
);

/** A message by our own writer; of what that cannot write, by msgpackr: maps, and request ids that are floats. */
function write(from: string, message: unknown[]): Uint8Array {
  const writer = new Writer(new Uint8Array(1024));
  const copy = (bytes: Uint8Array) => writer.copy(bytes, 0, bytes.length);
  writer.array(message.length);
  for (const [i, value] of message.entries()) {
    if (value === null) writer.nil();
    else if (typeof value === 'string') writer.textFrom(Buffer.from(value), 0, Buffer.byteLength(value));
    else if (typeof value !== 'number') copy(encode(value));
    else if (i === (from === 'client' ? 1 : 0) && value >= 2 ** 32) copy(float64(value));
    else if (value < 0) writer.int32(value);
    else writer.uint53(value);
  }
  return writer.u8.slice(0, writer.pos);
}

/** A message by our own cursor, which is told by another of which type each element is. */
function read(bytes: Uint8Array, like: unknown[]): unknown[] {
  const cursor = cursorOver(bytes);
  expect(cursor.array()).toBe(like.length);
  const values = like.map((value) => {
    if (value === null) return cursor.nil() ? null : undefined;
    if (typeof value === 'string') {
      const length = cursor.text(255);
      return Buffer.from(bytes.slice(cursor.start, cursor.start + length)).toString();
    }
    if (typeof value !== 'number') return cursor.skip(1) ? value : undefined;
    if (value < 0) return cursor.int32();
    return cursor.uint53() ? (cursor.hi >>> 0) * 2 ** 32 + (cursor.lo >>> 0) : undefined;
  });
  expect([cursor.fault, cursor.pos]).toEqual([0, bytes.length]);
  return values;
}

describe('the bytes of each example', () => {
  test.each(messages.filter(({ alone }) => alone))('$from $name', ({ from, message, bytes }) => {
    expect(unpack(bytes)).toEqual(message);
    expect(read(bytes, message)).toEqual(message);
    expect(toHex(write(from, message))).toBe(toHex(bytes));
    // What msgpackr makes of the message may have other formats, and has to mean the same to us.
    expect(read(encode(message), message)).toEqual(message);
  });

  test('of messages that share a frame stand back to back', () => {
    const shared = examples.filter((example) => example.messages.length > 1);
    expect(shared.length).toBeGreaterThan(0);
    for (const { from, messages: all, bytes } of shared) {
      expect(toHex(bytes)).toBe(toHex(concat(...all.map((message) => write(from, message)))));
    }
  });
});

describe('the examples are one conversation', () => {
  const [hello, ...rest] = examples;
  const startMs = hello?.messages[0]?.[3] as number;

  test('that begins with what the server says', () => {
    const { maxHoldLifeMs } = DEFAULT_SEGMENT_OPTIONS;
    const said = new Hello('memory', SEGMENTS, maxHoldLifeMs, 1).bytes(startMs);
    expect(toHex(said)).toBe(toHex(hello?.bytes as Uint8Array));
  });

  test('and goes on as the server answers, then in text', () => {
    const conversation = new Conversation(startMs, SEGMENTS);
    for (let i = 0; i < rest.length; ) {
      const { from, bytes, afterMs, messages: sent } = rest[i++] as (typeof rest)[number];
      expect(from).toBe('client');
      if (afterMs > 0) conversation.wait(afterMs);
      const answers: Uint8Array[] = [];
      while (rest[i]?.from === 'server') answers.push((rest[i++] as (typeof rest)[number]).bytes);
      expect([sent, toHex(conversation.binary(bytes))]).toEqual([sent, toHex(concat(...answers))]);
    }
    for (const [i, { from, text: said }] of textExamples().entries()) {
      if (from !== 'client') continue;
      const answer = textExamples()[i + 1]?.text;
      if (said.startsWith('[')) expect(conversation.text(said)).toEqual([answer]);
      else expect(writeText(Mode.JSON_NAMES, [PUSH, 2, Status.MALFORMED, Reason.NOT_JSON, 0])).toBe(answer);
    }
  });

  test('in which every command is sent and succeeds, with the results that its table lists', () => {
    const results = table('op', 'name', 'arguments', 'results of OK').map((row) =>
      (row[3] as string).split(', '),
    );
    const sent = new Map(
      messages
        .filter(({ from, message }) => from === 'client' && message[0] !== PUSH)
        .map(({ message }) => [message[1], message[0]]),
    );
    const succeeded = new Map<unknown, number>();
    for (const { from, message } of messages) {
      if (from === 'server' && message[0] !== 0 && message[1] === Status.OK) {
        succeeded.set(sent.get(message[0]), message.length - 2);
      }
    }
    for (const { op, name } of OP_SHAPES.slice(1)) {
      expect([name, succeeded.get(op)]).toEqual([name, results[op - 1]?.length]);
    }
  });
});

describe('the tables are those of the source', () => {
  test('ops with their arguments', () => {
    const rows = table('op', 'name', 'arguments', 'results of OK').map((row) => row.slice(0, 3));
    const shapes = OP_SHAPES.slice(1).map(({ op, name, args, minElements }) => {
      const marked = args.map((arg, i) => (i + 2 < minElements ? arg : `${arg}?`));
      return [String(op), name, marked.join(', ')];
    });
    expect(rows).toEqual(shapes);
  });

  test.each([
    ['status', Status],
    ['reason', Reason],
    ['state', HoldState],
    ['layer', Layer],
    ['why', AuthReason],
  ])('%s, in order', (heading, numbers) => {
    const rows = table(heading, 'name').map(([number, name]) => [name, Number(number)]);
    expect(rows).toEqual(Object.entries(numbers));
  });

  test('bounds', () => {
    const rows = table('name', 'value', 'meaning').map(([name, value]) => [
      name,
      Number(value?.replaceAll(',', '')),
    ]);
    expect(Object.fromEntries(rows)).toEqual({ ...limits });
    expect(rows.length).toBe(Object.keys(limits).length);
  });

  test.each(table('status', 'name', 'results', 'example'))(
    'status %s %s: %s',
    (status, _name, results, example) => {
      const bytes = hex(example as string);
      const [requestId, shown, ...values] = unpack(bytes) as number[];
      expect([requestId, shown]).toEqual([7, Number(status)]);
      expect(toHex(write('server', [7, shown, ...values]))).toBe(example);
      if (shown !== Status.OK) expect(values.length).toBe(results === '' ? 0 : results?.split(', ').length);
    },
  );

  test('routes of HTTP', () => {
    const folder = new URL('../../src/front/', import.meta.url);
    const files = readdirSync(folder).filter((name) => name.startsWith('http'));
    const source = files.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
    const served = [...source.matchAll(/app\.(get|put|post|del)\('([^']+)'/g)].map(
      ([, method, path]) => `${method?.toUpperCase()} ${path}`,
    );
    const described = table('request', 'body', 'answer').map(([request]) => request);
    expect(described.sort()).toEqual(served.sort());
  });

  test('codes that close a connection', () => {
    const codes = table('code', 'why');
    const whyOf = (code: string) => codes.find((row) => row[0] === code)?.[1];
    const frameBytes = limits.MAX_FRAME_BYTES.toLocaleString('en');
    expect(whyOf('1008')).toContain(`${limits.MAX_BROKEN_FRAMES} frames`);
    expect(whyOf('1009')).toContain(`${frameBytes} bytes`);
    expect(limits.MAX_BACKPRESSURE_BYTES).toBe(2 ** 20);
    expect(limits.MAX_FRAME_CUT_BYTES).toBe(2 ** 20);
    expect(whyOf('1006')).toMatch(/1 MiB of replies.*1 MiB/);
  });
});

test('bounds in the prose are those of the source', () => {
  const { keyRetentionMs, endedRetentionMs, soldRetentionMs, maxHoldLifeMs } = DEFAULT_SEGMENT_OPTIONS;
  expect([keyRetentionMs, endedRetentionMs, soldRetentionMs, maxHoldLifeMs]).toEqual([
    600_000, 60_000, 86_400_000, 86_400_000,
  ]);
  for (const claim of [
    'at least 10 minutes beyond (`keyRetentionMs`)',
    'for a minute (`endedRetentionMs`)',
    'for a day (`soldRetentionMs`)',
    'allows, a day by default',
    `up to ${limits.MAX_FRAME_BYTES.toLocaleString('en')} bytes`,
    `at most ${limits.MAX_COMMAND_BYTES} bytes`,
    `longer than ${limits.MAX_TRACEPARENT_BYTES} bytes`,
    `may have ${limits.MAX_IN_FLIGHT.toLocaleString('en')} commands under way`,
    `1 to ${limits.MAX_HOLDER_BYTES} bytes of UTF-8`,
    limits.MAX_QUANTITY.toLocaleString('en'),
  ]) {
    expect(text.replaceAll('\n', ' ')).toContain(claim);
  }
});
