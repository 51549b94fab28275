import { afterEach, describe, expect, it, vi } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { Client } from '../../src/client/index.ts';
import { clientInStoppedTime, errorOf } from './fixtures/client.ts';
import type { FakeSocket } from './fixtures/fake-socket.ts';
import { agree, u64 } from './fixtures/wire.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const sent = (socket: FakeSocket) => socket.commands.map(([op, , ...args]) => [op, ...args]);
/** Answers the first command with a hold of id 77. */
const lateOk = (socket: FakeSocket) =>
  socket.deliver([socket.commands[0][1], Status.OK, 77, u64(Date.now() + 9_000)]);
/** Something comes, so that the connection does not count as silent. */
const chatter = (socket: FakeSocket) => socket.deliver([0, 77]);

describe('a time-out', () => {
  const calls: [string, (client: Client) => Promise<unknown>, string][] = [
    ['hold without a key', (c) => c.hold({ sku: 's', ttl: 1_000 }), 'released at once'],
    ['hold with a key', (c) => c.hold({ sku: 's', ttl: 1_000, key: 'k' }), 'again with the same key'],
    ['confirm', (c) => c.confirm(7), 'Repeating it is safe'],
    ['release of a part', (c) => c.release(7, 1), 'read first'],
  ];
  it.each(calls)('of %s says what is known and what to do', async (_name, call, advice) => {
    const { client } = await clientInStoppedTime({ timeoutMs: 700 });
    const outcome = errorOf(call(client));
    await vi.advanceTimersByTimeAsync(700);
    const error = await outcome;
    expect(error).toMatchObject({ code: 'TIMEOUT', details: { timeoutMs: 700, sent: true } });
    expect(error.message).toContain('not answered within 700 ms, and whether it happened is unknown');
    expect(error.message).toContain(advice);
  });

  it('before anything was sent says that nothing happened, and nothing is sent later', async () => {
    const { client, sockets, socket } = await clientInStoppedTime({
      timeoutMs: 700,
      reconnect: { initialMs: 9_000, maxMs: 9_000 },
    });
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    socket.end();
    const outcome = errorOf(client.stock({ sku: 's', delta: 1 }));
    await vi.advanceTimersByTimeAsync(700);
    const error = await outcome;
    expect(error).toMatchObject({ code: 'TIMEOUT', details: { sent: false } });
    expect(error.message).toContain('nothing happened');
    await vi.advanceTimersByTimeAsync(4_000);
    sockets[1].greet();
    expect(sockets[1].commands).toEqual([]);
  });

  it('comes to each command at its own time', async () => {
    const { client, socket } = await clientInStoppedTime({ timeoutMs: 1_000 });
    const ended: string[] = [];
    const watch = (name: string) => client.read(name).catch(() => ended.push(name));
    void watch('a');
    await vi.advanceTimersByTimeAsync(10);
    const answered = client.read('b');
    await vi.advanceTimersByTimeAsync(10);
    void watch('c');
    await Promise.resolve();
    socket.deliver(agree(socket.commands[1]));
    await answered;
    await vi.advanceTimersByTimeAsync(979);
    expect(ended).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(19);
    expect(ended).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toEqual(['a', 'c']);
  });

  it('counts from the call, also when the command is sent again', async () => {
    const { client, sockets, socket } = await clientInStoppedTime({ timeoutMs: 1_000 });
    const outcome = errorOf(client.read('s'));
    await vi.advanceTimersByTimeAsync(500);
    socket.end();
    await vi.advanceTimersByTimeAsync(200);
    sockets[1].greet();
    await vi.advanceTimersByTimeAsync(300);
    expect(await outcome).toMatchObject({ code: 'TIMEOUT' });
    // It was sent too lately for the new connection to count as silent.
    expect(client.state).toBe('open');
  });

  it('of a hold without a key: a late success is released at once', async () => {
    const { client, socket } = await clientInStoppedTime({ timeoutMs: 700 });
    const outcome = errorOf(client.hold({ sku: 's', ttl: 9_000 }));
    await vi.advanceTimersByTimeAsync(600);
    chatter(socket);
    await vi.advanceTimersByTimeAsync(100);
    await outcome;
    lateOk(socket);
    await Promise.resolve();
    expect(sent(socket).slice(1)).toEqual([[Op.RELEASE, 77]]);
    expect(client.state).toBe('open');
  });

  it('of a hold with a key: a late success stays, and calling again with the key gets it', async () => {
    const { client, socket } = await clientInStoppedTime({ timeoutMs: 700 });
    const outcome = errorOf(client.hold({ sku: 's', ttl: 9_000, key: 'k' }));
    await vi.advanceTimersByTimeAsync(600);
    chatter(socket);
    await vi.advanceTimersByTimeAsync(100);
    await outcome;
    lateOk(socket);
    await Promise.resolve();
    expect(socket.commands).toHaveLength(1);
    const again = client.hold({ sku: 's', ttl: 9_000, key: 'k' });
    await Promise.resolve();
    const [first, second] = socket.commands;
    expect(second.slice(2)).toEqual(first.slice(2));
    socket.deliver([second[1], Status.OK, 77, u64(Date.now() + 9_000)]);
    expect((await again).id).toBe(77);
  });

  it('of other commands: a late answer is passed over', async () => {
    const { client, socket } = await clientInStoppedTime({ timeoutMs: 700 });
    const outcome = errorOf(client.confirm(7));
    await vi.advanceTimersByTimeAsync(600);
    chatter(socket);
    await vi.advanceTimersByTimeAsync(100);
    await outcome;
    socket.deliver([socket.commands[0][1], Status.OK, 1]);
    await Promise.resolve();
    expect([client.state, socket.commands.length]).toEqual(['open', 1]);
  });

  it('on a connection that has been silent since replaces it and sends the younger commands again', async () => {
    const { client, sockets, socket } = await clientInStoppedTime({ timeoutMs: 700 });
    const old = errorOf(client.read('old'));
    await vi.advanceTimersByTimeAsync(600);
    const young = client.read('young');
    await vi.advanceTimersByTimeAsync(100);
    await old;
    expect([client.state, socket.closedWith !== undefined]).toEqual(['connecting', true]);
    await vi.advanceTimersByTimeAsync(100);
    sockets[1].greet();
    expect(sockets[1].commands.map(([, , sku]) => sku)).toEqual(['young']);
    sockets[1].deliver(agree(sockets[1].commands[0]));
    await young;
  });
});

