import { describe, expect, it } from 'vitest';
import { CommandPeek, TRACE } from '../../protocol/command.ts';
import { MAX_TRACEPARENT_BYTES } from '../../protocol/limits.ts';
import { ClientPush, Op, PUSH } from '../../protocol/ops.ts';
import { Reason } from '../../protocol/status.ts';
import { readTraceParent } from '../../protocol/traceparent.ts';
import { concat, cursorOver, pack } from './fixtures.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT_ID = '00f067aa0ba902b7';
const given = `${TRACE_ID}-${PARENT_ID}`;

describe('a traceparent', () => {
  it.each([
    ['sampled', `00-${given}-01`, true],
    ['not sampled', `00-${given}-00`, false],
    ['with the flag of a random id', `00-${given}-03`, true],
    ['with flags that nobody knows', `00-${given}-fe`, false],
    ['of a later version', `cc-${given}-01`, true],
    ['of a later version, with more behind it', `01-${given}-01-what-the-future-will-be-like`, true],
    ['of a later version, with nothing behind a dash', `01-${given}-01-`, true],
  ])('%s', (_, text, sampled) => {
    expect(readTraceParent(text)).toEqual({ traceId: TRACE_ID, parentId: PARENT_ID, sampled });
  });

  it.each([
    ['nothing', ''],
    ['the version that is none', `ff-${given}-01`],
    ['version 00 with more behind it', `00-${given}-01-x`],
    ['version 00 with a dash behind it', `00-${given}-01-`],
    ['a later version with more behind it but no dash', `01-${given}-01x`],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${PARENT_ID}-01`],
    ['a parent of zeros', `00-${TRACE_ID}-${'0'.repeat(16)}-01`],
    ['capitals', `00-${given.toUpperCase()}-01`],
    ['capitals in the flags', `00-${given}-0A`],
    ['capitals in the version', `CC-${given}-01`],
    ['a digit too few', `00-${TRACE_ID.slice(1)}-${PARENT_ID}-01`],
    ['a digit too many', `00-${TRACE_ID}a-${PARENT_ID}-01`],
    ['letters that are no digits', `00-${'g'.repeat(32)}-${PARENT_ID}-01`],
    ['another separator', `00_${given}-01`],
    ['space before it', ` 00-${given}-01`],
    ['a line break behind it', `00-${given}-01\n`],
    ['no flags', `00-${given}`],
  ])('is ignored: %s', (_, text) => {
    expect(readTraceParent(text)).toBeUndefined();
  });
});

describe('a frame with a push of a traceparent', () => {
  const push = (...rest: unknown[]) => pack([PUSH, ClientPush.TRACE, ...rest]);
  const command = pack([Op.READ, 7, 'sku-1']);

  /** What stands in a frame: commands by their request id, texts of traceparents, or Reasons. */
  function read(frame: Uint8Array): unknown[] {
    const cursor = cursorOver(frame);
    const peek = new CommandPeek();
    const found: unknown[] = [];
    while (cursor.pos < cursor.end) {
      const reason = peek.read(cursor);
      if (reason === 0) found.push(frame[peek.requestStart]);
      else if (reason !== TRACE) found.push({ reason });
      else found.push(Buffer.from(frame.subarray(peek.skuStart, peek.skuStart + peek.skuBytes)).toString());
      if (!peek.resumable) break;
    }
    return found;
  }

  it('is passed as that, and the command behind it is read', () => {
    expect(read(concat(command, push(`00-${given}-01`), command))).toEqual([7, `00-${given}-01`, 7]);
  });

  it.each([
    ['without anything', []],
    ['of a number', [42]],
    ['of nil', [null]],
    ['of bytes', [new Uint8Array(55)]],
    ['of an array', [[`00-${given}-01`]]],
    ['of a map', [{ traceparent: `00-${given}-01` }]],
    ['with more behind it', [`00-${given}-01`, 'x']],
    ['that is too long', ['0'.repeat(MAX_TRACEPARENT_BYTES + 1)]],
    ['that is far too long', ['0'.repeat(10_000)]],
  ])('is ignored %s, and the command behind it is read', (_, rest) => {
    expect(read(concat(push(...rest), command))).toEqual(['', 7]);
  });

  it('that is cut off cannot be read on from, like a command', () => {
    const whole = push(`00-${given}-01`);
    for (let length = 4; length < whole.length; length++) {
      expect(read(whole.subarray(0, length))).toEqual([{ reason: Reason.TRUNCATED }]);
    }
  });

  it('of another kind is an op that there is not', () => {
    expect(read(concat(pack([PUSH, 2, 'x']), command))).toEqual([{ reason: Reason.UNKNOWN_OP }, 7]);
  });
});
