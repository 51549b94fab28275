/** What a thread's clients were told, for the books to be held against. All holds are of one unit. */
export interface Account {
  /** By SKU: units of confirms that were answered OK, and of confirms without an answer. */
  readonly confirmed: Int32Array;
  readonly unsureConfirms: Int32Array;
  /** Holds answered OK and not ended since, by the ms after `originMs` (server's time) in which each ends. */
  readonly endsAt: Int32Array;
  readonly originMs: number;
  /** Commands without an answer that may have left a unit held, or ended a hold. */
  unsureHolds: number;
  /** Holds that were acknowledged, and told unknown or ended when their client came back in time. */
  lost: number;
}

export function newAccount(skus: number, originMs: number, spanMs: number): Account {
  return {
    confirmed: new Int32Array(skus),
    unsureConfirms: new Int32Array(skus),
    endsAt: new Int32Array(spanMs),
    originMs,
    unsureHolds: 0,
    lost: 0,
  };
}

/** Notes holds that end at a time of the server's: 1 that there is one more, -1 that one has ended before. */
export function noteEnd(account: Account, deadlineMs: number, change: number): void {
  const at = deadlineMs - account.originMs;
  // A deadline beyond the span is of a server whose clock went on by hours, and fails the check of what is held.
  account.endsAt[Math.min(account.endsAt.length - 1, Math.max(0, at))] += change;
}

/** Holds that must still be held behind a time of the server's. */
export function openAfter(account: Account, serverMs: number): number {
  let open = 0;
  for (let at = Math.max(0, Math.ceil(serverMs - account.originMs) + 1); at < account.endsAt.length; at++) {
    open += account.endsAt[at];
  }
  return open;
}

/** The accounts of several threads as one. */
export function addAccounts(accounts: readonly Account[]): Account {
  const [first, ...others] = accounts;
  if (first === undefined) throw new RangeError('no accounts have no sum');
  const sum = (pick: (account: Account) => Int32Array): Int32Array => {
    const all = pick(first).slice();
    for (const other of others)
      pick(other).forEach((value, i) => {
        all[i] += value;
      });
    return all;
  };
  return {
    confirmed: sum(({ confirmed }) => confirmed),
    unsureConfirms: sum(({ unsureConfirms }) => unsureConfirms),
    endsAt: sum(({ endsAt }) => endsAt),
    originMs: first.originMs,
    unsureHolds: accounts.reduce((total, { unsureHolds }) => total + unsureHolds, 0),
    lost: accounts.reduce((total, { lost }) => total + lost, 0),
  };
}
