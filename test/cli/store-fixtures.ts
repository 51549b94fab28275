import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, vi } from 'vitest';
import { ExitCode, reportFailure } from '../../src/cli/exit.ts';
import { program } from '../../src/cli/program.ts';
import { connect } from '../../src/client/index.ts';
import { startHere } from '../fixtures/server.ts';
import type { Outcome } from './fixtures.ts';

/** Ids of the holds in the store of makeStore(). */
export interface Holds {
  expired: number;
  confirmed: number;
  extended: number;
  released: number;
  /** Placed behind the last snapshot. */
  last: number;
}

export interface MadeStore {
  /** A folder of its own, in which tests may put more. */
  readonly folder: string;
  readonly directory: string;
  readonly url: string;
  readonly holds: Holds;
  remove(): void;
}

/** In segment 0 of three. */
export const SKU = 'sneaker "b"';
/** In segment 0 as SKU is, and in segment 1. */
export const FILLERS = ['filler-3', 'filler-0'];
export const OLDER_LSN = 5;
export const NEWEST_LSN = 11;
/** Of all SKUs together: of SKU 3 units sold of which 1 came back, and 2 + 1 held. */
export const BOOKS = { skus: 3, openHolds: 2, available: 25, held: 3, sold: 2, total: 30 };

/** Looking through tables of the default size would take most of the tests' time. To be undone with vi.unstubAllEnvs(). */
function stubSmallTables(): void {
  for (const table of ['HOLDS', 'KEYS', 'HOLDERS']) vi.stubEnv(`HOLDFAST_${table}_PER_SEGMENT`, '1024');
}

/**
 * A store as a server leaves it that ran in this process: of segment 0 two generations of snapshots, at LSN 5 and 11, and one event behind
 * them; two of segment 1, and nothing of segment 2.
 */
async function makeStore(): Promise<MadeStore> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-store-'));
  const directory = join(folder, 'data');
  const url = `file:${directory}`;
  const settings = { store: url, segments: 3, workers: 1, holdsPerSegment: 1024, keysPerSegment: 1024 };
  const server = await startHere({ ...settings, ack: 'sync', snapshotPeriodMs: 1 });
  const holds = await trade(server.url, directory);
  await server.stop();
  keepGenerations(directory);
  // No round of snapshots comes due in this run.
  const second = await startHere({ ...settings, ack: 'sync' });
  const client = await connect(second.url, { holder: 'bob', timeoutMs: 60_000 });
  const last = await client.hold({ sku: SKU, ttl: 3_600_000 });
  await client.close();
  await second.stop();
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  return { folder, directory, url, holds: { ...holds, last: last.id }, remove };
}

async function trade(url: string, directory: string): Promise<Omit<Holds, 'last'>> {
  const client = await connect(url, { holder: 'alice', timeoutMs: 60_000 });
  await client.stock({ sku: SKU, total: 20, maxPerHolder: 10 });
  for (const sku of FILLERS) await client.stock({ sku, total: 5 });
  const confirmed = await client.hold({ sku: SKU, quantity: 3, ttl: 3_600_000, key: 'order-1' });
  const expired = await client.hold({ sku: SKU, quantity: 4, ttl: 1 });
  await snapshotAt(directory, OLDER_LSN);
  copyFileSync(snapshotFile(directory, OLDER_LSN), join(directory, OLDER_COPY));
  await confirmed.confirm();
  const extended = await client.hold({ sku: SKU, quantity: 2, ttl: 1_800_000 });
  await extended.extend(3_600_000);
  const released = await client.hold({ sku: SKU, ttl: 60_000 });
  await released.release();
  await confirmed.returnStock(1);
  await snapshotAt(directory, NEWEST_LSN);
  await client.close();
  return { expired: expired.id, confirmed: confirmed.id, extended: extended.id, released: released.id };
}

const OLDER_COPY = 'older-generation';

/** A server that idles takes its last snapshot twice, by when it comes to it; tests want the generation before it, always. */
function keepGenerations(directory: string): void {
  const paths = snapshotsOf(directory).map((name) => join(directory, 'snapshots', name));
  const ofSegment0 = paths.filter((path) => path.includes('/0000-'));
  for (const path of ofSegment0) if (path !== snapshotFile(directory, NEWEST_LSN)) rmSync(path);
  renameSync(join(directory, OLDER_COPY), snapshotFile(directory, OLDER_LSN));
}

/** File of segment 0's snapshot at an LSN. */
export function snapshotFile(directory: string, lsn: number): string {
  return join(directory, 'snapshots', `0000-${String(lsn).padStart(16, '0')}-000000.snapshot`);
}

async function snapshotAt(directory: string, lsn: number): Promise<void> {
  while (!existsSync(snapshotFile(directory, lsn))) await new Promise((resolve) => setTimeout(resolve, 10));
}

export function snapshotsOf(directory: string): string[] {
  return readdirSync(join(directory, 'snapshots')).sort();
}

export function journalOf(directory: string): string[] {
  return readdirSync(join(directory, 'journal'))
    .sort()
    .map((name) => join(directory, 'journal', name));
}

/** A copy of the store, to be damaged. */
export function copyStore(
  { directory, folder }: MadeStore,
  name: string,
): { directory: string; url: string } {
  const copy = join(folder, name);
  cpSync(directory, copy, { recursive: true });
  return { directory: copy, url: `file:${copy}` };
}

/** Flips a bit of a file. */
export function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] ^= 1;
  writeFileSync(path, bytes);
}

/** Every file below a directory with its bytes, to see that nothing was changed. */
export function contentsOf(directory: string): Record<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return Object.fromEntries(
    files.map((file) => {
      const path = join(file.parentPath, file.name);
      return [path.slice(directory.length), readFileSync(path).toString('base64')];
    }),
  );
}

/** Runs the command line in this process, as main.ts does: a process for each run would take most of the tests' time. */
export async function runHere(...args: string[]): Promise<Outcome> {
  const written = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      written[name] += text;
      return true;
    }),
  );
  const json = args.includes('--json');
  const before = process.exitCode;
  try {
    await program(json).parseAsync(['node', 'holdfast', ...args]);
    return { code: Number(process.exitCode ?? ExitCode.OK), ...written };
  } catch (error) {
    const code = reportFailure(error, json);
    return { code, ...written };
  } finally {
    process.exitCode = before;
    for (const spy of spies) spy.mockRestore();
  }
}

/** Makes a store with small tables for all tests of a file, tells `use` of it, and takes it away behind the last. */
export function useStore(use: (made: MadeStore) => void | Promise<void>): void {
  let made: MadeStore | undefined;
  beforeAll(async () => {
    stubSmallTables();
    made = await makeStore();
    await use(made);
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    made?.remove();
  });
}

/** A line of `holdfast journal dump --json`. */
interface DumpLine {
  type: string;
  segment: number;
  lsn: number;
  time: string;
  timeMs: number;
  hold?: number;
}

/** What `holdfast journal dump` prints of a store with these options. */
export async function dump(url: string, ...args: string[]): Promise<DumpLine[]> {
  const { stdout } = await runHere('journal', 'dump', url, '--json', ...args);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as DumpLine);
}
