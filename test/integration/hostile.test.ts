import { createConnection, type Socket } from 'node:net';
import { Packr } from 'msgpackr';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_BROKEN_FRAMES, MAX_FRAME_BYTES } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Reason, Status } from '../../protocol/status.ts';
import { Prng } from '../../src/base/prng.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { type ServerProcess, startServer } from '../fixtures/server.ts';

const packr = new Packr({ useRecords: false });
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const pack = (value: unknown): Uint8Array => Uint8Array.from(packr.pack(value));

let server: ServerProcess;

beforeAll(async () => {
  server = await startServer({ maxConnections: 600 });
  const client = await RawClient.connect(server.url);
  await client.call(Op.STOCK, 'prize', StockMode.TOTAL, 10);
  await client.close();
});
/** Of these, some are closed after ten seconds only, while other tests run. */
const NONSENSE = [
  '\r\n\r\n',
  'GET\r\n\r\n',
  'BREW / HTTP/1.1\r\nHost: x\r\n\r\n',
  `GET /${'a'.repeat(20_000)} HTTP/1.1\r\n`,
];
let answersToNonsense: Promise<unknown>;
beforeAll(() => {
  const ends = NONSENSE.map(
    (text) =>
      new Promise<void>((resolve) => {
        const socket = createConnection(server.port, '127.0.0.1', () => socket.write(text));
        socket.once('data', () => socket.destroy());
        socket.once('close', () => resolve());
        socket.on('error', () => {});
      }),
  );
  answersToNonsense = Promise.all(ends);
});
afterAll(async () => {
  const client = await RawClient.connect(server.url);
  const prize = await client.call(Op.READ, 'prize');
  await client.close();
  expect(await server.stop()).toBe(0);
  expect(prize.slice(1, 5)).toEqual([10, 0, 0, 10]);
  expect(server.errors()).toBe('');
});

/** Sends a frame and then READs, which must still be answered on the same connection. Returns the first push or reply. */
async function answerTo(frame: Uint8Array): Promise<unknown[]> {
  const client = await RawClient.connect(server.url);
  await client.until(() => client.pushes.length > 0);
  const answered = (): boolean => client.pushes.length > 1 || client.strays.length > 0;
  client.sendBytes(frame);
  await client.until(answered);
  expect((await client.call(Op.READ, 'prize'))[0]).toBe(Status.OK);
  await client.close();
  return client.strays[0] ?? (client.pushes[1] as unknown[]);
}

const error = (reason: number): unknown[] => [0, 2, Status.MALFORMED, reason];
const refused = (id: number, reason: number, element: number): unknown[] => [
  id,
  Status.MALFORMED,
  reason,
  element,
];
const ID = 1_000_000;

