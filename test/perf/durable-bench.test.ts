import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { DurableResult } from '../../perf/durable/durable.ts';
import { benchJournal, type JournalResult } from '../../perf/durable/journal.ts';
import { mountOf, Place, parseMounts } from '../../perf/durable/place.ts';
import type { SteadyLatency } from '../../perf/durable/steady.ts';
import { renderReport } from '../../perf/report.ts';
import type { Report } from '../../perf/suite.ts';
import { limitsOf, targetsOf } from '../../perf/targets.ts';
import { PATTERNS } from '../../perf/wire.ts';

describe('the place of the stores', () => {
  const MOUNTS = parseMounts(
    [
      '21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
      '22 21 0:20 / /tmp rw - tmpfs tmpfs rw',
      '23 21 8:1 / /mnt/two\\040words rw master:1 - xfs /dev/sda1 rw',
      '24 22 0:30 / /tmp/over rw - overlay none rw',
      'what is no line',
    ].join('\n'),
  );

  it.each([
    ['/tmp', 'tmpfs'],
    ['/tmp/holdfast', 'tmpfs'],
    ['/tmpfile', 'ext4'],
    ['/tmp/over/x', 'overlay'],
    ['/mnt/two words/x', 'xfs'],
    ['/', 'ext4'],
  ])('%s lies on %s', (path, type) => {
    expect(mountOf(path, MOUNTS).type).toBe(type);
  });

  it('is unknown where the system does not tell', () => {
    expect(mountOf('/tmp', []).type).toBe('unknown');
  });

  it('is a directory that is removed again, on a file system that is named', () => {
    const place = new Place(tmpdir());
    expect(existsSync(place.directory)).toBe(true);
    expect(place.next()).not.toBe(place.next());
    expect(place.disk.fileSystem).toMatch(/^\w+$/);
    expect(place.disk.longestSyncUs).toBeGreaterThanOrEqual(place.disk.syncUs);
    mkdirSync(join(place.next(), 'journal'), { recursive: true });
    place.clear();
    expect(readdirSync(place.directory)).toEqual([]);
    place.remove();
    expect(existsSync(place.directory)).toBe(false);
  });
});

describe('the benchmark of the journal', () => {
  const OPTIONS = { repeats: 1, seconds: 0.1, skus: 400, ttlMs: 50, keyed: true };
  const standIn = (options: object) => [
    fileURLToPath(new URL('./fixtures/stand-in.ts', import.meta.url)),
    JSON.stringify(options),
  ];

  it('fails when a start has lost what was there', async () => {
    // The stand-in keeps nothing: each of its processes begins with nothing stocked.
    await expect(benchJournal({ ...OPTIONS, server: standIn({}) })).rejects.toThrow(
      /books are .*"total":0.*had to be .*"total":400000000000/,
    );
  });

  it('fails when holds were refused', async () => {
    const server = standIn({ refuseEvery: 3 });
    await expect(benchJournal({ ...OPTIONS, server })).rejects.toThrow(/Only \d+ of \d+ holds were accepted/);
  });

  it('fails when the store cannot be had', async () => {
    const server = [join(tmpdir(), 'no-such-file.ts')];
    await expect(benchJournal({ ...OPTIONS, server })).rejects.toThrow(/ended by itself/);
  });
});

