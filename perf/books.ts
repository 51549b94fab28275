import { setTimeout as sleep } from 'node:timers/promises';

/** The server's own sums over all SKUs. */
export interface Books {
  readonly violations: number;
  readonly available: number;
  readonly held: number;
  readonly sold: number;
  readonly total: number;
}

const INSPECT_MS = 60_000;
const POLL_MS = 50;

/**
 * Waits, at most `withinMs`, until no more than `held` units are held, and then rejects unless these are the books: `total` units, of which
 * `held` are held, none sold, and no violation of the invariant.
 */
export async function expectBooks(
  port: number,
  { total, held }: Pick<Books, 'total' | 'held'>,
  withinMs: number,
): Promise<Books> {
  const deadline = performance.now() + withinMs;
  let books = await readBooks(port);
  while (books.held > held && performance.now() < deadline) {
    await sleep(POLL_MS);
    books = await readBooks(port);
  }
  const right = { violations: 0, available: total - held, held, sold: 0, total };
  if (Object.entries(right).some(([key, value]) => books[key as keyof Books] !== value)) {
    throw new Error(`The books are ${JSON.stringify(books)}; they had to be ${JSON.stringify(right)}.`);
  }
  return books;
}

async function readBooks(port: number): Promise<Books> {
  const response = await fetch(`http://127.0.0.1:${port}/v1/inspect`, {
    signal: AbortSignal.timeout(INSPECT_MS),
  });
  if (!response.ok) throw new Error(`GET /v1/inspect answered ${response.status}: ${await response.text()}`);
  const { violations, available, held, sold, total } = (await response.json()) as Books;
  return { violations, available, held, sold, total };
}