describe('a malformed frame is answered, and the connection lives on', () => {
  it.each<[string, Uint8Array, unknown[]]>([
    ['a lone integer', hex('01'), error(Reason.NOT_A_COMMAND)],
    ['the byte that means nothing', hex('c1'), error(Reason.NOT_A_COMMAND)],
    ['a map', hex('81 01 02'), error(Reason.NOT_A_COMMAND)],
    ['an empty array', hex('90'), error(Reason.WRONG_COUNT)],
    ['an array that ends early', hex('95 01'), error(Reason.TRUNCATED)],
    ['an array of four billion', hex('dd ff ff ff ff'), error(Reason.WRONG_COUNT)],
    ['an array of two billion', hex('dd 7f ff ff ff 07 01'), refused(1, Reason.TRUNCATED, 0)],
    ['text of four gigabytes', hex('93 07 01 db ff ff ff ff'), refused(1, Reason.TRUNCATED, 2)],
    ['a bomb of nested arrays', new Uint8Array(60_000).fill(0x91), error(Reason.TRUNCATED)],
    ['a bomb of nested maps behind a command', pack(['x'.repeat(10), [[[[{}]]]]]), error(Reason.WRONG_TYPE)],
    ['an op that is text', pack(['HOLD', ID, 'prize', 1, 1000]), refused(ID, Reason.WRONG_TYPE, 0)],
    ['request id 0, which marks pushes', pack([Op.READ, 0, 'prize']), error(Reason.BAD_REQUEST_ID)],
    ['a negative request id', pack([Op.READ, -1, 'prize']), error(Reason.BAD_REQUEST_ID)],
    ['a request id past 2^53', hex('93 07 cf 00 20 00 00 00 00 00 00 a1 78'), error(Reason.BAD_REQUEST_ID)],
    ['an unknown op', pack([12, ID]), refused(ID, Reason.UNKNOWN_OP, 0)],
    ['op 0', pack([0, ID, 'prize']), refused(ID, Reason.UNKNOWN_OP, 0)],
    ['too few arguments', pack([Op.HOLD, ID, 'prize', 1]), refused(ID, Reason.WRONG_COUNT, 0)],
    ['too many arguments', pack([Op.READ, ID, 'prize', 1]), refused(ID, Reason.WRONG_COUNT, 0)],
    ['a SKU that is a number', pack([Op.READ, ID, 5]), refused(ID, Reason.WRONG_TYPE, 2)],
    ['an empty SKU', pack([Op.READ, ID, '']), refused(ID, Reason.OUT_OF_BOUNDS, 2)],
    ['a SKU of 65 bytes', pack([Op.READ, ID, 'x'.repeat(65)]), refused(ID, Reason.OUT_OF_BOUNDS, 2)],
    ['a SKU that is no UTF-8', hex('93 07 ce 00 0f 42 40 a2 ff fe'), refused(ID, Reason.NOT_UTF8, 2)],
    ['quantity 0', pack([Op.HOLD, ID, 'prize', 0, 1000]), refused(ID, Reason.OUT_OF_BOUNDS, 3)],
    ['a negative quantity', pack([Op.HOLD, ID, 'prize', -1, 1000]), refused(ID, Reason.OUT_OF_BOUNDS, 3)],
    ['quantity 2^31', pack([Op.HOLD, ID, 'prize', 2 ** 31, 1000]), refused(ID, Reason.OUT_OF_BOUNDS, 3)],
    ['half a unit', pack([Op.HOLD, ID, 'prize', 0.5, 1000]), refused(ID, Reason.WRONG_TYPE, 3)],
    ['quantity NaN', pack([Op.HOLD, ID, 'prize', Number.NaN, 1000]), refused(ID, Reason.WRONG_TYPE, 3)],
    ['a quantity that is text', pack([Op.HOLD, ID, 'prize', '1', 1000]), refused(ID, Reason.WRONG_TYPE, 3)],
    ['no time to live', pack([Op.HOLD, ID, 'prize', 1, 0]), refused(ID, Reason.OUT_OF_BOUNDS, 4)],
    [
      'a life of two days',
      pack([Op.HOLD, ID, 'prize', 1, 2 * 86_400_000]),
      refused(ID, Reason.OUT_OF_BOUNDS, 4),
    ],
    [
      'a key of 65 bytes',
      pack([Op.HOLD, ID, 'prize', 1, 1000, 'k'.repeat(65)]),
      refused(ID, Reason.OUT_OF_BOUNDS, 5),
    ],
    ['an empty key', pack([Op.HOLD, ID, 'prize', 1, 1000, '']), refused(ID, Reason.OUT_OF_BOUNDS, 5)],
    [
      'a key that is a map',
      pack([Op.HOLD, ID, 'prize', 1, 1000, { a: 1 }]),
      refused(ID, Reason.WRONG_TYPE, 5),
    ],
    ['a hold id that is text', pack([Op.CONFIRM, ID, 'prize']), refused(ID, Reason.WRONG_TYPE, 2)],
    [
      'a command of over 256 bytes',
      pack([Op.CONFIRM, ID, 1, 'x'.repeat(300)]),
      refused(ID, Reason.OUT_OF_BOUNDS, 3),
    ],
    [
      'a hold id of a segment that is not',
      pack([Op.CONFIRM, ID, 2 ** 32 + (1000 << 22)]),
      [ID, Status.UNKNOWN_HOLD],
    ],
    ['a hold id that never was', pack([Op.CONFIRM, ID, 12345]), [ID, Status.UNKNOWN_HOLD]],
    ['a negative hold id', pack([Op.CONFIRM, ID, -5]), refused(ID, Reason.OUT_OF_BOUNDS, 2)],
    ['a segment past the last', pack([Op.INSPECT, ID, 1000]), refused(ID, Reason.OUT_OF_BOUNDS, 2)],
  ])('%s', async (_, frame, expected) => {
    expect((await answerTo(frame)).slice(0, expected.length)).toEqual(expected);
  });

  it('reads on behind a command that it could not read', async () => {
    const client = await RawClient.connect(server.url);
    client.sendBytes(
      Buffer.concat([pack([77, ID]), pack([Op.READ, ID + 1, 'prize']), pack([Op.READ, ID + 2])]),
    );
    await client.until(() => client.strays.length === 3);
    expect(client.strays.map(([id, status]) => [id, status]).sort()).toEqual([
      [ID, Status.MALFORMED],
      [ID + 1, Status.OK],
      [ID + 2, Status.MALFORMED],
    ]);
    await client.close();
  });

  it('answers a frame of nothing but tiny broken commands within its means', async () => {
    const client = await RawClient.connect(server.url);
    client.sendBytes(new Uint8Array(MAX_FRAME_BYTES).fill(0x90));
    await client.until(() => client.pushes.length > MAX_FRAME_BYTES);
    expect((await client.call(Op.TIME))[0]).toBe(Status.OK);
    await client.close();
  });
});

describe('a frame that breaks off', () => {
  it('says so once more in a push, because what lay behind went unread', async () => {
    const client = await RawClient.connect(server.url);
    client.sendBytes(hex('93 07 01 db ff ff ff ff'));
    await client.until(() => client.pushes.length === 2);
    expect(client.strays).toEqual([refused(1, Reason.TRUNCATED, 2)]);
    expect(client.pushes[1]?.slice(0, 4)).toEqual(error(Reason.TRUNCATED));
    await client.close();
  });
});

