import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import generateOpenLoop, { type OpenLoad } from '../../perf/load/open-loop.ts';
import { ServerProcess } from '../../perf/server-process.ts';
import { longEnough } from '../fixtures/long-enough.ts';
import { standStillOnce } from './fixtures/late-generator.ts';

const TINY: Omit<OpenLoad, 'port'> = {
  answers: 'replies',
  connections: 7,
  ratePerSecond: 1000,
  skus: 50,
  ttlMs: 50,
  warmUpMs: 50,
  measureMs: 250,
  // Ends with the last answer; so long only on a machine that is busy with something else.
  drainMs: 60_000,
};
const COMMANDS = 300;

describe('the open loop', () => {
  it.each([1000, 200, 3333])('sends %i commands a second, and has each answered', async (ratePerSecond) => {
    const result = await against(standIn({}), { ratePerSecond });
    const sent = Math.floor(ratePerSecond * 0.3);
    expect(result).toMatchObject({ sent, accepted: sent, refused: {}, unanswered: 0 });
    const { p50, p90, p99, p999 } = result.latency;
    expect(p50).toBeGreaterThan(0);
    expect([p50, p90, p99, p999]).toEqual([p50, p90, p99, p999].sort((a, b) => a - b));
  });

  it('counts the echoes of its frames', async () => {
    const echo = [fileURLToPath(new URL('../../perf/echo-server.ts', import.meta.url))];
    const result = await against(echo, { answers: 'echo' });
    expect(result).toMatchObject({ sent: COMMANDS, accepted: COMMANDS, refused: {}, unanswered: 0 });
    expect(result.latency.p50).toBeGreaterThan(0);
  });

  it('counts refusals apart, by status', async () => {
    const { accepted, refused, sent } = await against(standIn({ refuseEvery: 3 }));
    expect(refused).toEqual({ BUSY: sent / 3 });
    expect(accepted).toBe((sent * 2) / 3);
  });

  it('counts what no answer came to', async () => {
    await longEnough(50, async (drainMs) => {
      const result = await against(standIn({ muteAfterFrames: 100 }), { drainMs });
      expect(result).toMatchObject({ accepted: 100, unanswered: COMMANDS - 100, sent: COMMANDS });
    });
  });

  it('goes on sending while the server stands still, and counts that wait for every command', async () => {
    const pauseMs = 400;
    const { sent, accepted, latency } = await against(standIn({ pauseMs }), { warmUpMs: 0, measureMs: 300 });
    expect(accepted).toBe(sent);
    // All but the first 20 commands are due while it stands still, and none less than 100 ms before it goes on.
    expect(latency.p50).toBeGreaterThan(200_000);
    expect(latency.p90).toBeLessThanOrEqual(latency.max);
    expect(latency.max).toBeGreaterThan(350_000);
  });

  it('counts it too when a command leaves late', async () => {
    const load = { warmUpMs: 0, measureMs: 900, ratePerSecond: 500 };
    standStillOnce(300, 500);
    const { sent, accepted, latency, lateSends } = await against(standIn({}), load);
    expect(accepted).toBe(sent);
    // More than a fifth of all commands were due in the first 300 ms of these 500.
    expect(lateSends.p90).toBeGreaterThan(200_000);
    expect(latency.p90).toBeGreaterThan(200_000);
  });

  it('fails when a connection is closed', async () => {
    await expect(against(standIn({ closeAtFrame: 10 }))).rejects.toThrow('closed the connection with 1008');
  });
});

function standIn(options: object): string[] {
  return [fileURLToPath(new URL('./fixtures/stand-in.ts', import.meta.url)), JSON.stringify(options)];
}

async function against(server: string[], load: Partial<OpenLoad> = {}) {
  const process = await ServerProcess.start('stand-in', server);
  try {
    return await generateOpenLoop({ ...TINY, ...load, port: await process.port });
  } finally {
    await process.stop();
  }
}