describe('the figures of durability', () => {
  const met = (report: Report) =>
    [...targetsOf(report), ...limitsOf(report)].map((row) => [row.name, row.met]);

  it('are held against their targets and limits: just enough', () => {
    expect(met(report())).toEqual([
      ['durable, one command a frame', true],
      ['durable, one command a frame, of echo', true],
      ['durable, one command a frame, keys', true],
      ['durable, 400 commands a frame', true],
      ['durable, 400 commands a frame, keys', true],
      ['durable, hot SKU', true],
      ['durable, hot SKU, keys', true],
      ['durable, sold out', true],
      ['durable, one in flight', true],
      ['recovery', true],
      ['Redis, 400 commands a frame', true],
      ['durable, p50 at a steady rate', true],
      ['durable, p99 at a steady rate', true],
      ['durable, p99.9 at a steady rate', true],
      ['journal of a hold with a key', true],
      ['journal of a hold without', true],
      ['start from snapshots', true],
    ]);
  });

  it('are held against their targets and limits: just not enough', () => {
    const { steady, journal, start } = durable();
    const little: Partial<DurableResult> = {
      wire: {
        onePerFrame: rate(299_999, 0.849, 0.649),
        batched: rate(1_599_999, 1, 0.649),
        hot: rate(1_999_999, 1, 0.649),
        flash: rate(3_999_999),
        oneInFlight: rate(1, 0.599),
      },
      steady: {
        ...steady,
        durable: { ...steady.durable, p50: 601 },
        ...{ p99TimesEcho: 3.001, p999TimesEcho: 3.001 },
      },
      journal: {
        keyed: { ...journal.keyed, eventsPerSecond: 1_999_999, bytesPerHold: 64.001 },
        keyless: { ...journal.keyless, bytesPerHold: 64.001 },
      },
      start: { ...start, startMs: 3001 },
      redis: { always: rate(299_999), everysec: rate(299_999) },
    };
    expect(met(report(little)).filter(([, isMet]) => isMet)).toEqual([]);
  });

  it.each([
    [300_000, 400_000, 300_000, 'appendfsync always'],
    [299_999, 400_000, 400_000, 'appendfsync everysec'],
    [1, 2, 2, 'appendfsync everysec'],
  ])(
    'tell which of Redis’ settings they are of: always %d, everysec %d',
    (always, everysec, figure, note) => {
      const redis = { always: rate(always), everysec: rate(everysec) };
      expect(targetsOf(report({ redis })).at(-1)).toMatchObject({ figure, note });
    },
  );

  it('are not met without Redis, and the reason is told', () => {
    const without = report({ redis: null, whyNoRedis: 'redis-server is not there' });
    expect(targetsOf(without).at(-1)).toMatchObject({
      figure: null,
      met: false,
      note: 'redis-server is not there',
    });
    const text = renderReport(without);
    expect(text).toMatch(/^Redis +not measured: redis-server is not there$/m);
    expect(text).toMatch(
      /^Redis, 400 commands a frame +none +300,000 {2}not met \(redis-server is not there\)$/m,
    );
  });

  it('have no good latency while commands are refused', () => {
    const { steady } = durable();
    const limits = limitsOf(report({ steady: { ...steady, complete: false } }));
    const latencies = limits.filter(({ name }) => name.endsWith('at a steady rate'));
    expect(latencies.map(({ figure, met }) => [figure, met])).toEqual([
      [0.6, false],
      [3, false],
      [3, false],
    ]);
  });

  it('stand in the table, with what they were taken on', () => {
    const text = renderReport(report());
    expect(text).toMatch(/^durable, disk +ext4 on \/dev\/vda, one sync 50 µs \(longest 300 µs\)$/m);
    expect(text).toMatch(/^durable, 400 commands a frame +1,600,000 .*; with keys 1, 65 % of that$/m);
    expect(text).toMatch(/^durable, hot SKU, keys +65 % of keyless +65 % of keyless {2}met$/m);
    expect(text).toMatch(/^durable, at 20,000\/s +p50 600 µs, p99 3 µs, p99.9 4 µs; p99 3, p99.9 3 × echo$/m);
    expect(text).toMatch(/^recovery, holds with keys +2,000,000 .*64 bytes a hold \(of 10\)$/m);
    expect(text).toMatch(
      /^start from snapshots +3000 ms with 7 SKUs, 7 open holds: recovery 1 ms, the rest 2 ms/m,
    );
    expect(text).toMatch(/^Redis, appendfsync everysec +300,000 /m);
    const inMemory = renderReport(report({ disk: { ...durable().disk, fileSystem: 'tmpfs', real: false } }));
    expect(inMemory).toMatch(/^durable, disk +tmpfs .*in memory, so that these figures mean nothing$/m);
  });
});

const WATCHED = { steal: 0, others: 0, trusted: true };

function rate(commandsPerSecond: number, shareOfEcho = 0.5, shareOfKeyless = 0.65) {
  const counts = { refused: 0, refusedBy: {}, unanswered: 0 };
  const spread: [number, number] = [commandsPerSecond, commandsPerSecond];
  return {
    ...{ commandsPerSecond, spread, latency: null, shareOfEcho },
    keyed: { ...{ commandsPerSecond: 1, spread, latency: null }, shareOfKeyless },
    load: PATTERNS.batched,
    ...counts,
    ...WATCHED,
  };
}

function rates(): DurableResult['wire'] {
  return {
    onePerFrame: rate(300_000, 0.85),
    batched: rate(1_600_000),
    hot: rate(2_000_000),
    flash: rate(4_000_000),
    oneInFlight: rate(1, 0.6),
  };
}

function durable(): DurableResult {
  const latency: SteadyLatency = {
    ...{ p50: 1, p90: 2, p99: 3, p999: 4, max: 5 },
    ...{ lateSendP99: 1, refusedBy: {}, unanswered: 0 },
  };
  const journal: JournalResult = {
    ...{ holds: 10, bytesPerHold: 64, journalBytes: 640, events: 20 },
    ...{ eventsPerSecond: 2_000_000, recoveryMs: 1, startMs: 2 },
  };
  return {
    disk: { fileSystem: 'ext4', device: '/dev/vda', real: true, syncUs: 50, longestSyncUs: 300 },
    echo: rates(),
    wire: rates(),
    steady: {
      ...{ ratePerSecond: 20_000, openHolds: 7, p99TimesEcho: 3, p999TimesEcho: 3, complete: true },
      ...{ echo: latency, durable: { ...latency, p50: 600 }, whileSnapshotting: latency },
    },
    journal: { keyed: journal, keyless: journal },
    start: {
      ...{ skus: 7, openHolds: 7, startMs: 3000, recoveryMs: 1, otherMs: 2 },
      ...{ segments: 1, snapshotBytes: 1, journalBytes: 1 },
    },
    redis: { always: rate(300_000), everysec: rate(300_000) },
  };
}

function report(changes: Partial<DurableResult> = {}): Report {
  return {
    machine: { cpu: 'A CPU', cores: 2, memoryGiB: 8, kernel: 'linux 6', node: 'v22', loadAverage: 0.1 },
    ...WATCHED,
    durable: { ...durable(), ...changes, ...WATCHED },
  };
}
