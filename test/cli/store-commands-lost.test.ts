import { existsSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SkuHash, segmentOfHash } from '../../src/base/hash.ts';
import { connect } from '../../src/client/index.ts';
import { startHere } from '../fixtures/server.ts';
import {
  copyStore,
  journalOf,
  type MadeStore,
  NEWEST_LSN,
  runHere,
  snapshotsOf,
  useStore,
} from './store-fixtures.ts';

const SEGMENTS = 3;
/** The segment whose events are all trimmed away, and the one that the journal is filled with. */
const IDLE = 1;
const BUSY = 2;
const TABLES = { segments: SEGMENTS, workers: 1, holdsPerSegment: 1024, keysPerSegment: 1024 };

let made: MadeStore;

useStore(async (store) => {
  made = store;
  await trimIdle(made.folder);
});

function skuIn(segment: number, skip = 0): string {
  for (let number = skip; ; number++) {
    const sku = `sku-${number}`;
    const hash = new SkuHash();
    const bytes = Buffer.from(sku);
    hash.run(bytes, 0, bytes.length);
    if (segmentOfHash(hash.hi, SEGMENTS) === segment) return sku;
  }
}

/** Runs a server until snapshots have taken the place of everything that the journal had of one segment. */
async function trimIdle(folder: string): Promise<void> {
  const directory = join(folder, 'trimmed');
  const settings = { store: `file:${directory}`, ...TABLES, journalFileBytes: 65_536, snapshotPeriodMs: 20 };
  const server = await startHere({ ...settings, ack: 'sync' });
  const client = await connect(server.url, { holder: 'alice', timeoutMs: 60_000 });
  await client.stock({ sku: skuIn(IDLE), total: 10 });
  const hold = await client.hold({ sku: skuIn(IDLE), quantity: 4, ttl: 3_600_000 });
  await hold.confirm();
  const sku = skuIn(BUSY);
  const first = (): boolean => journalOf(directory)[0].endsWith('1.log');
  for (let total = 1; first(); total++) await client.stock({ sku, total });
  await client.close();
  await server.stop();
}

/** A copy of the store of which the snapshots of these segments are gone. */
function withoutSnapshots(name: string, segments: readonly number[]): { directory: string; url: string } {
  const copy = copyStore({ ...made, directory: join(made.folder, 'trimmed') }, name);
  const gone = snapshotsOf(copy.directory).filter((file) => segments.includes(Number(file.slice(0, 4))));
  for (const file of gone) rmSync(join(copy.directory, 'snapshots', file));
  expect(gone.length).toBeGreaterThan(0);
  return copy;
}

async function verify(url: string) {
  const { code, stdout } = await runHere('verify', url, '--json');
  return { code, report: JSON.parse(stdout) };
}

function start(url: string) {
  return startHere({ store: url, ...TABLES, ack: 'sync' });
}

const LOST = /^Segment 1 was at LSN 3 when .* can only be restored to LSN 0\. Its snapshots.* missing/;

describe('a store whose snapshots stand in for a journal that was trimmed', () => {
  test('is good', async () => {
    const { url } = copyStore({ ...made, directory: join(made.folder, 'trimmed') }, 'good');
    expect(await verify(url)).toMatchObject({ code: 0, report: { good: true, books: { sold: 4 } } });
    await (await start(url)).stop();
  });

  test.each([
    ['all snapshots', [0, 1, 2]],
    ['those of one segment', [IDLE]],
  ])('is refused by a start, and found by verify, without %s', async (_, segments) => {
    const { url } = withoutSnapshots(`lost-${segments.length}`, segments);
    const idle = { code: 'CORRUPT', message: expect.stringMatching(LOST) };
    if (segments.length === 1) await expect(start(url)).rejects.toMatchObject(idle);
    else await expect(start(url)).rejects.toMatchObject({ code: 'CORRUPT' });
    const { code, report } = await verify(url);
    expect(code).toBe(1);
    expect(report.findings).toContainEqual({ segment: IDLE, message: expect.stringMatching(LOST) });
  });

  test.each(['end', '2999-01-01'])('cannot be recovered to %s without', async (to) => {
    const { url } = withoutSnapshots(`recover-${to}`, [IDLE]);
    const into = join(made.folder, `recovered-${to}`);
    const outcome = await runHere('recover', url, '--to', to, '--into', `file:${into}`);
    expect(outcome).toMatchObject({
      code: 74,
      stdout: '',
      stderr: expect.stringContaining('Segment 1 was at LSN 3 when'),
    });
    expect(existsSync(into)).toBe(false);
  });

  test('and was recovered says so of itself as well', async () => {
    const into = join(made.folder, 'anew');
    const from = `file:${join(made.folder, 'trimmed')}`;
    expect((await runHere('recover', from, '--to', 'end', '--into', `file:${into}`)).code).toBe(0);
    expect((await verify(`file:${into}`)).report).toMatchObject({ good: true, books: { sold: 4 } });
    for (const file of readdirSync(join(into, 'snapshots'))) rmSync(join(into, 'snapshots', file));
    await expect(start(`file:${into}`)).rejects.toMatchObject({ code: 'CORRUPT' });
    expect((await verify(`file:${into}`)).report.findings).toContainEqual({
      segment: IDLE,
      message: expect.stringMatching(LOST),
    });
  });
});

describe('a journal that lost its end', () => {
  const ENDS = new RegExp(
    `^Segment 0 has a snapshot at LSN ${NEWEST_LSN}, and the journal ends at LSN \\d of it`,
  );

  test('is refused by a start and found by verify; a new store can be made of what is left', async () => {
    const { directory, url } = copyStore(made, 'cut');
    truncateSync(journalOf(directory)[0], 600);
    await expect(start(url)).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringMatching(ENDS),
    });
    const { code, report } = await verify(url);
    expect(code).toBe(1);
    expect(report.findings[0]).toEqual({ segment: 0, message: expect.stringMatching(ENDS) });
    const into = `file:${join(made.folder, 'from-snapshots')}`;
    expect((await runHere('recover', url, '--to', 'end', '--into', into)).code).toBe(0);
    expect((await verify(into)).report).toMatchObject({ good: true });
    await (await start(into)).stop();
  });
});
