import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fill, stock } from '../load/stock.ts';
import { ServerProcess } from '../server-process.ts';
import { median } from '../stats.ts';
import { blaming, UNITS_PER_SKU } from '../wire.ts';
import { startAndKill } from './journal.ts';

export interface StartOptions {
  readonly repeats: number;
  /** SKUs with one open hold each. */
  readonly skus: number;
  /** Directory of the file store, and arguments to node that start a server on it that takes snapshots as often as it can. */
  readonly directory: string;
  readonly server: readonly string[];
}

/** The start of a server with much in it, from snapshots. Medians of the starts, ms. */
export interface StartResult {
  readonly skus: number;
  readonly openHolds: number;
  /** From the start of the process to its line that it is ready. */
  readonly startMs: number;
  /** Of it: snapshots read and restored, the invariant checked. */
  readonly recoveryMs: number;
  /** Of it: the rest, which a server with an empty store needs too. */
  readonly otherMs: number;
  readonly segments: number;
  readonly snapshotBytes: number;
  readonly journalBytes: number;
}

const STAY_MS = 3_600_000;
/** As long as no snapshot was written for so long, all are as new as the state: rounds follow each other every second. */
const QUIET_MS = 2_500;
const LIMIT_MS = 60_000;

/** Fills a server, waits until all of it is in snapshots, kills it, and times the starts of others on what it left. */
export async function benchStart(options: StartOptions): Promise<StartResult> {
  const { repeats, skus, directory, server: args } = options;
  const segments = await build(options);
  const starts: Awaited<ReturnType<typeof startAndKill>>[] = [];
  for (let i = 0; i < repeats; i++) {
    const start = await startAndKill(args, { total: skus * UNITS_PER_SKU, held: skus });
    if (start.events > 0 || start.fromSnapshots !== segments) {
      throw new Error(
        `A start took ${start.fromSnapshots} of ${segments} segments from snapshots, and ${start.events} events.`,
      );
    }
    starts.push(start);
  }
  const of = (figure: (start: (typeof starts)[number]) => number) => Math.round(median(starts.map(figure)));
  return {
    skus,
    openHolds: skus,
    startMs: of(({ startMs }) => startMs),
    recoveryMs: of(({ recoveryMs }) => recoveryMs),
    otherMs: of(({ startMs, recoveryMs }) => startMs - recoveryMs),
    segments,
    snapshotBytes: snapshotFiles(directory).reduce((sum, { bytes }) => sum + bytes, 0),
    journalBytes: starts[0].journalBytes,
  };
}

/** Returns how many segments there are. */
async function build({ skus, directory, server: args }: StartOptions): Promise<number> {
  const server = await ServerProcess.start('Holdfast server', args);
  try {
    const { port, segments = 0 } = await server.ready;
    const filled = stock(port, skus, UNITS_PER_SKU).then(() => fill(port, skus, STAY_MS));
    await blaming(server.failure, filled);
    await blaming(server.failure, untilInSnapshots(directory, segments));
    return segments;
  } finally {
    await server.kill();
  }
}

async function untilInSnapshots(directory: string, segments: number): Promise<void> {
  const filledMs = Date.now();
  for (;;) {
    const files = snapshotFiles(directory);
    const newest = Math.max(filledMs, ...files.map(({ writtenMs }) => writtenMs));
    if (files.length >= segments && Date.now() - newest > QUIET_MS) return;
    if (Date.now() - filledMs > LIMIT_MS)
      throw new Error(`the snapshots were not all there after ${LIMIT_MS} ms`);
    await sleep(100);
  }
}

function snapshotFiles(directory: string): { bytes: number; writtenMs: number }[] {
  const folder = join(directory, 'snapshots');
  return readdirSync(folder).flatMap((name) => {
    // One that is being replaced goes away between the two looks.
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    return found === undefined ? [] : [{ bytes: found.size, writtenMs: found.mtimeMs }];
  });
}
