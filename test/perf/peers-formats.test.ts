import { describe, expect, it } from 'vitest';
import { readTextFrames, textFrame } from '../../perf/peers/json-link.ts';
import { bindAndExecute, readMessages, SYNC } from '../../perf/peers/postgres-wire.ts';
import { encodeCommand, type Reply, readReplies } from '../../perf/peers/resp.ts';

describe('replies of Redis', () => {
  const bytes = Buffer.from(':1\r\n+OK\r\n$-1\r\n$5\r\nab\r\nc\r\n$0\r\n\r\n:-7\r\n');
  const replies = [1, 'OK', null, 'ab\r\nc', '', -7];

  it('are read wherever the stream is cut', () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const found: Reply[] = [];
      const used = readReplies(bytes.subarray(0, cut), (reply) => found.push(reply));
      expect(used).toBeLessThanOrEqual(cut);
      expect(readReplies(bytes.subarray(used), (reply) => found.push(reply))).toBe(bytes.length - used);
      expect(found, `cut at ${cut}`).toEqual(replies);
    }
  });

  it.each(['-ERR no such script\r\n', '*1\r\n:1\r\n'])('that nobody expects are an error: %j', (text) => {
    expect(() => readReplies(Buffer.from(text), () => {})).toThrow('Redis answered');
  });

  it('commands carry the length of each argument in bytes', () => {
    expect(encodeCommand(['SET', 'kä', ''])).toBe('*3\r\n$3\r\nSET\r\n$3\r\nkä\r\n$0\r\n\r\n');
  });
});

describe('messages of PostgreSQL', () => {
  const bytes = Buffer.concat([bindAndExecute('hold', ['sku-1', '1']), SYNC]);

  it('are read wherever the stream is cut', () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      let kinds = '';
      const take = (part: Buffer) =>
        readMessages(part, (kind) => {
          kinds += String.fromCharCode(kind);
        });
      const used = take(bytes.subarray(0, cut));
      expect(take(bytes.subarray(used))).toBe(bytes.length - used);
      expect(kinds, `cut at ${cut}`).toBe('BES');
    }
  });

  it('carry parameters as text with their length', () => {
    expect(bytes.toString('latin1')).toContain('hold\0\0\0\0\x02\0\0\0\x05sku-1\0\0\0\x011\0\0');
  });
});

describe('text frames', () => {
  it.each([0, 125, 126, 65_535, 65_536])('of %i bytes are read wherever the stream is cut', (length) => {
    const text = 'x'.repeat(length);
    const bytes = Buffer.concat([fromServer(text), fromServer('end')]);
    for (const cut of [0, 1, 2, 3, 9, 10, length, bytes.length - 1, bytes.length]) {
      const found: string[] = [];
      const used = readTextFrames(bytes.subarray(0, cut), (each) => found.push(each));
      readTextFrames(bytes.subarray(used), (each) => found.push(each));
      expect(found, `cut at ${cut}`).toEqual([text, 'end']);
    }
  });

  it('are the only frames that may come', () => {
    expect(() => readTextFrames(Buffer.from([0x88, 0x00]), () => {})).toThrow('begins with 136');
  });
});

/** A frame as a server sends it: without the mask and its key. */
function fromServer(text: string): Buffer {
  const masked = textFrame(text);
  const headBytes = masked.length - text.length;
  const head = Buffer.from(masked.subarray(0, headBytes - 4));
  head[1] &= 0x7f;
  return Buffer.concat([head, Buffer.from(text)]);
}
