import { afterEach, describe, expect, it, vi } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { backoffMs } from '../../src/client/backoff.ts';
import type { Client } from '../../src/client/index.ts';
import { clientAndServer, clientInStoppedTime, errorOf } from './fixtures/client.ts';
import { agree, HOLD_ID, u64 } from './fixtures/wire.ts';

/** Half of every bound: the first wait is 50 ms, then 100, 200, … */
const half = () => vi.spyOn(Math, 'random').mockReturnValue(0.5);
afterEach(() => {
  vi.restoreAllMocks();
});

describe('after a cut', () => {
  const safe: [string, (client: Client) => Promise<unknown>][] = [
    ['HOLD', (c) => c.hold({ sku: 's', ttl: 1_000 })],
    ['CONFIRM', (c) => c.confirm(7)],
    ['CONFIRM of a part', (c) => c.confirm(7, 2)],
    ['RELEASE', (c) => c.release(7)],
    ['RELEASE of a part of what is known', (c) => c.release(7, 2, 5)],
    ['EXTEND', (c) => c.extend(7, 1_000)],
    ['RETURN', (c) => c.returnStock(7)],
    ['RETURN of a part of what is known', (c) => c.returnStock(7, 2, 5)],
    ['STOCK to a total', (c) => c.stock({ sku: 's', total: 5 })],
    ['STOCK with settings only', (c) => c.stock({ sku: 's', maxPerHold: 5 })],
    ['READ', (c) => c.read('s')],
    ['READ_HOLD', (c) => c.readHold(7)],
  ];
  it.each(safe)('%s without an answer is sent again as it was', async (_name, call) => {
    const { client, sockets, socket } = await clientInStoppedTime();
    const outcome = call(client);
    await Promise.resolve();
    socket.end();
    await vi.advanceTimersByTimeAsync(100);
    sockets[1].greet();
    expect(sockets[1].commands).toEqual(socket.commands);
    sockets[1].deliver(agree(sockets[1].commands[0]));
    await outcome;
  });

  const unsafe: [string, (client: Client) => Promise<unknown>][] = [
    ['RELEASE of a part', (c) => c.release(7, 2)],
    ['RETURN of a part', (c) => c.returnStock(7, 2)],
    ['STOCK by a delta', (c) => c.stock({ sku: 's', delta: 5 })],
  ];
  it.each(unsafe)('%s without an answer is UNKNOWN_OUTCOME and not sent again', async (_name, call) => {
    const { client, sockets, socket } = await clientInStoppedTime();
    const outcome = errorOf(call(client));
    await Promise.resolve();
    socket.end(1001, 'server stops');
    const error = await outcome;
    expect(error).toMatchObject({ code: 'UNKNOWN_OUTCOME', details: { sent: true, closeCode: 1001 } });
    expect(error.message).toContain('code 1001 (server stops)');
    await vi.advanceTimersByTimeAsync(100);
    sockets[1].greet();
    expect(sockets[1].commands).toEqual([]);
  });

  it.each(unsafe)('%s that was called in between is sent', async (_name, call) => {
    const { client, sockets, socket } = await clientInStoppedTime();
    socket.end();
    const outcome = call(client);
    await vi.advanceTimersByTimeAsync(100);
    sockets[1].greet();
    sockets[1].deliver(agree(sockets[1].commands[0]));
    await outcome;
  });

  it('a part is released with the quantity that the hold had, both times', async () => {
    const { client, sockets, socket } = await clientInStoppedTime();
    const holding = client.hold({ sku: 's', quantity: 5, ttl: 60_000 });
    await Promise.resolve();
    socket.deliver(agree(socket.commands[0]));
    const hold = await holding;
    const left = hold.release(2);
    await Promise.resolve();
    socket.end();
    await vi.advanceTimersByTimeAsync(100);
    sockets[1].greet();
    expect(sockets[1].commands).toEqual([[Op.RELEASE, expect.any(Number), hold.id, 2, 5]]);
    sockets[1].deliver([sockets[1].commands[0][1] as number, Status.OK, 3]);
    expect([await left, hold.quantity]).toEqual([3, 3]);
  });

  it('what was sent goes before what was called in between, in one frame', async () => {
    const { client, sockets, socket } = await clientInStoppedTime();
    const calls = [client.read('a'), client.read('b')];
    await Promise.resolve();
    socket.deliver(agree(socket.commands[0]));
    calls.push(client.read('c'));
    socket.end();
    await vi.advanceTimersByTimeAsync(100);
    calls.push(client.read('d'));
    sockets[1].greet();
    expect(sockets[1].frames.map((frame) => frame.map(([, , sku]) => sku))).toEqual([['b', 'c', 'd']]);
    sockets[1].deliver(...sockets[1].commands.map(agree));
    await Promise.all(calls);
  });

  it('answers on the old connection no longer count', async () => {
    const { client, sockets, socket } = await clientInStoppedTime();
    const confirmed = client.confirm(7);
    await Promise.resolve();
    const [, id] = socket.commands[0];
    socket.end();
    socket.deliver([id, Status.OK, 1]);
    await vi.advanceTimersByTimeAsync(100);
    sockets[1].greet();
    sockets[1].deliver([id, Status.OK, 2]);
    expect(await confirmed).toBe(2);
  });

  it('the same hold comes of it when the server had placed it (over a real connection)', async () => {
    const placed = new Map<string, number>();
    const { client, server } = await clientAndServer(
      {
        answer: (command, connection) => {
          if (command[0] !== Op.HOLD) return agree(command);
          const key = String(command[5]);
          const known = placed.get(key);
          if (known === undefined) {
            placed.set(key, HOLD_ID + placed.size);
            connection.cut();
            return undefined;
          }
          return [command[1], Status.OK, u64(known), u64(Date.now() + 1_000)];
        },
      },
      { reconnect: { initialMs: 1 } },
    );
    const hold = await client.hold({ sku: 's', ttl: 1_000 });
    expect([hold.id, placed.size, server.connections.length]).toEqual([HOLD_ID, 1, 2]);
  });
});

