import { setTimeout as sleep } from 'node:timers/promises';
import { Ticks } from '../load/ticks.ts';
import { type Account, newAccount } from './account.ts';
import { Clients } from './clients.ts';
import type { Share } from './share.ts';

/** What a thread's share came to. */
export interface Outcome {
  readonly account: Account;
  /** Of the streams that count. */
  readonly offered: number;
  readonly unanswered: number;
  readonly byStatus: Float64Array;
  /** Of all streams. */
  readonly counts: Readonly<Record<string, number>>;
  /** How long commands were offered, ms: shorter than asked for when all had what they came for. */
  readonly tookMs: number;
}

/** Lots of an open loop are so far apart; a closed one only needs to see the end. */
const TICK_MS = 0.5;
const SLOW_TICK_MS = 5;

/** Pool task: plays a share of a scenario's clients. Rejects when a connection cannot be made or the server breaks the protocol. */
export default async function traffic(share: Share): Promise<Outcome> {
  const { told, periodMs, lengthMs } = share;
  const account = newAccount(share.skus, share.originMs, share.spanMs);
  const clients = new Clients(share, account);
  const steady = share.streams.some(
    ({ ratePerSecond, checkout }) => ratePerSecond !== undefined || checkout !== undefined,
  );
  let ticks: Ticks | undefined;
  try {
    await clients.open();
    const started = new Promise<void>((resolve) => told.once('message', () => resolve()));
    told.postMessage('ready');
    await started;
    ticks = new Ticks(steady ? TICK_MS : SLOW_TICK_MS, clients.fail);
    const startMs = performance.now();
    clients.start(startMs);
    let nextPeriodMs = periodMs;
    let tookMs = lengthMs;
    // What is under way at the end is waited for, so that only what never came is unanswered.
    let deadlineMs = Number.POSITIVE_INFINITY;
    for (;;) {
      await Promise.race([ticks.next(), clients.failure]);
      const nowMs = performance.now() - startMs;
      clients.turn(nowMs);
      if (nowMs >= nextPeriodMs) {
        told.postMessage(clients.meter.takePeriod(nowMs, clients.stopped));
        nextPeriodMs += periodMs;
      }
      if (deadlineMs === Number.POSITIVE_INFINITY && (nowMs >= lengthMs || clients.satisfied)) {
        tookMs = Math.min(nowMs, lengthMs);
        clients.stop(tookMs);
        // What comes from now on counts for no rate.
        told.postMessage(clients.meter.takePeriod(nowMs, false));
        nextPeriodMs = nowMs + periodMs;
        deadlineMs = nowMs + share.drainMs;
      }
      if (nowMs >= deadlineMs || (clients.stopped && clients.idle)) break;
    }
    told.postMessage(clients.meter.takePeriod(performance.now() - startMs, true));
    clients.giveUp();
    // The last frames of clients that break off are on their way still.
    await sleep(0);
    const { meter, counts } = clients;
    return {
      account,
      offered: meter.offered,
      unanswered: meter.offered - meter.answered,
      byStatus: meter.byStatus,
      counts,
      tookMs,
    };
  } finally {
    clients.close();
    await ticks?.stop();
    told.close();
  }
}
