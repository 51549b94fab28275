import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Status } from '../../protocol/status.ts';
import { type ConnectOptions, connect } from '../../src/client/index.ts';
import { clientAndServer, clientInStoppedTime, errorOf } from './fixtures/client.ts';
import { startFakeServer } from './fixtures/fake-server.ts';
import { fakeSockets } from './fixtures/fake-socket.ts';
import { errorPush, hello } from './fixtures/wire.ts';

describe('connect', () => {
  it('resolves with what the hello said', async () => {
    const { client } = await clientAndServer({
      greeting: [hello({ limits: { maxFrameBytes: 1_000, maxSkuBytes: 64 } })],
    });
    expect(client.state).toBe('open');
    expect(client.hello).toMatchObject({
      protocolVersion: 1,
      acknowledgement: 'memory',
      limits: { maxSkuBytes: 64 },
    });
  });

  it.each([
    [{}, '/v1/ws'],
    [{ holder: 'anna & co' }, '/v1/ws?holder=anna+%26+co'],
  ])('with %j asks for %s', async (options, path) => {
    const { server } = await clientAndServer({}, options);
    expect(server.connections[0].url).toBe(path);
  });

  it('takes http addresses, and leaves the given URL as it is', async () => {
    const { webSocket, sockets } = fakeSockets();
    const url = new URL('https://shop.example/v1/ws?tenant=7#top');
    const connecting = connect(url, { holder: 'anna', webSocket });
    expect(sockets[0].url).toBe('wss://shop.example/v1/ws?tenant=7&holder=anna');
    expect(url.href).toBe('https://shop.example/v1/ws?tenant=7#top');
    sockets[0].greet();
    void (await connecting).close();
  });

  const mistakes: [string, string, ConnectOptions, string][] = [
    ['an address that is none', 'somewhere', {}, 'url'],
    ['another protocol', 'ftp://127.0.0.1/', {}, 'url'],
    ['an empty holder', 'ws://127.0.0.1/', { holder: '' }, 'holder'],
    ['a holder of 65 bytes', 'ws://127.0.0.1/', { holder: 'x'.repeat(65) }, 'holder'],
    ['a time-out of nothing', 'ws://127.0.0.1/', { timeoutMs: 0 }, 'timeoutMs'],
    [
      'a wait of less than nothing',
      'ws://127.0.0.1/',
      { reconnect: { initialMs: -1 } },
      'reconnect.initialMs',
    ],
    ['half an attempt', 'ws://127.0.0.1/', { reconnect: { attempts: 0.5 } }, 'reconnect.attempts'],
  ];
  it.each(mistakes)('refuses %s', async (_name, url, options, argument) => {
    expect(await errorOf(connect(url, options))).toMatchObject({ code: 'MALFORMED', details: { argument } });
  });

  it('rejects with CLOSED where nothing listens', async () => {
    const server = await startFakeServer();
    await server.stop();
    const error = await errorOf(connect(server.url));
    expect(error).toMatchObject({ code: 'CLOSED', details: { closeCode: 1006 } });
    expect(error.message).toContain('check the address and that the server runs');
  });

  it('rejects with CLOSED where something other than a WebSocket server answers', async () => {
    const other = createServer((socket) => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'));
    onTestFinished(() => void other.close());
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    expect(await errorOf(connect(`ws://127.0.0.1:${port}/`))).toMatchObject({ code: 'CLOSED' });
  });

  it('rejects when no hello comes in time, and closes the socket', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { webSocket, sockets } = fakeSockets();
    const failed = errorOf(connect('ws://fake/', { webSocket, timeoutMs: 700 }));
    await vi.advanceTimersByTimeAsync(699);
    expect(sockets[0].closedWith).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect((await failed).message).toContain('no hello within 700 ms');
    expect(sockets).toHaveLength(1);
    expect(sockets[0].closedWith).toBeDefined();
  });

  const strangers: [string, unknown[][], string][] = [
    ['another version', [hello({ version: 2 })], 'speaks protocol version 2'],
    ['no hello first', [[5, 0, 1]], 'first message is no hello'],
    ['a hello without a time', [[0, 1, 1, 'noon', 'memory', {}]], 'no protocol version and time'],
    ['a map', [{ hello: 1 } as never], 'a message is no array'],
    ['an error instead of a hello', [errorPush(Status.MALFORMED, 1, 17)], 'TRUNCATED) at byte 17'],
  ];
  it.each(strangers)('rejects with PROTOCOL on %s', async (_name, greeting, words) => {
    const server = await startFakeServer({ greeting });
    onTestFinished(() => server.stop());
    const error = await errorOf(connect(server.url));
    expect(error).toMatchObject({ code: 'PROTOCOL' });
    expect(error.message).toContain(words);
    await expect.poll(() => server.connections[0].closedWith).toBe(4002);
  });

  it('rejects with ABORTED, and the reason as cause', async () => {
    const { webSocket, sockets } = fakeSockets();
    const controller = new AbortController();
    const failed = errorOf(connect('ws://fake/', { webSocket, signal: controller.signal }));
    controller.abort('changed my mind');
    sockets[0].end();
    expect(await failed).toMatchObject({ code: 'ABORTED', cause: 'changed my mind' });
    expect(sockets[0].closedWith).toBeDefined();
  });

  it('does not even begin when it is aborted already', async () => {
    const { webSocket, sockets } = fakeSockets();
    const failed = connect('ws://fake/', { webSocket, signal: AbortSignal.abort() });
    expect(await errorOf(failed)).toMatchObject({ code: 'ABORTED' });
    expect(sockets).toHaveLength(0);
  });

  it('is done with the signal once it has resolved', async () => {
    const controller = new AbortController();
    const { client } = await clientAndServer({}, { signal: controller.signal });
    controller.abort();
    expect((await client.read('s')).total).toBe(10);
  });
});

