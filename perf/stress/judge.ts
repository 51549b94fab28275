import { type Account, openAfter } from './account.ts';
import type { Verdict } from './result.ts';

/** The server's own sums, and by SKU what it has sold. */
export interface ServerBooks {
  /** Units that the run's SKUs were given. */
  readonly stocked: number;
  /** The same of each of them. */
  readonly unitsPerSku: number;
  /** Held in all when the last answer had come, and when every deadline had passed; less what was held before the run. */
  readonly heldAtStop: number;
  readonly heldAtEnd: number;
  /** By when the first of these was read, server's time. */
  readonly stopMs: number;
  /** SKUs and tables for which the invariant does not hold, before and after. */
  readonly violationsBefore: number;
  readonly violations: number;
  /** Sold in all, less what was sold before the run; and of each of the run's SKUs, where that was read. */
  readonly sold: number;
  readonly soldBySku: Int32Array | null;
}

/**
 * Holds the clients' account against the server's books. A command without an answer may have happened or not, so the account leaves
 * room for it; everything that was answered leaves none.
 */
export function judge(account: Account, books: ServerBooks): Verdict & { readonly problems: string[] } {
  const problems: string[] = [];
  const say = (units: number, what: string): number => {
    if (units > 0) problems.push(`${units} ${what}`);
    return Math.max(0, units);
  };
  const confirmed = sum(account.confirmed);
  const unsure = sum(account.unsureConfirms);
  const open = openAfter(account, books.stopMs);
  // In all there may be enough while one SKU is promised too often. Which SKU an open hold is of, the account does not tell.
  const beyond = account.confirmed.reduce((all, units) => all + Math.max(0, units - books.unitsPerSku), 0);
  let [soldUntold, soldMissing] = [books.sold - confirmed - unsure, confirmed - books.sold];
  if (books.soldBySku !== null) {
    [soldUntold, soldMissing] = [0, 0];
    books.soldBySku.forEach((sold, sku) => {
      const told = account.confirmed[sku] as number;
      soldUntold += Math.max(0, sold - told - (account.unsureConfirms[sku] as number));
      soldMissing += Math.max(0, told - sold);
    });
  }
  const oversold =
    say(books.violations - books.violationsBefore, 'SKUs or tables violate the invariant') +
    say(
      Math.max(open + confirmed - books.stocked, beyond),
      'units more are promised to clients than there are',
    ) +
    say(soldUntold, 'units are sold that no client was told of');
  const leaked = say(books.heldAtEnd, 'units are held still, though every deadline has passed');
  const lost =
    say(account.lost, 'holds were acknowledged, and gone when their clients came back in time') +
    say(soldMissing, 'units were confirmed to clients, and the server has not sold them') +
    say(open - books.heldAtStop, 'units were acknowledged as held, and the server did not hold them');
  return { oversold, leaked, lost, problems };
}

function sum(counts: Int32Array): number {
  return counts.reduce((total, count) => total + count, 0);
}
