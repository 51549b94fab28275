import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { ScaleRun } from '../../perf/scale/measure.ts';
import { type Costs, commandUs, costOf, predict, rateOf, turnsOf } from '../../perf/scale/model.ts';
import { outlookOf } from '../../perf/scale/predict.ts';
import { renderScale, type ScaleResult } from '../../perf/scale/table.ts';
import { longEnough } from '../fixtures/long-enough.ts';

describe('the cost of a command', () => {
  it.each([
    [1.4, 0.401, { perCommandUs: 0.3985, perFrameUs: 1.0015 }],
    // The same for every size is nothing for the frame.
    [0.5, 0.5, { perCommandUs: 0.5, perFrameUs: 0 }],
    // Noise must not become a negative cost.
    [0.4, 0.5, { perCommandUs: 0.5, perFrameUs: 0 }],
    [1000, 1, { perCommandUs: 0, perFrameUs: 1001.5 }],
  ])('of %d µs one a frame and %d µs 400 a frame is %j', (alone, together, expected) => {
    const cost = costOf({ commandsPerFrame: 1, us: alone }, { commandsPerFrame: 400, us: together });
    expect(cost.perCommandUs).toBeCloseTo(expected.perCommandUs, 2);
    expect(cost.perFrameUs).toBeCloseTo(expected.perFrameUs, 2);
  });

  it('goes through both measurements', () => {
    const cost = costOf({ commandsPerFrame: 2, us: 3 }, { commandsPerFrame: 10, us: 1 });
    expect(commandUs(cost, 2)).toBeCloseTo(3, 9);
    expect(commandUs(cost, 10)).toBeCloseTo(1, 9);
  });

  it('cannot come from two frames of one size', () => {
    const same = { commandsPerFrame: 5, us: 1 };
    expect(() => costOf(same, same)).toThrow(RangeError);
  });
});

describe('the rate of a split', () => {
  const us = { front: 1, shard: 0.5, storage: 0.25 };
  it.each([
    [{ cores: 64, fronts: 1, workers: 8 }, 1_000_000, 'front'],
    [{ cores: 64, fronts: 8, workers: 1 }, 2_000_000, 'shard'],
    [{ cores: 64, fronts: 8, workers: 8 }, 4_000_000, 'storage'],
    // 1.75 µs of two cores for each.
    [{ cores: 1, fronts: 1, workers: 1 }, 1e6 / 1.75, 'cores'],
  ] as const)('%j is %d, limited by %s', (split, commandsPerSecond, limit) => {
    const rate = rateOf(us, split);
    expect(rate.commandsPerSecond).toBeCloseTo(commandsPerSecond, 3);
    expect(rate.limit).toBe(limit);
  });

  it.each([
    [{ us: 0.25, threads: 1 }, 1_000_000, 'front'],
    [{ us: 0.5, threads: 1 }, 2e6 / 2.25, 'cores'],
    [{ us: 4, threads: 3 }, 2e6 / 5.75, 'cores'],
    [{ us: 4, threads: 1 }, 250_000, 'generator'],
  ] as const)('beside a load generator %j is %d, limited by %s', (generator, commandsPerSecond, limit) => {
    const rate = rateOf(us, { cores: 2, fronts: 1, workers: 2 }, generator);
    expect(rate.limit).toBe(limit);
    expect(rate.commandsPerSecond).toBeCloseTo(commandsPerSecond, 3);
  });
});

describe('the prediction', () => {
  /** A front passes on as much as four workers take, and storage takes what six fronts pass on. */
  const costs = flat({ front: 0.25, shard: 1, storage: 0.25 / 6 });

  it.each([
    // Three threads on fewer cores share them: 1.29 µs of CPU a command.
    [1, 1, 1, 1e6 / (1.25 + 0.25 / 6), 'cores'],
    [3, 1, 1, 1e6, 'shard'],
    [4, 1, 2, 2e6, 'shard'],
    // Four workers and a front are equal, and both have time for no more.
    [6, 1, 4, 4e6, 'front'],
    // A second front alone gives nothing, and a fifth worker neither.
    [7, 1, 4, 4e6, 'front'],
    [8, 2, 5, 5e6, 'shard'],
    [11, 2, 8, 8e6, 'front'],
    // Six fronts, 24 workers and storage are all at their end.
    [31, 6, 24, 24e6, 'front'],
    [64, 6, 24, 24e6, 'front'],
  ] as const)(
    'for %d cores is %d fronts and %d workers: %d/s, limited by %s',
    (cores, fronts, workers, rate, limit) => {
      const prediction = predict(costs, 1, cores);
      expect(prediction).toMatchObject({ cores, fronts, workers, limit });
      expect(prediction.commandsPerSecond).toBeCloseTo(rate, 0);
    },
  );

  it('keeps to one worker for one SKU, and to one front where there is one', () => {
    expect(predict(costs, 1, 31)).toMatchObject({ hotPerSecond: 1e6, oneFrontPerSecond: 4e6 });
  });

  it('says where single threads take over', () => {
    expect(turnsOf(costs, 1, 64)).toEqual({ oneFrontIsLimit: 6, frontsPay: 8, storageIsLimit: null });
    const slowStorage = { ...costs, storage: { perCommandUs: 0.4, perFrameUs: 0 } };
    // 2.5 M/s are more than two workers give and less than three.
    expect(turnsOf(slowStorage, 1, 64)).toEqual({
      oneFrontIsLimit: null,
      frontsPay: null,
      storageIsLimit: 5,
    });
  });

  it('counts the cost of a frame once for all its commands', () => {
    const framed: Costs = { ...costs, front: { perCommandUs: 0.25, perFrameUs: 0.75 } };
    expect(predict(framed, 1, 64).oneFrontPerSecond).toBeCloseTo(1e6, 0);
    expect(predict(framed, 3, 64).oneFrontPerSecond).toBeCloseTo(2e6, 0);
  });
});

