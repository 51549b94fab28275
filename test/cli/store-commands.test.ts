import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { imageRecords } from '../../src/core/image.ts';
import { Sku } from '../../src/core/layout.ts';
import { possessFileStore } from '../../src/storage/file-store.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/storage/snapshot.ts';
import { startHere } from '../fixtures/server.ts';
import {
  BOOKS,
  contentsOf,
  copyStore,
  dump,
  flip,
  journalOf,
  type MadeStore,
  NEWEST_LSN,
  OLDER_LSN,
  runHere,
  SKU,
  snapshotFile,
  useStore,
} from './store-fixtures.ts';

let made: MadeStore;
useStore((store) => {
  made = store;
});

async function verify(url: string) {
  const { code, stdout } = await runHere('verify', url, '--json');
  return { code, report: JSON.parse(stdout) };
}

describe('verify', () => {
  test('prints what a good store holds, ends with 0 and changes nothing', async () => {
    const before = contentsOf(made.directory);
    const outcome = await runHere('verify', made.url);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(
      new RegExp(
        [
          `^file:.*/data: store [0-9a-f]{32}, 3 segments`,
          'journal: 1 file, [\\d,]+ bytes, \\d+ events, LSN 1 to 12, \\d{4}-.*Z to \\d{4}-.*Z',
          'snapshots: \\d snapshots of 2 segments, [\\d,]+ bytes, \\d good',
          'books: 3 SKUs, 2 open holds; 25 available \\+ 3 held \\+ 2 sold = 30',
          'the store is good\n$',
        ].join('\n'),
      ),
    );
    expect(contentsOf(made.directory)).toEqual(before);
  });

  test('with --json says the same for programs', async () => {
    const { code, report } = await verify(made.url);
    expect(code).toBe(0);
    expect(report).toMatchObject({
      good: true,
      store: made.url,
      snapshots: made.url,
      id: expect.stringMatching(/^[0-9a-f]{32}$/),
      journal: { files: 1, bytes: expect.any(Number), torn: null },
      books: BOOKS,
      remarks: [],
      findings: [],
    });
    expect(report.segments[0]).toMatchObject({
      segment: 0,
      lsn: 12,
      snapshots: [
        { name: snapshotFile(made.directory, NEWEST_LSN), lsn: NEWEST_LSN, good: true },
        { lsn: OLDER_LSN, good: true },
      ],
      journal: { firstLsn: 1, lastLsn: 12 },
    });
    expect(report.segments[2]).toMatchObject({ lsn: 0, snapshots: [], journal: { events: 0 } });
  });

  test('restores with larger tables what was made with larger ones', async () => {
    const { code } = await runHere(
      'verify',
      made.url,
      '--skus-per-segment',
      '16',
      '--holds-per-segment',
      '16',
    );
    expect(code).toBe(0);
  });

  test('finds a flipped bit in the journal, says where it is and up to when the store can be had', async () => {
    const { directory, url } = copyStore(made, 'flipped');
    const [file] = journalOf(directory);
    flip(file, 700);
    const { code, report } = await verify(url);
    expect(code).toBe(1);
    expect(report).toMatchObject({ good: false, journal: { bytes: null } });
    expect(report.findings).toEqual([
      { message: expect.stringMatching(`^${file}: .* offset \\d+ .*holdfast recover --to`) },
    ]);
    expect(report.remarks[0]).toMatch(/holdfast recover file:.* --to \d{4}-.*Z --into file:/);
  });

  test.each([
    ['the newest snapshot', NEWEST_LSN, /A start passes it over and begins with the one before it\.$/],
    ['the older snapshot', OLDER_LSN, /only needed if the newer one is damaged too/],
  ])('finds a flipped bit in %s', async (_, lsn, advice) => {
    const { directory, url } = copyStore(made, `snapshot-${lsn}`);
    flip(snapshotFile(directory, lsn), 90);
    const { code, report } = await verify(url);
    expect(code).toBe(1);
    expect(report.findings).toEqual([{ segment: 0, lsn, message: expect.stringMatching(advice) }]);
    expect(report.findings[0].message).toContain(snapshotFile(directory, lsn));
    expect(report.segments[0].lsn).toBe(12);
  });

  test('finds generations that lead to different books', async () => {
    const { directory, url } = copyStore(made, 'other-books');
    const other = copyStore(made, 'other-life');
    forgeOlder(other.url, snapshotFile(directory, OLDER_LSN));
    const { code, report } = await verify(url);
    expect(code).toBe(1);
    expect(report.findings).toMatchObject([
      {
        segment: 0,
        lsn: 12,
        message: expect.stringContaining('lead to different states: SKU "filler-3": 5 available'),
      },
    ]);
  });

  test('finds a segment of which no snapshot is good and the journal is trimmed: never taken for empty', async () => {
    const directory = join(made.folder, 'one-snapshot');
    const url = `file:${directory}`;
    expect((await runHere('recover', made.url, '--to', 'end', '--into', url)).code).toBe(0);
    flip(snapshotFile(directory, 12), 90);
    const { code, report } = await verify(url);
    expect(code).toBe(1);
    expect(report.findings).toEqual([
      { segment: 0, lsn: 12, message: expect.stringContaining('There is no other of this segment') },
      { segment: 0, message: expect.stringContaining('Segment 0 was once at LSN 12') },
    ]);
    expect(report.segments[0].lsn).toBe(null);
  });

  test('two copies of one snapshot need no events between them', async () => {
    const directory = join(made.folder, 'two-copies');
    const url = `file:${directory}`;
    expect((await runHere('recover', made.url, '--to', 'end', '--into', url)).code).toBe(0);
    copyFileSync(snapshotFile(directory, 12), snapshotFile(directory, 12).replace('-000000.', '-000001.'));
    const { code, report } = await verify(url);
    expect(code).toBe(0);
    expect(report).toMatchObject({ remarks: [], findings: [] });
    expect(report.segments[0].snapshots).toHaveLength(2);
  });

  test('tells of a torn end, which is no damage', async () => {
    const { directory, url } = copyStore(made, 'torn');
    const [file] = journalOf(directory);
    const { report: whole } = await verify(url);
    // The frames of the end: the last event's group, and END. Cutting into the last one leaves it half written.
    truncateSync(file, whole.journal.bytes + 64 - 8);
    const { code, report } = await verify(url);
    expect(code).toBe(0);
    expect(report.journal.torn).toMatch(/log, offset \d+: \d+ bytes of a group that was not written whole/);
    expect((await runHere('verify', url)).stdout).toContain('A start cuts off: ');
  });

  test('refuses a store that a server has, with 74', async () => {
    const possession = await possessFileStore(made.url, { segments: 3, create: false });
    try {
      const outcome = await runHere('verify', made.url);
      expect(outcome).toMatchObject({ code: 74, stdout: '' });
      expect(outcome.stderr).toMatch(
        new RegExp(`in use by a server \\(process ${process.pid} on .*Stop it first`),
      );
    } finally {
      await possession.release();
    }
  });

  test('without its manifest, a store is damaged and not absent', async () => {
    const { directory, url } = copyStore(made, 'no-manifest');
    rmSync(join(directory, 'manifest'));
    const { code, report } = await verify(url);
    expect(code).toBe(1);
    expect(report.findings[0].message).toMatch(/manifest is missing.*Restore it from a copy/);
  });

  test.each([
    ['no directory', 'nowhere', () => {}],
    ['an empty directory', 'empty', (directory: string) => mkdirSync(directory)],
    [
      'a directory of something else',
      'other',
      (directory: string) => {
        mkdirSync(directory);
        writeFileSync(join(directory, 'letter.txt'), 'Dear');
      },
    ],
  ])('%s is no store: 2, and nothing is made there', async (_, name, prepare) => {
    const directory = join(made.folder, name);
    prepare(directory);
    for (const command of [
      ['verify'],
      ['journal', 'dump'],
      ['recover', '--to', 'end', '--into', `file:${directory}-2`],
    ]) {
      const outcome = await runHere(...command, `file:${directory}`);
      expect(outcome).toEqual({
        code: 2,
        stdout: '',
        stderr: `holdfast: There is no store in ${directory}.\n`,
      });
    }
    expect(existsSync(join(directory, 'lock'))).toBe(false);
    expect(existsSync(`${directory}-2`)).toBe(false);
  });

  test('refuses snapshots of another store', async () => {
    const other = `file:${join(made.folder, 'stranger')}`;
    await (await possessFileStore(other, { segments: 3, create: true })).release();
    const outcome = await runHere('verify', made.url, '--snapshots', other);
    expect(outcome).toMatchObject({ code: 74, stderr: expect.stringContaining('belong to another journal') });
  });
});

