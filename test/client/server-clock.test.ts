import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { monotonicMs, ServerClock } from '../../src/client/server-clock.ts';
import { clientInStoppedTime } from './fixtures/client.ts';
import { fakeSockets } from './fixtures/fake-socket.ts';
import { type Command, u64 } from './fixtures/wire.ts';

const HOUR = 3_600_000;

function stopTime(): void {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
}

describe('the server time', () => {
  it('is the local time before anything is known', () => {
    stopTime();
    expect(new ServerClock().now()).toBe(Date.now());
  });

  it('follows the hello, and goes on with the local clock', () => {
    stopTime();
    const clock = new ServerClock();
    clock.greet(5_000, monotonicMs() - 30, monotonicMs());
    vi.advanceTimersByTime(1_000);
    expect(clock.now()).toBe(6_000);
  });

  it('does not follow jumps of the local clock', () => {
    stopTime();
    const clock = new ServerClock();
    clock.greet(5_000, monotonicMs(), monotonicMs());
    vi.setSystemTime(Date.now() + HOUR);
    expect(clock.now()).toBe(5_000);
    expect(clock.toLocal(6_000)).toBe(Date.now() + 1_000);
  });

  /** Samples as [how long after the one before it is taken, round trip, what it says beyond the true time]. */
  const samples: [string, [number, number, number][], number][] = [
    ['the middle of a round trip counts', [[0, 100, 0]], 0],
    [
      'a shorter round trip counts more',
      [
        [0, 100, 40],
        [10, 20, 3],
      ],
      3,
    ],
    [
      'a longer one counts less',
      [
        [0, 20, 3],
        [10, 100, 40],
      ],
      3,
    ],
    [
      'one as long counts, as it is newer',
      [
        [0, 20, 3],
        [10, 20, 4],
      ],
      4,
    ],
    [
      'a longer one counts once the other is old',
      [
        [0, 20, 3],
        [10 * 60_000, 100, 40],
      ],
      40,
    ],
    [
      'one far longer does not count even then',
      [
        [0, 20, 3],
        [10 * 60_000, 1_000, 400],
      ],
      3,
    ],
  ];
  it.each(samples)('%s', (_name, taken, expected) => {
    stopTime();
    const clock = new ServerClock();
    const origin = monotonicMs();
    const trueTime = () => 1_000_000 + monotonicMs() - origin;
    clock.greet(trueTime() - 700, origin - 1_500, origin);
    for (const [pauseMs, roundTrip, wrong] of taken) {
      vi.advanceTimersByTime(pauseMs);
      const sentAt = monotonicMs();
      vi.advanceTimersByTime(roundTrip);
      clock.sample(trueTime() - roundTrip / 2 + wrong, sentAt, monotonicMs());
    }
    expect(clock.now() - trueTime()).toBeCloseTo(expected);
  });

  it('starts anew with each hello', () => {
    stopTime();
    const clock = new ServerClock();
    clock.greet(5_000, monotonicMs(), monotonicMs());
    clock.sample(5_000, monotonicMs(), monotonicMs());
    clock.greet(9_000, monotonicMs() - 400, monotonicMs());
    expect(clock.now()).toBe(9_000);
    clock.sample(9_300, monotonicMs() - 200, monotonicMs());
    expect(clock.now()).toBe(9_400);
  });
});

describe('a client', () => {
  it('corrects deadlines and serverNow() by a server that is an hour ahead', async () => {
    stopTime();
    const { webSocket, sockets } = fakeSockets();
    const connecting = connect('ws://fake/', { webSocket });
    const [socket] = sockets;
    const asked: Command[] = [];
    socket.answerTime = (command) => asked.push(command);
    await vi.advanceTimersByTimeAsync(80);
    // The hello is 40 ms old when it comes, so what it says is behind.
    socket.greet({ serverTime: Date.now() + HOUR - 40 });
    const client = await connecting;
    expect(client.serverNow() - Date.now()).toBe(HOUR - 40);
    await vi.advanceTimersByTimeAsync(60);
    socket.deliver([asked[0][1], 0, u64(Date.now() + HOUR - 30)]);
    expect(client.serverNow() - Date.now()).toBe(HOUR);

    const holding = client.hold({ sku: 's', ttl: 10_000 });
    await Promise.resolve();
    socket.deliver([socket.commands[0][1], 0, 77, u64(Date.now() + HOUR + 10_000)]);
    const hold = await holding;
    expect(hold.expiresAt - Date.now()).toBe(10_000);
    expect(hold.serverExpiresAt).toBe(Date.now() + HOUR + 10_000);
  });

  it('asks for the time on each connection at once, and then once a minute along with other commands', async () => {
    const { client, sockets, socket } = await clientInStoppedTime();
    let asked = 0;
    socket.answerTime = ([, id]) => {
      asked++;
      socket.deliver([id, 0, u64(Date.now())]);
    };
    const read = async () => {
      const reading = client.read('s');
      await Promise.resolve();
      socket.deliver([(socket.commands.at(-1) as Command)[1], 0, 0, 0, 0, 0, 0, 0, 0, 0]);
      await reading;
    };
    await read();
    expect(asked).toBe(0);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(0);
    await read();
    await read();
    expect(asked).toBe(1);
    socket.end();
    await vi.advanceTimersByTimeAsync(100);
    const next = vi.fn();
    sockets[1].answerTime = next;
    sockets[1].greet();
    expect(next).toHaveBeenCalledOnce();
  });

  it('is not disturbed when the time is not answered', async () => {
    stopTime();
    const { webSocket, sockets } = fakeSockets();
    const connecting = connect('ws://fake/', { webSocket });
    sockets[0].answerTime = undefined;
    sockets[0].greet();
    const client = await connecting;
    await vi.advanceTimersByTimeAsync(1);
    sockets[0].deliver([0, 77]);
    await vi.advanceTimersByTimeAsync(6_000);
    expect(client.state).toBe('open');
  });

  it('time() resolves to the server time, and sharpens the clock', async () => {
    const { client, socket } = await clientInStoppedTime();
    socket.answerTime = ([, id]) => socket.deliver([id, 0, u64(Date.now() + 5)]);
    const now = Date.now();
    expect(await client.time()).toBe(now + 5);
    expect(client.serverNow()).toBe(now + 5);
  });
});
