import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { BUCKETS, bucketOf, bucketUpperUs, percentileUs } from '../../src/shard/stage-histogram.ts';
import {
  limitOf,
  STAGES,
  type StageHistogram,
  type StageReport,
  stagesBetween,
} from '../../src/shard/stage-report.ts';

const upperUs = bucketUpperUs();

describe('the buckets of a stage', () => {
  it.each([
    [-3, 0],
    [0, 0],
    [7, 7],
    [8, 8],
    [15, 15],
    [16, 16],
    [17, 16],
    [18, 17],
    [2 ** 27 - 1, BUCKETS - 1],
    [2 ** 27, BUCKETS - 1],
    [2 ** 31 - 1, BUCKETS - 1],
  ])('count %i µs in bucket %i', (us, bucket) => {
    expect(bucketOf(us)).toBe(bucket);
  });

  it('follow one another without a gap, none wider than an eighth of its times', () => {
    expect(upperUs).toHaveLength(BUCKETS);
    for (let bucket = 1; bucket < BUCKETS; bucket++) {
      const [lower, upper] = [upperUs[bucket - 1], upperUs[bucket]];
      expect([bucketOf(lower), bucketOf(upper - 1)]).toEqual([bucket, bucket]);
      expect(upper - lower).toBeLessThanOrEqual(Math.max(1, lower / 8));
    }
  });

  it('give percentiles that are at most an eighth too long', () => {
    const random = new Prng(7);
    const times = Array.from({ length: 5000 }, () => Math.floor(2 ** (random.below(1600) / 100)));
    const counts = new Array(BUCKETS).fill(0);
    for (const us of times) counts[bucketOf(us)]++;
    times.sort((one, other) => one - other);
    for (const share of [0, 0.5, 0.99, 0.999, 1]) {
      const exact = times[Math.max(0, Math.ceil(share * times.length) - 1)];
      const read = percentileUs(counts, upperUs, share);
      expect(read).toBeGreaterThanOrEqual(exact);
      expect(read).toBeLessThanOrEqual(exact * 1.125);
    }
    expect(percentileUs(new Array(BUCKETS).fill(0), upperUs, 0.5)).toBe(0);
  });
});

describe('the limit', () => {
  const threads = (...shares: [string, number, number?, ('disk' | 'network')?][]) =>
    shares.map(([name, busy, io = 0, waitsFor]) => ({
      name,
      busy,
      cpu: busy,
      io,
      ...(waitsFor && { waitsFor }),
    }));

  it.each([
    [threads(), 'no thread was measured'],
    [threads(['front-0', 0.97], ['shard-0', 0.9]), 'front is the limit: 97 % busy'],
    [
      [{ name: 'shard-0', busy: 0.98, cpu: 0.6, io: 0 }],
      'shard-0 is the limit: 98 % busy, but with a core for 60 % only: the machine has too few',
    ],
    [[{ name: 'shard-0', busy: 0.98, cpu: 0.8, io: 0 }], 'shard-0 is the limit: 98 % busy'],
    [threads(['front-0', 0.5], ['front-1', 0.3], ['shard-0', 0.86]), 'shard-0 is the limit: 86 % busy'],
    [threads(['front-0', 0.97], ['front-1', 0.3]), 'front-0 is the limit: 97 % busy'],
    [threads(['front-0', 0.84], ['storage', 0.1, 0.88]), 'storage waits for the disk: 88 % in fdatasync'],
    [
      threads(['front-0', 0.4], ['storage', 0.3, 0.6]),
      'storage waits for the disk: 60 % in fdatasync, 30 % busy',
    ],
    [threads(['storage', 0.02, 0.95, 'network']), 'storage waits for the network: 95 % of its time'],
    [threads(['front-0', 0.9], ['storage', 0, 0.99]), 'front is the limit: 90 % busy'],
    [
      threads(['front-0', 0.2], ['shard-0', 0.41], ['storage', 0.1, 0.2]),
      'no thread is the limit: the busiest, shard-0, is 41 % busy',
    ],
    [threads(['front-0', 0.84]), 'no thread is the limit: the busiest, front, is 84 % busy'],
  ])('of %j is said as: %s', (shares, line) => {
    expect(limitOf(shares)).toBe(line);
  });
});