describe('what cannot be survived is closed with a code and a reason', () => {
  it('a frame over the limit: 1009', async () => {
    const client = await RawClient.connect(server.url);
    client.sendBytes(new Uint8Array(MAX_FRAME_BYTES + 1));
    expect(await client.closed).toEqual({ code: 1009, reason: 'a frame of 65537 bytes is over 65536' });
    expect(client.pushes.at(-1)?.slice(0, 4)).toEqual(error(Reason.FRAME_TOO_LARGE));
  });

  it('a client that sends nothing but noise: 1008', async () => {
    const client = await RawClient.connect(server.url);
    for (let i = 0; i < MAX_BROKEN_FRAMES; i++) client.sendBytes(hex('c1'));
    expect(await client.closed).toMatchObject({ code: 1008 });
  });

  it('one that sends noise now and then may stay', async () => {
    const client = await RawClient.connect(server.url);
    for (let i = 0; i < 3 * MAX_BROKEN_FRAMES; i++) {
      client.sendBytes(hex('c1'));
      if (i % 5 === 4) expect((await client.call(Op.TIME))[0]).toBe(Status.OK);
    }
    await client.close();
  });

  it('a page of another site: refused at the handshake', async () => {
    const socket = createConnection(server.port, '127.0.0.1');
    const lines = ['Host: x', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13'];
    lines.push('Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Origin: https://example.com');
    socket.write(`GET /v1/ws HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    const answer = await new Promise<string>((resolve) =>
      socket.once('data', (data) => resolve(String(data))),
    );
    expect(answer).toMatch(/^HTTP\/1.1 403 /);
    socket.destroy();
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'random bytes, seed %i: an answer or a close, and the server lives',
    async (seed) => {
      const prng = new Prng(seed);
      const client = await RawClient.connect(server.url);
      for (let i = 0; i < 30 && client.socket.readyState === WebSocket.OPEN; i++) {
        const bytes = Uint8Array.from({ length: 1 + prng.below(400) }, () => prng.below(256));
        // Half of the frames begin like a command, so that noise reaches the arguments too.
        if (prng.oneIn(2)) bytes.set([0x95, 1 + prng.below(10), 1 + prng.below(100)].slice(0, bytes.length));
        client.sendBytes(bytes);
      }
      const after = await RawClient.connect(server.url);
      expect((await after.call(Op.READ, 'prize'))[0]).toBe(Status.OK);
      await Promise.all([client.close(), after.close()]);
    },
  );
});

/** A WebSocket by hand, for what no library would send. Resolves when the handshake is answered. */
function rawSocket(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(server.port, '127.0.0.1', () => {
      socket.write(
        'GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      );
    });
    socket.once('data', () => resolve(socket));
    socket.once('error', reject);
  });
}

describe('bytes below the protocol', () => {
  it.each([
    ['a reserved opcode', hex('8b 80 00 00 00 00')],
    ['a frame that announces 2^63 bytes', hex('82 ff 7f ff ff ff ff ff ff ff 00 00 00 00')],
    ['a frame that announces a gigabyte', hex('82 ff 00 00 00 00 40 00 00 00 00 00 00 00')],
    ['a close frame of one byte', hex('88 81 00 00 00 00 03')],
  ])('%s ends that connection only', async (_, bytes) => {
    const socket = await rawSocket();
    socket.write(bytes);
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.resume();
    });
  });

  it('a command cut into single bytes on the wire is answered', async () => {
    const socket = await rawSocket();
    const command = pack([Op.READ, 7, 'prize']);
    const frame = Buffer.concat([hex(`82 ${(0x80 | command.length).toString(16)} 00000000`), command]);
    const answer = new Promise<Buffer>((resolve) => socket.once('data', resolve));
    for (const byte of frame) {
      socket.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await answer).subarray(2, 5).toString('hex')).toBe('9a0700');
    socket.destroy();
  });

  it('an HTTP request that is none gets an answer or a close', async () => {
    await answersToNonsense;
    expect((await fetch(`${server.httpUrl}/healthz`)).status).toBe(200);
  });
});

describe('the handshake', () => {
  it.each([
    ['an empty holder', '?holder='],
    ['a holder of 65 bytes', `?holder=${'x'.repeat(65)}`],
  ])('refuses %s', async (_, query) => {
    await expect(
      new Promise((resolve, reject) => {
        const socket = new WebSocket(server.url + query);
        socket.onopen = resolve;
        socket.onerror = () => reject(new Error('refused'));
      }),
    ).rejects.toThrow('refused');
  });

  it('refuses connections past the limit, and takes them again when others go', async () => {
    const attempts = await Promise.allSettled(
      Array.from({ length: 650 }, () => RawClient.connect(server.url)),
    );
    const clients = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
    expect(clients.length).toBeLessThanOrEqual(600);
    expect(clients.length).toBeGreaterThan(500);
    await Promise.all(clients.map((client) => client.close()));
    const again = async (): Promise<boolean> => {
      const client = await RawClient.connect(server.url).catch(() => undefined);
      await client?.close();
      return client !== undefined;
    };
    await expect.poll(again).toBe(true);
  });
});
