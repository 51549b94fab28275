import { expect, it } from 'vitest';
import { MAX_FRAME_BYTES, MAX_TTL_MS, PROTOCOL_VERSION } from '../../protocol/limits.ts';
import { PUSH, Push } from '../../protocol/ops.ts';
import { Hello } from '../../src/front/hello.ts';
import { decodeAll } from '../../src/front/message.ts';

it.each([
  ['a year before 2038', 1_700_000_000_000],
  ['a year with the low word negative', 0x18f_ffff_ffff],
  ['the beginning of time', 0],
  ['the end of it', Number.MAX_SAFE_INTEGER],
])('hello says the same in bytes and in text: %s', (_name, now) => {
  const hello = new Hello('memory', 64, 3 * MAX_TTL_MS, 2);
  const [said, ...rest] = decodeAll(hello.bytes(now)) as unknown[][];
  expect(rest).toEqual([]);
  expect(said.slice(0, 5)).toEqual([PUSH, Push.HELLO, PROTOCOL_VERSION, now, 'memory']);
  expect(said[5]).toMatchObject({
    segments: 64,
    fronts: 2,
    maxTtlMs: MAX_TTL_MS,
    maxFrameBytes: MAX_FRAME_BYTES,
  });
  expect(hello.message(now)).toEqual(said);
});

it('hello promises no longer time to live than a hold may have', () => {
  const [, , , , , limits] = new Hello('memory', 1, 5000, 1).message(0);
  expect(limits).toMatchObject({ maxTtlMs: 5000, maxHoldLifeMs: 5000, segments: 1 });
});
