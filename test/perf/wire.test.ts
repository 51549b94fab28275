import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import generate, { type Load } from '../../perf/load/generator.ts';
import { ServerProcess } from '../../perf/server-process.ts';
import {
  benchWire,
  ENGINE,
  HOLDFAST_SERVER,
  PATTERNS,
  SALE_PATTERNS,
  type WireOptions,
} from '../../perf/wire.ts';
import { Status } from '../../protocol/status.ts';
import { longEnough } from '../fixtures/long-enough.ts';

const TINY: Omit<Load, 'port'> = {
  answers: 'replies',
  connections: 3,
  framesInFlight: 4,
  commandsPerFrame: 5,
  framesPerWrite: 2,
  skus: 50,
  ttlMs: 50,
  warmUpMs: 20,
  measureMs: 150,
  // Ends with the last answer; so long only on a machine that is busy with something else.
  drainMs: 60_000,
};

describe('the load generator', () => {
  it.each([
    ['pipelined commands', {}],
    ['one command a frame', { commandsPerFrame: 1, framesInFlight: 50, framesPerWrite: 50 }],
    ['many commands a frame', { commandsPerFrame: 400, framesInFlight: 2, framesPerWrite: 2 }],
    ['one command in flight', { commandsPerFrame: 1, framesInFlight: 1, framesPerWrite: 1 }],
    ['one hot SKU', { skus: 1 }],
  ])('has every command answered: %s', async (_name, shape) => {
    await longEnough(150, async (measureMs) => {
      const result = await against({}, { ...shape, measureMs });
      expect(result.accepted).toBeGreaterThan(0);
      expect(result).toMatchObject({ sent: result.accepted, refused: {}, unanswered: 0 });
      expect(result.commandsPerSecond).toBeGreaterThan(0);
    });
  });

  it('counts refusals apart, by status', async () => {
    const { accepted, refused, unanswered, sent } = await against({ refuseEvery: 3 });
    expect(Object.keys(refused)).toEqual(['BUSY']);
    expect(refused.BUSY).toBe(Math.floor(sent / 3));
    expect(accepted + refused.BUSY).toBe(sent);
    expect(unanswered).toBe(0);
  });

  it('gives the rate of the answers that it is told to count', async () => {
    await longEnough(150, async (measureMs) => {
      const accepted = await against({ refuseEvery: 100 }, { measureMs });
      const busy = await against({ refuseEvery: 100 }, { counts: Status.BUSY, measureMs });
      expect(busy.commandsPerSecond).toBeGreaterThan(0);
      expect(busy.commandsPerSecond).toBeLessThan(accepted.commandsPerSecond / 10);
    });
  });

  it('counts what no answer came to', async () => {
    await longEnough(500, async (drainMs) => {
      const { accepted, unanswered, sent } = await against({ muteAfterFrames: 10 }, { drainMs });
      expect(accepted).toBe(10 * 5);
      // Twelve frames leave at once, and no answer comes to two of these.
      expect(unanswered).toBeGreaterThanOrEqual(2 * 5);
      expect(sent).toBe(accepted + unanswered);
    });
  });

  it('fails when a connection is closed', async () => {
    await expect(against({ closeAtFrame: 10 })).rejects.toThrow('closed the connection with 1008 told to');
  });

  it('fails when nobody listens', async () => {
    await expect(generate({ ...TINY, port: 1 })).rejects.toThrow('ECONNREFUSED');
  });

  it('times round trips when one command is in flight, and only then', async () => {
    await longEnough(150, async (measureMs) => {
      const single = await against({}, { commandsPerFrame: 1, framesInFlight: 1, measureMs });
      const { p50, p90, p99, p999, max } = single.latency ?? expect.unreachable('there are no latencies');
      expect(p50).toBeGreaterThan(0);
      expect([p50, p90, p99, p999, max]).toEqual([p50, p90, p99, p999, max].sort((a, b) => a - b));
    });
    expect((await against({})).latency).toBeNull();
  });
});