describe('an abort', () => {
  const holdUnder = (client: Client, options: { key?: string | Uint8Array; ttl?: number } = {}) => {
    const controller = new AbortController();
    const outcome = errorOf(client.hold({ sku: 's', ttl: 9_000, signal: controller.signal, ...options }));
    return { abort: () => controller.abort('left the shop'), outcome };
  };

  it('before the call: nothing is sent', async () => {
    const { client, socket } = await clientInStoppedTime();
    const outcome = errorOf(client.hold({ sku: 's', ttl: 1_000, signal: AbortSignal.abort() }));
    expect(await outcome).toMatchObject({ code: 'ABORTED', details: { sent: false } });
    await Promise.resolve();
    expect(socket.commands).toEqual([]);
  });

  it('before the frame leaves: the others leave without it', async () => {
    const { client, socket } = await clientInStoppedTime();
    const { abort, outcome } = holdUnder(client);
    void client.confirm(7).catch(() => {});
    abort();
    const error = await outcome;
    expect(error).toMatchObject({ code: 'ABORTED', cause: 'left the shop', details: { sent: false } });
    expect(error.message).toContain('Nothing happened');
    expect(sent(socket)).toEqual([[Op.CONFIRM, 7]]);
  });

  it.each([
    ['without a key', {}],
    ['with a key', { key: 'k' }],
  ])('after it was sent, %s: a late success is released at once', async (_name, options) => {
    const { client, socket } = await clientInStoppedTime();
    const { abort, outcome } = holdUnder(client, options);
    await Promise.resolve();
    abort();
    const error = await outcome;
    expect(error).toMatchObject({ code: 'ABORTED', details: { sent: true } });
    expect(error.message).toContain('released at once');
    lateOk(socket);
    await Promise.resolve();
    expect(sent(socket).slice(1)).toEqual([[Op.RELEASE, 77]]);
  });

  it.each([
    ['refused', Status.SOLD_OUT],
    ['put off', Status.BUSY],
  ])('after it was sent, where the hold is %s: nothing more is sent', async (_name, status) => {
    const { client, socket } = await clientInStoppedTime();
    const { abort, outcome } = holdUnder(client);
    await Promise.resolve();
    abort();
    await outcome;
    socket.deliver([socket.commands[0][1], status, 5]);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(socket.commands).toHaveLength(1);
  });

  it('while it waits behind a BUSY: it is not sent again', async () => {
    const { client, socket } = await clientInStoppedTime();
    const { abort, outcome } = holdUnder(client);
    await Promise.resolve();
    socket.deliver([socket.commands[0][1], Status.BUSY, 50]);
    abort();
    expect(await outcome).toMatchObject({ code: 'ABORTED', details: { sent: false } });
    // What is left is the timer that looks for time-outs.
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(socket.commands).toHaveLength(1);
  });

  it('and a new call with the key: the hold is theirs, and stays', async () => {
    const { client, socket } = await clientInStoppedTime();
    const { abort, outcome } = holdUnder(client, { key: 'k' });
    await Promise.resolve();
    abort();
    await outcome;
    const again = client.hold({ sku: 's', ttl: 9_000, key: new TextEncoder().encode('k') });
    await Promise.resolve();
    lateOk(socket);
    socket.deliver([socket.commands[1][1], Status.OK, 77, u64(Date.now() + 9_000)]);
    expect((await again).id).toBe(77);
    await Promise.resolve();
    expect(sent(socket).map(([op]) => op)).toEqual([Op.HOLD, Op.HOLD]);
  });

  it('and a new call with another key, in the same buffer: the first hold is released', async () => {
    const { client, socket } = await clientInStoppedTime();
    const key = Uint8Array.of(1);
    const { abort, outcome } = holdUnder(client, { key });
    await Promise.resolve();
    abort();
    await outcome;
    key.fill(2);
    void client.hold({ sku: 's', ttl: 9_000, key }).catch(() => {});
    await Promise.resolve();
    lateOk(socket);
    await Promise.resolve();
    expect(sent(socket).map(([op]) => op)).toEqual([Op.HOLD, Op.HOLD, Op.RELEASE]);
  });

  it('and a cut before the answer: the hold is found by its key and released', async () => {
    const { client, sockets, socket } = await clientInStoppedTime();
    const { abort, outcome } = holdUnder(client);
    await Promise.resolve();
    abort();
    await outcome;
    socket.end();
    await vi.advanceTimersByTimeAsync(100);
    sockets[1].greet();
    expect(sockets[1].commands).toEqual(socket.commands);
    lateOk(sockets[1]);
    await Promise.resolve();
    expect(sent(sockets[1]).slice(1)).toEqual([[Op.RELEASE, 77]]);
  });

  it('and a cut after its deadline: nothing is left to be released', async () => {
    const { client, sockets, socket } = await clientInStoppedTime();
    const { abort, outcome } = holdUnder(client, { ttl: 1_000 });
    await Promise.resolve();
    abort();
    await outcome;
    await vi.advanceTimersByTimeAsync(1_000);
    socket.end();
    await vi.advanceTimersByTimeAsync(100);
    sockets[1].greet();
    expect(sockets[1].commands).toEqual([]);
  });

  it('after the answer does nothing', async () => {
    const { client, socket } = await clientInStoppedTime();
    const controller = new AbortController();
    const holding = client.hold({ sku: 's', ttl: 9_000, signal: controller.signal });
    await Promise.resolve();
    lateOk(socket);
    expect((await holding).id).toBe(77);
    controller.abort();
    await Promise.resolve();
    expect(socket.commands).toHaveLength(1);
  });
});