describe('the client reconnects', () => {
  it.each([1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000])('after close code %i', async (code) => {
    half();
    const { client, sockets, socket } = await clientInStoppedTime();
    const states: string[] = [];
    client.onStateChange((state) => states.push(state));
    socket.end(code);
    await vi.advanceTimersByTimeAsync(50);
    sockets[1].greet();
    expect(states).toEqual(['connecting', 'open']);
  });

  it.each([1002, 1003, 1007, 1008, 1009])('never after %i, which would come again', async (code) => {
    const { client, sockets, socket } = await clientInStoppedTime();
    const outcome = errorOf(client.read('s'));
    await Promise.resolve();
    socket.end(code, 'no such thing');
    const error = await outcome;
    expect(error).toMatchObject({
      code: 'PROTOCOL',
      details: { closeCode: code, closeReason: 'no such thing' },
    });
    await vi.advanceTimersByTimeAsync(60_000);
    expect([client.state, sockets.length]).toEqual(['closed', 1]);
  });

  it('after waits that double up to their bound', async () => {
    half();
    const { sockets, socket } = await clientInStoppedTime({ reconnect: { initialMs: 100, maxMs: 1_000 } });
    socket.end();
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 6; attempt++) {
      const before = Date.now();
      while (sockets.length <= attempt) await vi.advanceTimersByTimeAsync(10);
      waits.push(Date.now() - before);
      sockets[attempt].end();
    }
    expect(waits).toEqual([50, 100, 200, 400, 500, 500]);
  });

  it('after short waits again once a connection was of use, but not for a mere hello', async () => {
    half();
    const { client, sockets, socket } = await clientInStoppedTime();
    socket.end();
    await vi.advanceTimersByTimeAsync(50);
    sockets[1].answerTime = undefined;
    sockets[1].greet();
    sockets[1].end();
    await vi.advanceTimersByTimeAsync(99);
    expect(sockets).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    sockets[2].greet();
    const reading = client.read('s');
    await Promise.resolve();
    sockets[2].deliver(agree(sockets[2].commands[0]));
    await reading;
    sockets[2].end();
    await vi.advanceTimersByTimeAsync(50);
    expect(sockets).toHaveLength(4);
  });

  it.each([
    [0, 1],
    [1, 2],
    [3, 4],
  ])('at most %i times in a row where that is set', async (attempts, expected) => {
    const { client, sockets, socket } = await clientInStoppedTime({ reconnect: { attempts } });
    const outcome = errorOf(client.read('s'));
    await Promise.resolve();
    socket.end();
    for (let i = 1; i < expected; i++) {
      await vi.advanceTimersByTimeAsync(400);
      sockets[i].end();
    }
    expect(await outcome).toMatchObject({ code: 'CLOSED', details: { closeCode: 1006, sent: true } });
    await vi.advanceTimersByTimeAsync(60_000);
    expect([client.state, sockets.length]).toEqual(['closed', expected]);
  });

  it('not once it is closed', async () => {
    const { client, sockets, socket } = await clientInStoppedTime();
    socket.end();
    await client.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('when a new connection brings no hello in time', async () => {
    half();
    const { sockets, socket } = await clientInStoppedTime({ timeoutMs: 1_000 });
    socket.end();
    await vi.advanceTimersByTimeAsync(50 + 1_000 + 100);
    expect(sockets).toHaveLength(3);
    expect(sockets[1].closedWith).toBeDefined();
  });
});

describe('a state listener', () => {
  it('hears of each change and its cause until it is taken off', async () => {
    const { client, sockets, socket } = await clientInStoppedTime();
    const heard: unknown[] = [];
    const stop = client.onStateChange((state, error) => heard.push([state, error?.code, client.state]));
    socket.end(1001);
    await vi.advanceTimersByTimeAsync(100);
    sockets[1].end();
    await vi.advanceTimersByTimeAsync(200);
    sockets[2].greet();
    stop();
    sockets[2].end();
    expect(heard).toEqual([
      ['connecting', 'CLOSED', 'connecting'],
      ['open', undefined, 'open'],
    ]);
  });

  it('may close the client', async () => {
    const { client, sockets, socket } = await clientInStoppedTime();
    client.onStateChange((state) => {
      if (state === 'connecting') void client.close();
    });
    socket.end();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([client.state, sockets.length]).toEqual(['closed', 1]);
  });
});

describe('the wait before an attempt', () => {
  const bounds = { initialMs: 100, maxMs: 5_000 };
  it.each([
    [0, 0, 0],
    [0, 0.999, 99.9],
    [1, 0.5, 100],
    [5, 0.5, 1_600],
    [6, 0.5, 2_500],
    [1_000_000, 0.5, 2_500],
  ])('number %i with chance %d is %d ms', (attempt, chance, expected) => {
    expect(backoffMs(attempt, bounds, () => chance)).toBeCloseTo(expected);
  });
});