/** Puts a store's snapshot at LSN 5 into `path`, changed so that its SKU filler-3 has two units more. */
function forgeOlder(url: string, path: string): void {
  const snapshot = decodeSnapshot(readFileSync(snapshotFile(url.slice('file:'.length), OLDER_LSN)));
  const { skus } = imageRecords(snapshot.image);
  snapshot.image[skus + Sku.WORDS + Sku.AVAILABLE] += 2;
  snapshot.image[skus + Sku.WORDS + Sku.TOTAL] += 2;
  writeFileSync(path, encodeSnapshot(snapshot));
}

describe('recover', () => {
  test('restores to an LSN into a new store, from which a server goes on', async () => {
    const before = contentsOf(made.directory);
    const into = `file:${join(made.folder, 'at-6')}`;
    const { code, stdout } = await runHere('recover', made.url, '--to', '0:6', '--into', into, '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      into,
      to: { segment: 0, lsn: 6 },
      segments: [
        { segment: 0, lsn: 6, snapshotLsn: OLDER_LSN, events: 1 },
        { segment: 1, lsn: 1 },
        { segment: 2, lsn: 0 },
      ],
    });
    expect(contentsOf(made.directory)).toEqual(before);
    // Another history from here on, which nothing of the old one fits.
    const { report } = await verify(into);
    expect(report).toMatchObject({ good: true });
    expect(report.id).not.toBe((await verify(made.url)).report.id);
    expect(await booksIn(into)).toEqual({ available: 17, held: 0, sold: 3, total: 20 });
  });

  test('restores to a time', async () => {
    const [released] = await dump(made.url, '--segment', '0', '--from', '0:10', '--to', '0:10');
    const into = `file:${join(made.folder, 'at-time')}`;
    const { code, stdout } = await runHere('recover', made.url, '--to', released.time, '--into', into);
    const [confirmedLsn] = /segment 0: LSN (\d+)/.exec(stdout)?.slice(1) ?? [];
    expect(code).toBe(0);
    // Several events may be of the same millisecond.
    expect(['10', '11']).toContain(confirmedLsn);
    expect(stdout).toContain(`Go on from there: holdfast serve --store ${into}`);
  });

  test('restores to the end, which is what a start would find', async () => {
    const into = `file:${join(made.folder, 'at-end')}`;
    expect((await runHere('recover', made.url, '--to', 'end', '--into', into)).code).toBe(0);
    expect((await verify(into)).report).toMatchObject({ good: true, books: BOOKS });
  });

  test('of a damaged journal, restores what is before the damage, and refuses the end', async () => {
    const { directory, url } = copyStore(made, 'recover-flipped');
    flip(journalOf(directory)[0], 700);
    const into = `file:${join(made.folder, 'salvaged')}`;
    const refused = await runHere('recover', url, '--to', 'end', '--into', into);
    expect(refused).toMatchObject({ code: 74, stdout: '' });
    const [, lastGood] = /--to (\S+Z) restores all that is whole\.\n$/.exec(refused.stderr) ?? [];
    expect(existsSync(join(made.folder, 'salvaged'))).toBe(false);
    const late = await runHere('recover', url, '--to', '2999-01-01', '--into', into);
    expect(late).toMatchObject({ code: 74, stdout: '' });
    const done = await runHere('recover', url, '--to', lastGood, '--into', into);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect((await verify(into)).report.good).toBe(true);
  });

  test('passes over a damaged snapshot, and says so', async () => {
    const { directory, url } = copyStore(made, 'recover-snapshot');
    flip(snapshotFile(directory, NEWEST_LSN), 90);
    const into = `file:${join(made.folder, 'passed-over')}`;
    const { code, stdout } = await runHere('recover', url, '--to', 'end', '--into', into);
    expect(code).toBe(0);
    expect(stdout).toContain(`Note: passed over ${snapshotFile(directory, NEWEST_LSN)}: `);
    expect((await verify(into)).report).toMatchObject({ good: true, books: BOOKS });
  });

  test('refuses a point that is trimmed away, and leaves nothing behind', async () => {
    const early = `file:${join(made.folder, 'at-end-2')}`;
    expect((await runHere('recover', made.url, '--to', 'end', '--into', early)).code).toBe(0);
    const into = join(made.folder, 'too-early');
    const outcome = await runHere('recover', early, '--to', '2001-01-01', '--into', `file:${into}`);
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining('does not go back so far') });
    expect(readdirSync(made.folder).filter((name) => name.startsWith('too-early'))).toEqual([]);
  });

  test.each([
    ['a directory that is not empty', ['--to', 'end', '--into', 'data'], /is not empty/],
    ['a point that is none', ['--to', 'tomorrow', '--into', 'new'], /<segment>:<lsn> such as/],
    ['a time without a zone', ['--to', '2026-01-31T12:00:30', '--into', 'new'], /a time such as/],
    ['a segment that is not there', ['--to', '9:1', '--into', 'new'], /There is no segment 9/],
  ])('refuses %s with 2', async (_, args, why) => {
    const [to, point, option, name] = args;
    const outcome = await runHere('recover', made.url, to, point, option, `file:${join(made.folder, name)}`);
    expect(outcome).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(why) });
  });
});

/** What a server that starts on a store has of SKU. */
async function booksIn(store: string): Promise<object> {
  const server = await startHere({
    store,
    ack: 'sync',
    segments: 3,
    workers: 1,
    holdsPerSegment: 1024,
    keysPerSegment: 1024,
  });
  try {
    const answer = await fetch(`${server.httpUrl}/v1/skus/${encodeURIComponent(SKU)}`);
    const { available, held, sold, total } = (await answer.json()) as Record<string, number>;
    return { available, held, sold, total };
  } finally {
    await server.stop();
  }
}