describe.each(['BUSY', 'RATE_LIMITED', 'UNAVAILABLE'] as const)('%s', (code) => {
  it('is tried again after what the server asked for and some more, ever wider', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const { client, socket } = await clientInStoppedTime();
    const confirmed = client.confirm(7);
    await Promise.resolve();
    // 40 ms that the server asks for, and half of 40, 80, 160.
    for (const [count, waitMs] of [
      [1, 60],
      [2, 80],
      [3, 120],
    ]) {
      socket.deliver([socket.commands[0][1], Status[code], 40]);
      await vi.advanceTimersByTimeAsync(waitMs - 1);
      expect(socket.commands).toHaveLength(count);
      await vi.advanceTimersByTimeAsync(1);
      expect(socket.commands).toHaveLength(count + 1);
    }
    expect(new Set(socket.commands.map(String)).size).toBe(1);
    socket.deliver([socket.commands[0][1], Status.OK, 2]);
    expect(await confirmed).toBe(2);
  });

  it('is the outcome when there is no time left to try again', async () => {
    const { client, socket } = await clientInStoppedTime({ timeoutMs: 1_000 });
    const outcome = errorOf(client.confirm(7));
    await Promise.resolve();
    socket.deliver([socket.commands[0][1], Status[code], 1_000]);
    expect(await outcome).toMatchObject({ code, details: { retryAfterMs: 1_000 } });
  });

  it('is the outcome at once where retryBusy is off', async () => {
    const { client, socket } = await clientInStoppedTime({ retryBusy: false });
    const outcome = errorOf(client.confirm(7));
    await Promise.resolve();
    socket.deliver([socket.commands[0][1], Status[code], 1]);
    expect(await outcome).toMatchObject({ code });
  });

  it('outlasts a cut', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const { client, sockets, socket } = await clientInStoppedTime();
    const added = client.stock({ sku: 's', delta: 5 });
    await Promise.resolve();
    socket.deliver([socket.commands[0][1], Status[code], 200]);
    socket.end();
    await vi.advanceTimersByTimeAsync(50);
    sockets[1].greet();
    expect(sockets[1].commands).toEqual([]);
    await vi.advanceTimersByTimeAsync(300);
    expect(sockets[1].commands).toEqual(socket.commands);
    sockets[1].deliver(agree(sockets[1].commands[0]));
    await added;
  });
});

it('UNAVAILABLE without a time is the outcome at once: waiting does not help', async () => {
  const { client, socket } = await clientInStoppedTime();
  const outcome = errorOf(client.confirm(7));
  await Promise.resolve();
  socket.deliver([socket.commands[0][1], Status.UNAVAILABLE, 0]);
  expect(await outcome).toMatchObject({ code: 'UNAVAILABLE', details: { retryAfterMs: 0 } });
});