describe('a frame that makes no sense', () => {
  const frames: [string, unknown, string][] = [
    ['text', '[1, 0]', 'text frame'],
    ['no bytes', new ArrayBuffer(0), 'no MessagePack'],
    ['a cut message', Uint8Array.of(0x93, 1, 0).buffer, 'no MessagePack'],
    ['an array of 2^32 values', Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff).buffer, 'no MessagePack'],
    ['the byte that begins nothing', Uint8Array.of(0xc1).buffer, 'no array'],
    ['a number', Uint8Array.of(7).buffer, 'no array'],
    ['an empty array', Uint8Array.of(0x90).buffer, 'request id'],
    ['a request id that is text', Uint8Array.of(0x92, 0xa1, 0x31, 0).buffer, 'request id'],
    ['a reply without a status', Uint8Array.of(0x91, 1).buffer, 'no status'],
    ['a second hello', Uint8Array.of(0x96, 0, 1, 1, 7, 0xa1, 0x6d, 0x80).buffer, 'hello twice'],
    ['a push of an error', Uint8Array.of(0x95, 0, 2, 1, 1, 9).buffer, 'MALFORMED (TRUNCATED) at byte 9'],
  ];

  it.each(frames)(
    '%s closes the connection with PROTOCOL and is not tried again',
    async (_name, data, words) => {
      const { client, sockets, socket } = await clientInStoppedTime();
      const states: unknown[] = [];
      client.onStateChange((state, error) => states.push(state, error?.code));
      const reading = errorOf(client.read('s'));
      await Promise.resolve();
      socket.deliverData(data);
      const error = await reading;
      expect(error).toMatchObject({ code: 'PROTOCOL', details: { sent: true } });
      expect(error.message).toContain(words);
      expect(socket.closedWith?.code).toBe(4002);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(sockets).toHaveLength(1);
      expect(states).toEqual(['closed', 'PROTOCOL']);
    },
  );

  it('does not take back the answers before it in the frame', async () => {
    const { client, socket } = await clientInStoppedTime();
    const reading = client.confirm(7);
    await Promise.resolve();
    const [, id] = socket.commands[0];
    socket.deliverData(Uint8Array.of(0x93, id, 0, 3, 0xc1).buffer);
    expect(await reading).toBe(3);
    expect(client.state).toBe('closed');
  });

  it.each([
    ['no results', []],
    ['a hold id that is text', ['7', 5]],
    ['a hold id beyond safe integers', [2n ** 60n, 5]],
  ])('an OK with %s does too', async (_name, results) => {
    const { client, socket } = await clientInStoppedTime();
    const failed = errorOf(client.hold({ sku: 's', ttl: 1_000 }));
    await Promise.resolve();
    socket.deliver([socket.commands[0][1], 0, ...results]);
    expect(await failed).toMatchObject({ code: 'PROTOCOL' });
    expect(socket.closedWith?.code).toBe(4002);
  });
});

describe('close', () => {
  it('sends what was called in the same turn, and rejects it with CLOSED', async () => {
    const { client, server } = await clientAndServer({ answer: () => undefined });
    const failed = errorOf(client.release(7));
    await client.close();
    const error = await failed;
    expect(error).toMatchObject({ code: 'CLOSED', details: { sent: true } });
    expect(error.message).toContain('whether it happened is unknown');
    expect(server.connections[0].commands.map(([op]) => op)).toEqual([3]);
    expect(server.connections[0].closedWith).toBe(1000);
  });

  it('is final: later calls reject at once, and closing again does nothing', async () => {
    const { client } = await clientAndServer();
    await client.close();
    await client.close();
    expect(client.state).toBe('closed');
    const error = await errorOf(client.read('s'));
    expect(error).toMatchObject({ code: 'CLOSED', details: { sent: false } });
    expect(error.message).toContain('was not sent');
  });

  it('does not wait for ever for a server that does not answer it', async () => {
    const { client } = await clientInStoppedTime();
    const closed = client.close();
    await vi.advanceTimersByTimeAsync(1_000);
    await closed;
    expect(vi.getTimerCount()).toBe(0);
  });
});
