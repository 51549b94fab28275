import { setTimeout as sleep } from 'node:timers/promises';
import { Op } from '../../protocol/ops.ts';
import { type Books, expectBooks } from '../books.ts';
import { Asker } from '../load/asker.ts';
import { stock } from '../load/stock.ts';
import { loadThreads } from '../load-threads.ts';
import { ServerProcess } from '../server-process.ts';
import { BOOKS_MS, blaming, STUCK_MS, UNITS_PER_SKU } from '../wire.ts';
import { type Resources, resourcesOf } from './resources.ts';
import type { StormRound, StormTask, storm } from './storm-clients.ts';

export interface StormOptions {
  readonly connections: number;
  /** Over which they come. */
  readonly seconds: number;
  /** How many storms, one after the other. */
  readonly storms: number;
  /** Arguments to node that start a Holdfast server on a free port. */
  readonly server: readonly string[];
  readonly onProgress?: (text: string) => void;
}

export interface StormResult {
  readonly connections: number;
  readonly seconds: number;
  /** All come at once, their connections break, and all come back. More than once, so that what is kept is told from what leaks. */
  readonly storms: readonly { readonly first: StormRound; readonly again: StormRound }[];
  /** Of the server: before, the most while they were there, and when each storm was over. */
  readonly before: Resources;
  readonly most: Resources;
  readonly after: readonly Resources[];
  /** From the end of the clients to the last descriptor that was given back, the longest of the storms. */
  readonly backMs: number;
  /** What one who was there all along waited for an answer meanwhile, ms. */
  readonly othersMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly books: Books;
  /** All came, all was given back, each storm left little more memory than there was before the first, and the books are right. */
  readonly verified: boolean;
}

const TTL_MS = 200;
const LOOK_MS = 50;
const BACK_MS = 60_000;
/** A server at rest gives back what a crowd has left, and takes a moment for it. */
const REST_MS = 2000;
const MOST_REST_MS = 60_000;
/** Tables and buffers that were touched for the first time stay, and code that was compiled: what the storms may leave, all in all. */
export const KEPT_MB = 24;

/** Thousands of clients who come at once and go at once, over and over, and what that leaves behind. Rejects when the server fails. */
export async function benchStorm({
  connections,
  seconds,
  storms: count,
  server,
  onProgress,
}: StormOptions): Promise<StormResult> {
  const holdfast = await ServerProcess.start('Holdfast server', server);
  const pool = loadThreads(new URL('./storm-clients.ts', import.meta.url));
  try {
    const port = await holdfast.port;
    const { pid, failure } = holdfast;
    await blaming(failure, stock(port, 1, UNITS_PER_SKU));
    const prober = new Prober(await Asker.connect(port, 'prober'), pid);
    await prober.settle(REST_MS);
    const before = resourcesOf(pid);
    const storms: StormResult['storms'][number][] = [];
    const after: Resources[] = [];
    let backMs = 0;
    for (let number = 1; number <= count; number++) {
      onProgress?.(`storm: ${connections} connections in ${seconds} s, and once more; ${number} of ${count}`);
      const task: StormTask = { port, connections, seconds, ttlMs: TTL_MS };
      const signal = AbortSignal.timeout(2 * (seconds * 1000 + STUCK_MS));
      const run = pool.run(task, { name: 'storm', signal }) as ReturnType<typeof storm>;
      storms.push(await blaming(failure, prober.during(run)));
      const goneAt = performance.now();
      while (resourcesOf(pid).descriptors > before.descriptors && performance.now() - goneAt < BACK_MS)
        await sleep(LOOK_MS);
      backMs = Math.max(backMs, Math.round(performance.now() - goneAt));
      await prober.settle(REST_MS);
      const late = performance.now() + MOST_REST_MS;
      while (resourcesOf(pid).rssMb - before.rssMb > KEPT_MB && performance.now() < late)
        await prober.settle(LOOK_MS);
      after.push(resourcesOf(pid));
    }
    prober.close();
    const books = await expectBooks(port, { total: UNITS_PER_SKU, held: 0 }, TTL_MS + BOOKS_MS);
    await holdfast.stop();
    const verified =
      storms.every((one) => one.first.failed + one.again.failed === 0) &&
      // The prober's own connection is among them before and after.
      after.every(
        ({ descriptors, rssMb }) => descriptors <= before.descriptors && rssMb - before.rssMb <= KEPT_MB,
      );
    const { most, othersMs } = prober;
    return { connections, seconds, storms, before, most, after, backMs, othersMs, books, verified };
  } finally {
    await pool.destroy();
    await Promise.allSettled([holdfast.stop()]);
  }
}

/** Asks for the time every few milliseconds and notes how long that takes, and what the server has meanwhile. */
class Prober {
  private readonly asker: Asker;
  private readonly pid: number;
  private readonly waits: number[] = [];
  most: Resources = { rssMb: 0, descriptors: 0 };

  constructor(asker: Asker, pid: number) {
    this.asker = asker;
    this.pid = pid;
  }

  async during<T>(work: Promise<T>): Promise<T> {
    let over = false;
    const ended = work.finally(() => {
      over = true;
    });
    ended.catch(() => {});
    while (!over) {
      const askedMs = performance.now();
      await this.asker.ask([[Op.TIME]]);
      this.waits.push(performance.now() - askedMs);
      const { rssMb, descriptors } = resourcesOf(this.pid);
      this.most = {
        rssMb: Math.max(rssMb, this.most.rssMb),
        descriptors: Math.max(descriptors, this.most.descriptors),
      };
      await sleep(LOOK_MS);
    }
    return ended;
  }

  /** Small talk, while the server comes to rest. */
  async settle(ms: number): Promise<void> {
    for (const until = performance.now() + ms; performance.now() < until; ) {
      await this.asker.ask([[Op.TIME]]);
      await sleep(LOOK_MS);
    }
  }

  close(): void {
    this.asker.close();
  }

  get othersMs(): StormResult['othersMs'] {
    const sorted = this.waits.toSorted((a, b) => a - b);
    const at = (share: number): number =>
      Math.round(10 * (sorted[Math.ceil(share * sorted.length) - 1] ?? 0)) / 10;
    return { p50: at(0.5), p99: at(0.99), max: at(1) };
  }
}