describe('two reports', () => {
  const histogram = (times: number[]): StageHistogram => {
    const buckets = new Array(BUCKETS).fill(0);
    for (const us of times) buckets[bucketOf(us)]++;
    return { count: times.length, sumUs: times.reduce((sum, us) => sum + us, 0), buckets };
  };
  const empty = { waitingCommands: 0, ringFill: 0 };
  const report = (atMs: number, queues: number[][], busyUs: number): StageReport => ({
    atMs,
    fronts: 1,
    sampledOneIn: 4,
    bucketUpperUs: upperUs,
    threads: [
      { name: 'front-0', busyUs, idleUs: atMs * 1000 - busyUs, cpuUs: busyUs },
      { name: 'storage', busyUs: atMs * 100, idleUs: atMs * 400, ioUs: atMs * 500, cpuUs: atMs * 100 },
    ],
    workers: queues.map((queue, worker) => ({
      worker,
      waitingCommands: atMs,
      waitingReplies: 0,
      commandRingFill: 0.5,
      replyRingFill: 0,
      eventRingFill: 0,
      lanes: { settle: empty, vip: empty, normal: { waitingCommands: atMs, ringFill: 0.5 } },
      stages: {
        read: histogram([]),
        queue: histogram(queue),
        apply: histogram([1]),
        durable: histogram([]),
        send: histogram([]),
      },
    })),
  });

  it('tell what happened between them', () => {
    const before = report(1000, [[5, 5], [3]], 100_000);
    const after = report(3000, [[5, 5, 1, 1, 4], [3]], 1_900_000);
    const between = stagesBetween(before, after);
    const queue = { count: 3, meanUs: 2, p50Us: 1, p99Us: 4, p999Us: 4 };
    const nothing = { count: 0, meanUs: 0, p50Us: 0, p99Us: 0, p999Us: 0 };
    expect(between).toMatchObject({ fromMs: 1000, toMs: 3000, limit: 'front is the limit: 90 % busy' });
    expect(between.threads).toEqual([
      { name: 'front-0', busy: 0.9, cpu: 0.9, io: 0 },
      { name: 'storage', busy: 0.1, cpu: 0.1, io: 0.5 },
    ]);
    expect(between.workers.map((worker) => worker.stages.queue)).toEqual([queue, nothing]);
    expect(between.workers[0]).toMatchObject({ worker: 0, waitingCommands: 3000, commandRingFill: 0.5 });
    expect(between.stages.queue).toEqual(queue);
    expect(Object.keys(between.stages)).toEqual([...STAGES]);
    for (const stage of STAGES) if (stage !== 'queue') expect(between.stages[stage]).toEqual(nothing);
  });

  it('add up over workers, and count what is new from zero', () => {
    const between = stagesBetween(
      { ...report(1000, [[8]], 0), threads: [] },
      report(
        2000,
        [
          [8, 2],
          [6, 6],
        ],
        0,
      ),
    );
    expect(between.stages.queue).toEqual({ count: 3, meanUs: 14 / 3, p50Us: 6, p99Us: 6, p999Us: 6 });
    expect(between.workers[1].stages.queue.count).toBe(2);
    expect(between.threads[0]).toEqual({ name: 'front-0', busy: 0, cpu: 0, io: 0 });
  });

  it('of the same instant tell of nothing', () => {
    const one = report(1000, [[5]], 100_000);
    expect(stagesBetween(one, one)).toMatchObject({
      threads: [
        { busy: 0, io: 0 },
        { busy: 0, io: 0 },
      ],
      limit: 'no thread is the limit: the busiest, front, is 0 % busy',
    });
  });
});
