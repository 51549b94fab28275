import { pack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { HEADROOM_BYTES, Scanner } from '../../perf/load/scanner.ts';
import { Status } from '../../protocol/status.ts';
import { Writer } from '../../protocol/writer.ts';

const ID = 70_000;
const ACCEPTED = accepted(ID);
const BUSY = pack([ID, Status.BUSY, 5, 9]);
const BUSY_LONG = pack([ID, Status.BUSY, 3000, 9]);
const UNKNOWN = pack([ID, Status.UNKNOWN_HOLD]);
const SOLD_OUT = pack([ID, Status.SOLD_OUT, 0]);
const HELD_OUT = pack([ID, Status.HELD_OUT, 3, 1_800_000_000_000]);
const HELLO = pack([0, 1, 1, 1_800_000_000_000, 'memory', { limits: 'x'.repeat(300) }]);

describe('the reply scanner', () => {
  const stream = Buffer.concat([
    frame(HELLO),
    frame(ACCEPTED),
    control(0x9, Buffer.from('ping')),
    frame(ACCEPTED, BUSY, ACCEPTED, HELD_OUT),
    frame(BUSY_LONG, UNKNOWN, BUSY_LONG),
    frame(accepted(3), accepted(300), BUSY),
    frame(SOLD_OUT, SOLD_OUT, ACCEPTED, pack([3, Status.SOLD_OUT, 200]), SOLD_OUT),
    frame(...Array.from({ length: 20 }, () => ACCEPTED)),
    frame(...Array.from({ length: 3000 }, () => ACCEPTED)),
  ]);

  it.each([1, 2, 3, 7, 24, 25, 26, 100, 4096, 65_536])('counts every reply in reads of %i bytes', (bytes) => {
    const scanner = new Scanner('replies');
    feed(scanner, stream, bytes);
    expect(scanner).toMatchObject({ replies: 3036, accepted: 3026, pushes: 1, frames: 8 });
    expect(scanner.byStatus[Status.OK]).toBe(3026);
    expect(scanner.byStatus[Status.SOLD_OUT]).toBe(4);
    expect(scanner.byStatus[Status.BUSY]).toBe(4);
    expect(scanner.byStatus[Status.UNKNOWN_HOLD]).toBe(1);
    expect(scanner.byStatus[Status.HELD_OUT]).toBe(1);
  });

  it('tells whose replies they are', () => {
    const scanner = new Scanner('replies');
    const told: [id: number, status: number][] = [];
    scanner.onReply = (id, status) => told.push([id, status]);
    const big = pack([2 ** 40 + 1, Status.HELD_OUT, 3, 1_800_000_000_000]);
    feed(scanner, Buffer.concat([frame(HELLO), frame(ACCEPTED, BUSY, accepted(3)), frame(big)]), 10);
    expect(told).toEqual([
      [ID, Status.OK],
      [ID, Status.BUSY],
      [3, Status.OK],
      [2 ** 40 + 1, Status.HELD_OUT],
    ]);
  });

  it('counts frames alone when its own come back', () => {
    const scanner = new Scanner('echo');
    feed(
      scanner,
      Buffer.concat([frame(Buffer.from('not msgpack')), frame(Buffer.alloc(70_000, 0xc1))]),
      1000,
    );
    expect(scanner).toMatchObject({ frames: 2, replies: 0, accepted: 0 });
  });

  it.each([
    ['a reply cut off by its frame', frame(ACCEPTED.subarray(0, 24)), 'ended within a reply'],
    ['what is no array', frame(pack('text')), 'neither a reply nor a push'],
    ['an array of one', frame(pack([ID])), 'an array of 1 is neither'],
    ['an unknown status', frame(pack([ID, 99])), 'status 99'],
    ['a text frame', control(0x1, Buffer.from('[]')), 'opcode 1'],
    ['a close', control(0x8, Buffer.from([0x03, 0xf0, 0x6e, 0x6f])), 'closed the connection with 1008 no'],
    ['a close without a code', control(0x8, Buffer.alloc(0)), 'closed the connection'],
  ])('refuses %s', (_name, bytes, message) => {
    expect(() => feed(new Scanner('replies'), bytes, 65_536)).toThrow(message);
  });
});

function accepted(requestId: number): Buffer {
  const writer = new Writer(new Uint8Array(64));
  writer.array(4);
  writer.int32(requestId);
  writer.int32(Status.OK);
  writer.uint64(5, 9);
  writer.time(1_800_000_000_000);
  return Buffer.from(writer.u8.subarray(0, writer.pos));
}

function frame(...values: Buffer[]): Buffer {
  const payload = Buffer.concat(values);
  const head = Buffer.alloc(10);
  head[0] = 0x82;
  if (payload.length < 126) {
    head[1] = payload.length;
    return Buffer.concat([head.subarray(0, 2), payload]);
  }
  if (payload.length < 65_536) {
    head[1] = 126;
    head.writeUInt16BE(payload.length, 2);
    return Buffer.concat([head.subarray(0, 4), payload]);
  }
  head[1] = 127;
  head.writeUInt32BE(payload.length, 6);
  return Buffer.concat([head, payload]);
}

function control(opcode: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x80 | opcode, payload.length]), payload]);
}

function feed(scanner: Scanner, stream: Buffer, bytes: number): void {
  const buffer = Buffer.alloc(HEADROOM_BYTES + bytes);
  for (let at = 0; at < stream.length; at += bytes) {
    // Whatever an earlier read left in the buffer must not be looked at.
    buffer.fill(0xff);
    scanner.read(buffer, stream.copy(buffer, HEADROOM_BYTES, at, Math.min(at + bytes, stream.length)));
  }
}
