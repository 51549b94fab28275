import { expectBooks } from '../books.ts';
import type { Load, LoadResult } from '../load/generator.ts';
import { stock } from '../load/stock.ts';
import { loadThreads } from '../load-threads.ts';
import { ServerProcess } from '../server-process.ts';
import { median, rounded } from '../stats.ts';
import { BOOKS_MS, blaming, DRAIN_MS, PATTERNS, STUCK_MS, UNITS_PER_SKU } from '../wire.ts';

export interface JournalOptions {
  /** Starts on the same journal; the medians count. */
  readonly repeats: number;
  /** For which the journal is written. */
  readonly seconds: number;
  readonly skus: number;
  readonly ttlMs: number;
  /** Whether the holds have an idempotency key each, as the SDK gives them one. */
  readonly keyed: boolean;
  /** Arguments to node that start a durable Holdfast server that takes no snapshots, on a store of its own. */
  readonly server: readonly string[];
}

/** A journal written under load, and the starts of a server that was killed behind it. */
export interface JournalResult {
  readonly holds: number;
  /** All that was written of the holds, their ends and the frames around them, by the number of holds. */
  readonly bytesPerHold: number;
  readonly journalBytes: number;
  /** Events that a start replayed; holds that end together share one. */
  readonly events: number;
  /** By the whole time of the recovery: the walk over the journal, the replay, and the check of the invariant. */
  readonly eventsPerSecond: number;
  readonly recoveryMs: number;
  /** From the start of the process to its line that it is ready. */
  readonly startMs: number;
}

/**
 * Writes a journal by a load of 400 commands a frame, kills the server when the last hold has ended, and starts it again. Rejects when
 * anything was refused, or when the books are not right behind a start.
 */
export async function benchJournal(options: JournalOptions): Promise<JournalResult> {
  const { server: args, skus, repeats } = options;
  await makeStore(args, skus);
  const { holds, bytesBefore } = await write(options);
  const starts: Start[] = [];
  for (let i = 0; i < repeats; i++)
    starts.push(await startAndKill(args, { total: skus * UNITS_PER_SKU, held: 0 }));
  const [{ events, journalBytes }] = starts;
  const recoveryMs = median(starts.map((start) => start.recoveryMs));
  return {
    holds,
    bytesPerHold: rounded((journalBytes - bytesBefore) / holds),
    journalBytes,
    events,
    eventsPerSecond: Math.round((events / recoveryMs) * 1000),
    recoveryMs: Math.round(recoveryMs),
    startMs: Math.round(median(starts.map((start) => start.startMs))),
  };
}

export interface Start {
  readonly startMs: number;
  readonly recoveryMs: number;
  readonly events: number;
  readonly journalBytes: number;
  readonly fromSnapshots: number;
}

/** Starts a server on a store that is there, checks its books, and kills it, so that the next start finds the same. */
export async function startAndKill(
  args: readonly string[],
  books: { total: number; held: number },
): Promise<Start> {
  const server = await ServerProcess.start('Holdfast server', args);
  try {
    const { port, recovery } = await server.ready;
    if (!recovery || recovery.fresh)
      throw new Error('A server found nothing in the store of the one before.');
    const { events, journalBytes, fromSnapshots, tookMs: recoveryMs } = recovery;
    await blaming(server.failure, expectBooks(port, books, BOOKS_MS));
    return { startMs: server.readyMs, recoveryMs, events, journalBytes, fromSnapshots };
  } finally {
    await server.kill();
  }
}

/** Makes a store with stocked SKUs. */
async function makeStore(args: readonly string[], skus: number): Promise<void> {
  const server = await ServerProcess.start('Holdfast server', args);
  try {
    await blaming(server.failure, stock(await server.port, skus, UNITS_PER_SKU));
  } finally {
    await server.stop();
  }
}

/**
 * Puts the load on a server, waits until every hold has ended, and kills it. Returns the number of holds, and the bytes that the journal
 * had before.
 */
async function write(options: JournalOptions): Promise<{ holds: number; bytesBefore: number }> {
  const { server: args, seconds, skus, ttlMs, keyed } = options;
  const pool = loadThreads(new URL('../load/generator.ts', import.meta.url));
  const server = await ServerProcess.start('Holdfast server', args);
  try {
    const { port, recovery } = await server.ready;
    const measureMs = seconds * 1000;
    const times = { warmUpMs: 0, measureMs, drainMs: DRAIN_MS };
    const load: Load = { ...PATTERNS.batched, ...times, port, answers: 'replies', skus, ttlMs, keyed };
    const run = pool.run(load, { signal: AbortSignal.timeout(measureMs + STUCK_MS) });
    const { accepted, sent } = (await blaming(server.failure, run)) as LoadResult;
    if (accepted !== sent || sent === 0) {
      throw new Error(
        `Only ${accepted} of ${sent} holds were accepted, so that their journal cannot be counted.`,
      );
    }
    await expectBooks(port, { total: skus * UNITS_PER_SKU, held: 0 }, ttlMs + BOOKS_MS);
    return { holds: accepted, bytesBefore: recovery?.journalBytes ?? 0 };
  } finally {
    await server.kill();
    await pool.destroy();
  }
}
