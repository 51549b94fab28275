import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../base/prng.ts';
import { type Client, type ConnectOptions, connect, type Hold, HoldfastError } from '../../client/index.ts';
import type { Tally } from './tally.ts';

/** By what a buyer gets in. */
export type Access = Pick<ConnectOptions, 'holder' | 'token'>;

/** The sale that buyers come to. */
export interface Shop {
  readonly webSocket: string;
  readonly accessOf: (buyer: string) => Access;
  readonly skus: readonly string[];
  readonly prng: Prng;
  readonly tally: Tally;
  /** Fires when the sale is over, sold out or not. */
  readonly over: AbortSignal;
}

/** Longest time to live that a buyer asks for, in ms. */
export const LONGEST_TTL_MS = 2000;
/** How often a buyer who is told that all is held tries again. */
const PATIENCE = 3;
/** Past a deadline by this much, a confirm must be refused whatever the clocks and wires did. */
const LATE_BY_MS = 150;

/** One visit of one buyer: a connection of its own, one hold at most, and one of five ways to go on from it. */
export async function visit(shop: Shop, holder: string): Promise<void> {
  const { tally } = shop;
  let client: Client | undefined;
  tally.visits += 1;
  try {
    // A lost connection is made again, but a server that is gone should be told soon.
    client = await connect(shop.webSocket, {
      ...shop.accessOf(holder),
      timeoutMs: 10_000,
      reconnect: { attempts: 3, maxMs: 500 },
    });
    tally.arrive();
    const hold = await getHold(shop, client);
    if (hold !== undefined) await decide(shop, hold);
  } catch (error) {
    // A wait that was cut short by the end of the sale is no failure.
    if (!shop.over.aborted || error instanceof HoldfastError) tally.fail(error);
  } finally {
    if (client !== undefined) {
      tally.connected -= 1;
      await client.close();
    }
  }
}

/** Tries SKU after SKU in a random order, waiting for held units to come back as long as patience lasts. */
async function getHold(shop: Shop, client: Client): Promise<Hold | undefined> {
  const { prng, tally, over } = shop;
  const first = prng.below(shop.skus.length);
  let patience = PATIENCE;
  for (let i = 0; i < shop.skus.length && !over.aborted; ) {
    const sku = shop.skus[(first + i) % shop.skus.length] as string;
    const attempt = await tryHold(shop, client, sku);
    if (attempt instanceof HoldfastError) {
      const { code, details } = attempt;
      if (code === 'SOLD_OUT') {
        tally.soldOut += 1;
        i += 1;
      } else if (code === 'HELD_OUT') {
        tally.heldOut += 1;
        if (patience-- === 0) return undefined;
        // The server says when the earliest hold ends; a little later, not all at the same instant.
        const waitMs = Math.min(LONGEST_TTL_MS, Math.max(0, (details.retryAt ?? 0) - Date.now()));
        await sleep(waitMs + 10 + prng.below(90), undefined, { signal: over });
      } else {
        throw attempt;
      }
    } else {
      return attempt;
    }
  }
  return undefined;
}

async function tryHold({ prng, tally }: Shop, client: Client, sku: string): Promise<Hold | HoldfastError> {
  const quantity = 1 + prng.below(3);
  const ttl = LONGEST_TTL_MS / 2 + prng.below(LONGEST_TTL_MS / 2);
  for (let ask = quantity; ; ask = 1) {
    try {
      tally.commands += 1;
      const hold = await client.hold({ sku, quantity: ask, ttl });
      tally.placed += 1;
      return hold;
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      // Too few for the wish, but not none: one is better than nothing.
      if (ask === 1 || !((error.details.available ?? 0) > 0)) return error;
    }
  }
}

/** Of 20 buyers with a hold: 5 walk away, 3 release, 1 pays too late, 11 confirm, some of them a part. */
async function decide({ prng, tally, over }: Shop, hold: Hold): Promise<void> {
  const { sku, id: holdId, quantity } = hold;
  const lot = prng.below(20);
  if (lot < 5) {
    tally.walkedAway += 1;
    tally.unitsWalkedAway += quantity;
    return;
  }
  const late = lot === 5;
  await sleep(late ? hold.expiresAt - Date.now() + LATE_BY_MS : 20 + prng.below(280), undefined, {
    signal: over,
  });
  try {
    tally.commands += 1;
    if (lot > 5 && lot < 9) {
      await hold.release();
      tally.released += 1;
      return;
    }
    const part = quantity > 1 && prng.oneIn(8) ? quantity - 1 : undefined;
    const sold = await hold.confirm(part);
    tally.receipts.push({ sku, holdId, quantity: sold });
    tally.confirmed += 1;
    if (part !== undefined) tally.confirmedInPart += 1;
    if (late) tally.soldPastDeadline += 1;
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== 'EXPIRED') throw error;
    tally.tooLate += 1;
    tally.unitsWalkedAway += quantity;
  }
}
