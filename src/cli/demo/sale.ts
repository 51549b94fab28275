import { setTimeout as sleep } from 'node:timers/promises';
import { Prng } from '../../base/prng.ts';
import { readSku, requestJson, type SkuBooks } from '../http.ts';
import type { ServerUrl } from '../options.ts';
import { LONGEST_TTL_MS, type Shop, visit } from './buyer.ts';
import { Tally } from './tally.ts';

export interface SaleOptions {
  readonly url: ServerUrl;
  readonly accessOf: Shop['accessOf'];
  readonly buyers: number;
  /** Connections at once. */
  readonly atOnce: number;
  readonly unitsPerSku: number;
  /** The sale ends after this, sold out or not. */
  readonly limitMs: number;
  readonly timeoutMs: number;
  /** Called a few times a second with the server's books. */
  readonly onProgress: (books: readonly SkuBooks[], tally: Tally) => void;
}

export interface SaleResult {
  readonly tally: Tally;
  /** The server's books after the last hold ended. */
  readonly books: readonly SkuBooks[];
  readonly stocked: number;
  /** Readings during the sale, and those in which available + held + sold was not the total. */
  readonly readings: number;
  readonly unbalanced: number;
  readonly durationMs: number;
}

const GOODS = ['sneakers', 'console', 'vinyl', 'poster', 'ticket'];
/** Some 17 readings a second: less than what a server with authentication allows one holder. */
const READ_EVERY_MS = 300;
/** With this many buyers failing, the server is gone rather than busy. */
const MOST_FAILURES = 50;

/** Stocks some SKUs of its own, lets the buyers in, and reads the server's books until all is sold and settled. */
export async function runSale(options: SaleOptions): Promise<SaleResult> {
  const { url, unitsPerSku, timeoutMs } = options;
  const prefix = `demo-${Date.now().toString(36)}`;
  const skus = GOODS.map((goods) => `${prefix}-${goods}`);
  for (const sku of skus) {
    const body = { total: unitsPerSku, maxPerHold: 3, maxTtlMs: 5 * LONGEST_TTL_MS };
    await requestJson(url, { method: 'PUT', path: `/v1/skus/${sku}`, body, timeoutMs });
  }
  const stocked = unitsPerSku * skus.length;
  const tally = new Tally();
  const ledger = new Ledger(options, skus, tally);
  const startedAt = performance.now();
  const watching = new AbortController();
  const watch = ledger.watch(watching.signal);
  await letIn(options, skus, tally, stocked, prefix);
  watching.abort();
  await watch;
  const books = await ledger.settle();
  const { readings, unbalanced } = ledger;
  return { tally, books, stocked, readings, unbalanced, durationMs: performance.now() - startedAt };
}

/** Lets every buyer in once, and then those who come back, until everything is sold. */
async function letIn(
  options: SaleOptions,
  skus: readonly string[],
  tally: Tally,
  stocked: number,
  prefix: string,
): Promise<void> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), options.limitMs);
  const shop: Shop = {
    webSocket: options.url.webSocket,
    accessOf: options.accessOf,
    skus,
    prng: new Prng(Date.now()),
    tally,
    over: over.signal,
  };
  let next = 0;
  const mayEnter = () =>
    !over.signal.aborted &&
    tally.failures < MOST_FAILURES &&
    (next < options.buyers || tally.units() < stocked);
  const lane = async () => {
    while (mayEnter()) await visit(shop, `${prefix}-buyer-${next++ % options.buyers}`);
  };
  await Promise.all(Array.from({ length: Math.min(options.atOnce, options.buyers) }, lane));
  clearTimeout(timer);
}

/** Reads the server's books of the demo's SKUs, and keeps an eye on them adding up. */
class Ledger {
  readings = 0;
  unbalanced = 0;
  private readonly options: SaleOptions;
  private readonly skus: readonly string[];
  private readonly tally: Tally;

  constructor(options: SaleOptions, skus: readonly string[], tally: Tally) {
    this.options = options;
    this.skus = skus;
    this.tally = tally;
  }

  async watch(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await this.read().catch((error: unknown) => this.tally.fail(error));
      await sleep(READ_EVERY_MS, undefined, { signal: stop }).catch(() => {});
    }
  }

  /** The books once nothing is held any more, or once every hold must have ended and something still is. */
  async settle(): Promise<readonly SkuBooks[]> {
    const patienceEndsAt = performance.now() + LONGEST_TTL_MS + 1000;
    for (;;) {
      const books = await this.read();
      if (books.every(({ held }) => held === 0) || performance.now() > patienceEndsAt) return books;
      await sleep(READ_EVERY_MS);
    }
  }

  private async read(): Promise<readonly SkuBooks[]> {
    const { url, timeoutMs, onProgress } = this.options;
    const books = await Promise.all(this.skus.map((sku) => readSku(url, sku, timeoutMs)));
    for (const { available, held, sold, total } of books) {
      this.readings += 1;
      if (available + held + sold !== total || Math.min(available, held, sold) < 0) this.unbalanced += 1;
    }
    onProgress(books, this.tally);
    return books;
  }
}
