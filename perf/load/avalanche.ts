import { setTimeout as sleep } from 'node:timers/promises';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status, statusName } from '../../protocol/status.ts';
import { Asker } from './asker.ts';

export interface PlaceOptions {
  readonly port: number;
  readonly holds: number;
  readonly skus: number;
  /** Time that placing them may take; all end when it is over, ms. */
  readonly placeMs: number;
}

export interface Placed {
  /** Server's time less Date.now(), ms. */
  readonly aheadMs: number;
  /** First and last deadline, server's time in ms. */
  readonly firstEnd: number;
  readonly lastEnd: number;
}

const PER_FRAME = 400;
const FRAMES_IN_FLIGHT = 4;

/** Places holds of one unit that end at one instant, but for the ms that commands wait in queues. Pool task. */
export async function place({ port, holds, skus, placeMs }: PlaceOptions): Promise<Placed> {
  const asker = await Asker.connect(port, 'avalanche');
  try {
    const stock = Array.from({ length: skus }, (_, i) => [Op.STOCK, avalancheSku(i), StockMode.TOTAL, holds]);
    expectAll(await asker.ask(stock), 'STOCK');
    const end = Date.now() + asker.aheadMs + placeMs;
    let [firstEnd, lastEnd] = [Number.POSITIVE_INFINITY, 0];
    let placed = 0;
    const lane = async () => {
      while (placed < holds) {
        const first = placed;
        const count = Math.min(PER_FRAME, holds - placed);
        placed += count;
        const ttlMs = end - Date.now() - asker.aheadMs;
        if (ttlMs < 1) throw new Error(`only ${first} of ${holds} holds were placed within ${placeMs} ms`);
        const commands = Array.from({ length: count }, (_, i) => [
          Op.HOLD,
          avalancheSku((first + i) % skus),
          1,
          ttlMs,
        ]);
        const replies = await asker.ask(commands);
        expectAll(replies, 'HOLD');
        for (const reply of replies) {
          firstEnd = Math.min(firstEnd, reply[2]);
          lastEnd = Math.max(lastEnd, reply[2]);
        }
      }
    };
    await Promise.all(Array.from({ length: FRAMES_IN_FLIGHT }, lane));
    return { aheadMs: asker.aheadMs, firstEnd, lastEnd };
  } finally {
    asker.close();
  }
}

export interface WatchOptions extends Placed {
  readonly port: number;
  readonly skus: number;
}

export interface Watched {
  /** Answer times of single READs, ms: before anything ended, and from the first deadline until all was back. */
  readonly quietMs: readonly number[];
  readonly pausesMs: readonly number[];
  /** From the last deadline until every SKU was seen to hold nothing. */
  readonly workedOffMs: number;
}

/** Reads begin so long before the first deadline. */
const EARLY_MS = 300;
const LOST_MS = 30_000;

/** Sends one READ at a time, as fast as they are answered, while the holds come to their end. Pool task. */
export async function watch(options: WatchOptions): Promise<Watched> {
  const { port, skus, aheadMs, firstEnd, lastEnd } = options;
  const asker = await Asker.connect(port, 'watcher');
  try {
    const now = () => Date.now() + aheadMs;
    await sleep(Math.max(0, firstEnd - EARLY_MS - now()));
    const quietMs: number[] = [];
    const pausesMs: number[] = [];
    const read = async (sku: number, times: number[]): Promise<number> => {
      const startMs = performance.now();
      const [[status, , held]] = await asker.ask([[Op.READ, avalancheSku(sku)]]);
      times.push(performance.now() - startMs);
      if (status !== Status.OK) throw new Error(`a READ was answered ${statusName(status)}`);
      return held;
    };
    while (now() < firstEnd) await read(quietMs.length % skus, quietMs);
    for (let sku = 0; sku < skus; sku++) {
      while ((await read(sku, pausesMs)) > 0) {
        if (now() > lastEnd + LOST_MS) throw new Error(`${avalancheSku(sku)} still holds units`);
      }
    }
    return { quietMs, pausesMs, workedOffMs: Math.max(0, now() - lastEnd) };
  } finally {
    asker.close();
  }
}

function expectAll(replies: readonly number[][], command: string): void {
  const refused = replies.find(([status]) => status !== Status.OK);
  if (refused !== undefined) throw new Error(`a ${command} was answered ${statusName(refused[0])}`);
}

function avalancheSku(index: number): string {
  return `avalanche-${index}`;
}
