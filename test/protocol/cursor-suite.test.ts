import suite from 'msgpack-test-suite';
import { describe, expect, test } from 'vitest';
import { Reason } from '../../protocol/status.ts';
import { concat, cursorOver, hex } from './fixtures.ts';

interface Sample {
  readonly group: string;
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly value: Record<string, unknown>;
}

/** Every encoding of every value of the public suite. */
const samples: Sample[] = Object.entries(suite).flatMap(([group, values]) =>
  values.flatMap((value) => value.msgpack.map((text) => ({ group, text, bytes: hex(text), value }))),
);
const numbers = samples.filter(({ group }) => /^2\d\./.test(group));
const strings = samples.filter(({ group }) => /^3\d\./.test(group));
const binaries = samples.filter(({ group }) => group.startsWith('12.'));

/** The number a sample stands for, as a BigInt when it is whole. */
function numberOf({ value }: Sample): bigint | number {
  const given = (value.bignum ?? value.number) as string | number;
  return typeof given === 'string' || Number.isInteger(given) ? BigInt(given) : given;
}

function reasonOf(number: bigint | number, min: bigint, max: bigint): number {
  if (typeof number === 'number') return Reason.WRONG_TYPE;
  return number < min || number > max ? Reason.OUT_OF_BOUNDS : 0;
}

test('the suite is the one these tests were written for', () => {
  expect([samples.length, numbers.length, strings.length, binaries.length]).toEqual([233, 129, 27, 9]);
});

describe('the public test suite', () => {
  test.each(samples)('$group $text: skip ends exactly behind it', ({ bytes }) => {
    const followed = concat(bytes, hex('c1'));
    const cursor = cursorOver(followed);
    expect([cursor.skip(1), cursor.pos, cursor.fault]).toEqual([true, bytes.length, 0]);
    for (let end = 0; end < bytes.length; end++) {
      const cut = cursorOver(bytes, end);
      expect([cut.skip(1), cut.fault]).toEqual([false, Reason.TRUNCATED]);
    }
  });

  test.each(numbers)('$group $text: int32 reads it or says why not', (sample) => {
    const cursor = cursorOver(sample.bytes);
    const number = numberOf(sample);
    const reason = reasonOf(number, -(2n ** 31n), 2n ** 31n - 1n);
    expect([cursor.int32(), cursor.fault]).toEqual([reason === 0 ? Number(number) : 0, reason]);
  });

  test.each(numbers)('$group $text: uint53 reads it or says why not', (sample) => {
    const cursor = cursorOver(sample.bytes);
    const number = numberOf(sample);
    const reason = reasonOf(number, 0n, 2n ** 53n - 1n);
    expect([cursor.uint53(), cursor.fault]).toEqual([reason === 0, reason]);
    if (reason === 0) expect((cursor.hi >>> 0) * 2 ** 32 + (cursor.lo >>> 0)).toBe(Number(number));
  });

  test.each(strings)('$group $text: text', ({ bytes, value }) => {
    const cursor = cursorOver(bytes);
    const length = cursor.text(64);
    const read = Buffer.from(bytes).toString('utf8', cursor.start, cursor.start + length);
    expect([read, cursor.pos]).toEqual([value.string, bytes.length]);
  });

  test.each(binaries)('$group $text: binary', ({ bytes, value }) => {
    const cursor = cursorOver(bytes);
    const length = cursor.bytes(64);
    const read = bytes.slice(cursor.start, cursor.start + length);
    expect([read, cursor.pos]).toEqual([hex(value.binary as string), bytes.length]);
  });

  test.each(samples.filter((sample) => !numbers.includes(sample)))(
    '$group $text: no integer',
    ({ bytes }) => {
      const cursor = cursorOver(bytes);
      expect([cursor.uint53(), cursor.fault]).toEqual([false, Reason.WRONG_TYPE]);
    },
  );
});