describe('the echo server', () => {
  let echo: ServerProcess;
  beforeAll(async () => {
    echo = await ServerProcess.start('echo server', [file('../../perf/echo-server.ts')]);
  });
  afterAll(() => echo.stop());

  it.each([1, 400])('sends back every frame of %i commands', async (commandsPerFrame) => {
    const result = await generate({ ...TINY, commandsPerFrame, answers: 'echo', port: await echo.port });
    expect(result.accepted).toBeGreaterThan(0);
    expect(result).toMatchObject({ sent: result.accepted, refused: {}, unanswered: 0 });
    expect(result.accepted % commandsPerFrame).toBe(0);
  });
});

describe('the wire benchmark', () => {
  it('compares with echo pattern by pattern, and finds the books right', async () => {
    // In so short a time, a busy machine may not answer anything.
    await longEnough(150, async (ms) => {
      const { echo, wire, books } = await benchWire({ ...tiny({ refuseEvery: 4 }), seconds: ms / 1000 });
      for (const name of ['onePerFrame', 'batched', 'oneInFlight'] as const) {
        const rate = wire[name] ?? expect.unreachable(name);
        expect(echo[name]?.commandsPerSecond).toBeGreaterThan(0);
        expect(rate.commandsPerSecond).toBeGreaterThan(0);
        expect(rate.shareOfEcho).toBeGreaterThan(0);
        expect(rate.refused).toBeGreaterThan(0);
        expect(rate.refusedBy).toEqual({ BUSY: rate.refused });
        expect(rate.unanswered).toBe(0);
        expect(rate.latency === null).toBe(name !== 'oneInFlight');
      }
      expect(books).toEqual({ violations: 0, available: 5e10, held: 0, sold: 0, total: 5e10 });
    });
  });

  it.each([
    ['units leaked', { leaked: 2 }, /books are .*"held":2/],
    ['the server ended under load', { dieAtFrame: 200 }, /ended by itself with 3[\s\S]*died as it was told/],
    ['the server did not stop with 0', { exitCode: 6 }, /stopped with 6/],
  ])('fails when %s', async (_name, standIn, message) => {
    const { onePerFrame } = PATTERNS;
    await expect(benchWire({ ...tiny(standIn), patterns: { onePerFrame } })).rejects.toThrow(message);
  });

  it('runs against Holdfast itself', async () => {
    const patterns = { ...PATTERNS, ...SALE_PATTERNS };
    const options = {
      ...tiny({}),
      patterns,
      keyed: ['hot'] as const,
      skus: 500,
      server: [...HOLDFAST_SERVER, ...ENGINE],
    };
    await longEnough(150, async (ms) => {
      const { wire, books } = await benchWire({ ...options, seconds: ms / 1000 });
      expect(Object.keys(wire)).toEqual(Object.keys(patterns));
      for (const [name, { commandsPerSecond, keyed, refusedBy, unanswered }] of Object.entries(wire)) {
        expect(commandsPerSecond).toBeGreaterThan(0);
        expect(unanswered).toBe(0);
        // On a machine that is busy with something else, the server may send some away for a moment.
        const reasons = Object.keys(refusedBy).filter((reason) => reason !== 'BUSY');
        expect(reasons).toEqual(name === 'flash' ? ['SOLD_OUT'] : []);
        expect((keyed?.shareOfKeyless ?? 0) > 0).toBe(name === 'hot');
      }
      expect(books).toEqual({ violations: 0, available: 5e11, held: 0, sold: 0, total: 5e11 });
    });
  });
});

async function against(standIn: object, load: Partial<Load> = {}) {
  const server = await ServerProcess.start('stand-in', standInServer(standIn));
  try {
    return await generate({ ...TINY, ...load, port: await server.port });
  } finally {
    await server.stop();
  }
}

function tiny(standIn: object): WireOptions {
  return {
    repeats: 1,
    seconds: 0.15,
    skus: 50,
    ttlMs: 50,
    patterns: PATTERNS,
    server: standInServer(standIn),
  };
}

function standInServer(standIn: object): string[] {
  return [file('./fixtures/stand-in.ts'), JSON.stringify(standIn)];
}

function file(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}
