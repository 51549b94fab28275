import { describe, expect, it } from 'vitest';
import { joinFrames } from '../../src/client/codec.ts';
import { clientAndServer } from './fixtures/client.ts';
import { agree, type Command, hello } from './fixtures/wire.ts';

describe('commands of one turn', () => {
  it('leave in one frame, in the order of the calls', async () => {
    const { client, server } = await clientAndServer();
    const skus = Array.from({ length: 200 }, (_, index) => `sku-${index}`);
    await Promise.all(skus.map((sku) => client.hold({ sku, ttl: 1_000 })));
    expect(server.connections[0].frames.map((frame) => frame.map((command) => command[2]))).toEqual([skus]);
  });

  it('leave together also when the answers of one frame gave rise to them', async () => {
    const { client, server } = await clientAndServer();
    const buy = async () => (await client.hold({ sku: 's', ttl: 1_000 })).confirm();
    await Promise.all([buy(), buy(), buy()]);
    expect(server.connections[0].frames.map((frame) => frame.length)).toEqual([3, 3]);
  });

  it('have request ids of their own', async () => {
    const { client, server } = await clientAndServer();
    await Promise.all([client.read('a'), client.read('b'), client.read('c')]);
    await client.read('d');
    expect(new Set(server.connections[0].commands.map((command) => command[1])).size).toBe(4);
  });

  it('of another turn leave in another frame', async () => {
    const { client, server } = await clientAndServer();
    const first = client.read('a');
    await new Promise((resolve) => setTimeout(resolve));
    await Promise.all([first, client.read('b')]);
    expect(server.connections[0].frames).toHaveLength(2);
  });

  it('are spread over frames of the size that the hello allows', async () => {
    const limits = { maxFrameBytes: 300 };
    const { client, server } = await clientAndServer({ greeting: [hello({ limits })] });
    await Promise.all(Array.from({ length: 40 }, () => client.hold({ sku: 'x'.repeat(40), ttl: 1_000 })));
    const [connection] = server.connections;
    expect(connection.commands).toHaveLength(40);
    expect(Math.max(...connection.frameBytes)).toBeLessThanOrEqual(300);
    expect(Math.min(...connection.frameBytes.slice(0, -1))).toBeGreaterThan(200);
  });
});

describe('frames', () => {
  const bytes = (...lengths: number[]) =>
    lengths.map((length, index) => new Uint8Array(length).fill(index + 1));
  const cases: [string, number[], number, number[]][] = [
    ['nothing', [], 10, []],
    ['one command', [4], 10, [4]],
    ['what just fits', [4, 6], 10, [10]],
    ['one byte too many', [4, 7], 10, [4, 7]],
    ['many', [5, 5, 5, 5, 1], 10, [10, 10, 1]],
    ['a command that is larger than a frame goes alone', [3, 12, 3], 10, [3, 12, 3]],
  ];

  it.each(cases)('%s', (_name, lengths, max, expected) => {
    const commands = bytes(...lengths);
    const frames = joinFrames(commands, max);
    expect(frames.map((frame) => frame.length)).toEqual(expected);
    expect(frames.flatMap((frame) => [...frame])).toEqual(commands.flatMap((command) => [...command]));
  });
});

describe('replies', () => {
  it('find their calls whatever their order and their frames', async () => {
    const waiting: Command[] = [];
    const { client } = await clientAndServer({
      answer: (command, connection) => {
        if (command[0] !== 7) return agree(command);
        waiting.push(command);
        if (waiting.length < 5) return undefined;
        const answers = waiting.map(([, id, sku]) => [id, 0, Number(sku), 0, 0, Number(sku), 0, 0, 0, 0]);
        connection.send(answers[3], answers[0]);
        connection.send(answers[4]);
        connection.send(answers[2], answers[1]);
        return undefined;
      },
    });
    const readings = await Promise.all(['0', '1', '2', '3', '4'].map((sku) => client.read(sku)));
    expect(readings.map((reading) => reading.available)).toEqual([0, 1, 2, 3, 4]);
  });

  it('to nobody are passed over', async () => {
    const { client, server } = await clientAndServer();
    server.connections[0].send([999, 0, 1], [1_000, 2, 5]);
    expect((await client.read('s')).total).toBe(10);
  });

  it('and pushes that are unknown are passed over', async () => {
    const { client, server } = await clientAndServer();
    server.connections[0].send([0, 77, 'news of a later version']);
    expect((await client.read('s')).total).toBe(10);
    expect(client.state).toBe('open');
  });
});
