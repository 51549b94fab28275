import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '../../src/client/index.ts';
import { startHere } from '../fixtures/server.ts';

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

export const SKU = 'sneaker "air"';
/** Units of SKU: 20 in total, 3 sold of which 1 came back, and 2 + 1 held. */
export const BOOKS = { available: 15, held: 3, sold: 2, total: 20 };

/** A store as a server leaves it that ran in this process: two generations of snapshots, and events behind them. */
export async function makeStore(): Promise<MadeStore> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-store-'));
  const directory = join(folder, 'data');
  const url = `file:${directory}`;
  const settings = { store: url, segments: 2, workers: 1, holdsPerSegment: 1024, keysPerSegment: 1024 };
  const server = await startHere({ ...settings, ack: 'sync', snapshotPeriodMs: 1 });
  const holds = await trade(server.url, directory);
  await server.stop();
  // Events behind the last snapshot need a run in which no round of snapshots comes due.
  const second = await startHere({ ...settings, ack: 'sync' });
  const client = await connect(second.url, { holder: 'bob' });
  const last = await client.hold({ sku: SKU, ttl: 3_600_000 });
  await client.close();
  await second.stop();
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  return { folder, directory, url, holds: { ...holds, last: last.id }, remove };
}

async function trade(url: string, directory: string): Promise<Omit<Holds, 'last'>> {
  const client = await connect(url, { holder: 'alice' });
  await client.stock({ sku: SKU, total: 20, maxPerHolder: 10 });
  for (let i = 0; i < 6; i++) await client.stock({ sku: `filler-${i}`, total: 5 });
  const expired = await client.hold({ sku: SKU, quantity: 4, ttl: 1 });
  const confirmed = await client.hold({ sku: SKU, quantity: 3, ttl: 3_600_000, key: 'order-1' });
  await snapshotsSettle(directory);
  await confirmed.confirm();
  const extended = await client.hold({ sku: SKU, quantity: 2, ttl: 1_800_000 });
  await extended.extend(3_600_000);
  const released = await client.hold({ sku: SKU, ttl: 60_000 });
  await released.release();
  await snapshotsSettle(directory);
  await confirmed.returnStock(1);
  await snapshotsSettle(directory);
  await client.close();
  return { expired: expired.id, confirmed: confirmed.id, extended: extended.id, released: released.id };
}

/** Waits until a round of snapshots has come that has nothing more to take. */
async function snapshotsSettle(directory: string): Promise<void> {
  const look = (): string => snapshotsOf(directory).join();
  for (let before = ''; before === '' || before !== look(); ) {
    before = look();
    await new Promise((resolve) => setTimeout(resolve, 600));
  }
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
export function copyStore({ directory, folder }: MadeStore, name: string): { directory: string; url: string } {
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
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((file) => {
      const path = join(file.parentPath, file.name);
      return [path.slice(directory.length), readFileSync(path).toString('base64')];
    }),
  );
}