describe('the outlook', () => {
  const run = (
    workers: number,
    commandsPerFrame: number,
    commandsPerSecond: number,
    front: number,
  ): ScaleRun => ({
    ...{ workers, commandsPerFrame, commandsPerSecond },
    ...{ spread: [1, 2], timesFirst: 1, limit: 'a limit', refused: 0, unanswered: 0 },
    us: { front, shard: 0.5, storage: 0.25, generator: 0.5 },
  });
  const runs = [run(1, 1, 1e6, 1), run(1, 400, 2e6, 0.0025), run(2, 1, 500_000, 9), run(1, 20, 1e6, 9)];
  const outlook = outlookOf(runs, [4], { cores: 2, generators: 1 });

  it('holds what the costs were not made from against what they predict', () => {
    const at = outlook.checks.map(({ workers, commandsPerFrame, limit, error }) => [
      workers,
      commandsPerFrame,
      limit,
      error,
    ]);
    // 2 cores for 2.25 µs a command, and for 1.3 µs.
    expect(at).toEqual([
      [2, 1, 'cores', 0.778],
      [1, 20, 'cores', 0.538],
    ]);
  });

  it('is of the smallest and the largest frames', () => {
    expect(outlook.costs.front).toEqual({ perCommandUs: 0, perFrameUs: 1 });
    expect(outlook.frames.map(({ commandsPerFrame }) => commandsPerFrame)).toEqual([1, 400]);
    expect(outlook.frames[0].cores[0].oneFrontPerSecond).toBeCloseTo(1e6, 0);
  });

  it('stands in tables, marked where it is not to be trusted', () => {
    const result: ScaleResult = {
      machine: { cpu: 'A CPU', cores: 2, memoryGiB: 8, kernel: 'linux 6', node: 'v22', loadAverage: 0.1 },
      disk: { fileSystem: 'ext4', device: '/dev/vda', real: true, syncUs: 50, longestSyncUs: 300 },
      ...{ steal: 7, others: 0, trusted: false, books: [], runs },
      ...outlook,
    };
    const text = renderScale(result);
    expect(text).toMatch(/^2 workers, one a frame +500,000 +1 +2 +1\.00 × +a limit$/m);
    expect(text).toMatch(/^front +0\.000 +1\.000$/m);
    expect(text).toMatch(/^2 workers, one a frame +888,889 +500,000 +\+78 % +all cores together$/m);
    expect(text).toMatch(/^4 cores +2,000,000 +2 \+ 1 \+ 1 +1,000,000 +2,000,000 +fronts$/m);
    expect(text).toMatch(/^The host or other processes took more than 5 % of the CPU: not to be trusted\.$/m);
    expect(renderScale({ ...result, trusted: true })).not.toContain('trusted');
    const inMemory = { ...result, disk: { ...result.disk, real: false } };
    expect(renderScale(inMemory)).toMatch(/^The stores were in memory.*: not to be trusted\.$/m);
  });
});

describe('a scale run', () => {
  it('measures each number of workers and predicts from it, and the books are right', async () => {
    await longEnough(300, scales);
  }, 600_000);

  async function scales(ms: number): Promise<void> {
    const main = fileURLToPath(new URL('../../perf/scale/main.ts', import.meta.url));
    // What is tiny lasts 300 ms, in which a busy machine may do nothing.
    const length = ms === 300 ? ['--tiny'] : ['--repeats', '1', '--seconds', String(Math.min(ms / 1000, 5))];
    const options = [...length, '--json', '--skus', '500'];
    const { stdout } = await promisify(execFile)(process.execPath, [main, ...options]);
    const { runs, checks, frames, costs, books } = JSON.parse(stdout) as ScaleResult;
    expect(runs.map(({ workers, commandsPerFrame }) => [workers, commandsPerFrame]).slice(0, 2)).toEqual([
      [1, 1],
      [2, 1],
    ]);
    for (const { commandsPerSecond, us, unanswered } of runs) {
      expect(commandsPerSecond).toBeGreaterThan(0);
      expect(unanswered).toBe(0);
      expect(us.generator).toBeGreaterThan(0);
    }
    expect(Object.keys(costs)).toEqual(['front', 'shard', 'storage']);
    expect(checks).toHaveLength(runs.length - 2);
    expect(frames.map(({ cores }) => cores.map((of) => of.cores))).toEqual([
      [4, 8, 16, 32, 64],
      [4, 8, 16, 32, 64],
    ]);
    expect(books.length).toBe(new Set(runs.map(({ workers }) => workers)).size);
    for (const own of books) expect(own).toMatchObject({ violations: 0, held: 0, total: 5e11 });
  }
});

function flat({ front, shard, storage }: { front: number; shard: number; storage: number }): Costs {
  const cost = (perCommandUs: number) => ({ perCommandUs, perFrameUs: 0 });
  return { front: cost(front), shard: cost(shard), storage: cost(storage) };
}
