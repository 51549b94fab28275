import { createConnection, type Socket } from 'node:net';
import { Packr } from 'msgpackr';
import { beforeAll, describe, expect, it } from 'vitest';
import { MAX_BACKPRESSURE_BYTES } from '../../protocol/limits.ts';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { victim } from './fixtures.ts';

const target = victim({ settings: { maxConnections: 2000, idleTimeoutMs: 12_000 } });
/** In a moment of overload a command may be told to come again, which is an answer too. */
const SERVED: number[] = [Status.OK, Status.BUSY];
const packr = new Packr({ useRecords: false });

/** A frame from a client, masked with zeroes. */
function frame(opcode: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(payload.length < 126 ? 6 : 8);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | Math.min(payload.length, 126);
  if (payload.length >= 126) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

/** A WebSocket by hand, that reads nothing behind the answer to its upgrade. */
async function deafSocket(): Promise<Socket> {
  const socket = createConnection(target.server.port, '127.0.0.1', () =>
    socket.write(
      'GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    ),
  );
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('data', resolve));
  return socket.pause();
}

/** One that is open, and answers no ping, from the beginning of the tests on. */
let silent: Promise<unknown>;
beforeAll(async () => {
  const socket = (await deafSocket()).resume();
  silent = new Promise((resolve) => socket.once('close', resolve));
});

const COMMANDS = Buffer.concat(
  Array.from({ length: 400 }, (_, i) => Uint8Array.from(packr.pack([Op.READ, 0x10000 + i, 'prize']))),
);

describe('a client that does not read', () => {
  it.each([
    ['commands', frame(2, COMMANDS)],
    ['commands that cannot be read', frame(2, new Uint8Array(4000).fill(0x90))],
    ['text', frame(1, Buffer.from('["READ",1,"prize"]'))],
    ['pings', frame(9, new Uint8Array(125))],
  ])('and sends %s is closed at the limit, while others are served', async (_what, bytes) => {
    const before = target.resources().rssMb;
    const socket = await deafSocket();
    let closed = false;
    socket.on('close', () => {
      closed = true;
    });
    const many = Buffer.concat(new Array(Math.ceil(65_536 / bytes.length)).fill(bytes));
    const other = await RawClient.connect(target.server.url);
    // Far more than what the kernel keeps for a socket, and MAX_BACKPRESSURE_BYTES on top.
    for (let sent = 0; sent < 12 * MAX_BACKPRESSURE_BYTES && !closed; sent += many.length) {
      if (!socket.write(many))
        await Promise.race(['drain', 'close'].map((event) => new Promise((go) => socket.once(event, go))));
      if (sent % (16 * many.length) === 0) expect(SERVED).toContain((await other.call(Op.READ, 'prize'))[0]);
    }
    socket.resume();
    await expect.poll(() => closed).toBe(true);
    await expect.poll(() => target.resources().rssMb - before).toBeLessThan(64);
    await other.close();
  });

  it('a hundred of them at once take no more than their limits', async () => {
    const before = target.resources().rssMb;
    const sockets = await Promise.all(Array.from({ length: 100 }, deafSocket));
    const bytes = frame(2, COMMANDS);
    for (let i = 0; i < 40; i++) {
      for (const socket of sockets) socket.write(bytes);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const other = await RawClient.connect(target.server.url);
    expect(SERVED).toContain((await other.call(Op.READ, 'prize'))[0]);
    await other.close();
    const growth = target.resources().rssMb - before;
    expect(growth).toBeLessThan((100 * MAX_BACKPRESSURE_BYTES) / 2 ** 20 + 64);
    for (const socket of sockets) socket.destroy();
  });
});

it('a client that is gone without its end having been told of is cut off', () => silent);

describe('a client that goes without a word', () => {
  it('leaves nothing behind, in whatever state it was', async () => {
    const before = target.resources().descriptors;
    const ways: ((socket: Socket) => void)[] = [
      (socket) => socket.resetAndDestroy(),
      (socket) => {
        socket.write(frame(2, COMMANDS));
        socket.resetAndDestroy();
      },
      (socket) => {
        // Half a frame.
        socket.write(frame(2, COMMANDS).subarray(0, 1000));
        socket.destroy();
      },
      (socket) => {
        socket.write(frame(8, new Uint8Array(0)));
        socket.resetAndDestroy();
      },
    ];
    const sockets = await Promise.all(Array.from({ length: 200 }, deafSocket));
    for (const [i, socket] of sockets.entries()) (ways[i % ways.length] as (one: Socket) => void)(socket);
    await expect.poll(() => target.resources().descriptors).toBeLessThanOrEqual(before);
  });
});
