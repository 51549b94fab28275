import { afterEach, describe, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Prng } from '../../src/base/prng.ts';
import { laneOf } from '../../src/shard/lanes.ts';
import { JournalDump } from '../../src/storage/dump.ts';
import { closePair, openPair } from '../../src/storage/offline.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { type Arrival, changeOf, orderComplaints } from '../fixtures/recorded-order.ts';
import { type ServerProcess, startServer } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';

const FRAMES = 60;
const CLIENTS = 9;
const SKUS = ['hot', 'warm', 'cold'];
const LEAST_TTL_MS = 1_000_000;
const LEAST_TOTAL = 1_000_000;

const path = tempDir();
let server: ServerProcess | undefined;
afterEach(async () => {
  await server?.stop();
});

/** Sends frames over a connection without waiting for answers, but that it learns its holds from them. Returns what it sent, in order. */
async function send(client: RawClient, index: number, seed: number): Promise<Arrival[]> {
  const prng = new Prng(seed * CLIENTS + index);
  const arrivals: Arrival[] = [];
  const held: { id: number; sku: string }[] = [];
  const source = `connection ${index}`;
  let count = 0;
  const note = (op: number, sku: string, type: string, what: number): void => {
    arrivals.push({ source, lane: laneOf(op, false), sku, change: changeOf(type, what) });
  };
  const answers: Promise<void>[] = [];
  for (let frame = 0; frame < FRAMES; frame++) {
    const heldBy: (string | undefined)[] = [];
    const commands = Array.from({ length: 1 + prng.below(30) }, () => {
      // No two commands have the same, whichever connection they come over.
      const ttlMs = LEAST_TTL_MS + ++count * CLIENTS + index;
      const at = prng.below(held.length + 1);
      const hold = held[at];
      heldBy.push(undefined);
      if (hold !== undefined && prng.oneIn(2)) {
        const { id, sku } = hold;
        if (prng.oneIn(4)) {
          held.splice(at, 1);
          note(Op.CONFIRM, sku, 'CONFIRMED', id);
          return [Op.CONFIRM, BigInt(id)];
        }
        note(Op.EXTEND, sku, 'EXTENDED', ttlMs);
        return [Op.EXTEND, BigInt(id), ttlMs];
      }
      const sku = prng.pick(SKUS);
      if (prng.oneIn(20)) {
        const total = LEAST_TOTAL + ttlMs;
        note(Op.STOCK, sku, 'STOCKED', total);
        return [Op.STOCK, sku, StockMode.TOTAL, total];
      }
      heldBy[heldBy.length - 1] = sku;
      note(Op.HOLD, sku, 'HELD', ttlMs);
      return [Op.HOLD, sku, 1, ttlMs];
    });
    const answer = client.callAll(commands).then((replies) => {
      for (const [i, [status, id]] of replies.entries()) {
        expect(status).toBe(Status.OK);
        const sku = heldBy[i];
        if (sku !== undefined) held.push({ id, sku });
      }
    });
    answers.push(answer);
    // Half a dozen frames are under way.
    if (frame >= 6) await answers[frame - 6];
  }
  await Promise.all(answers);
  return arrivals;
}

describe('what the journal of a server with several fronts and workers tells', () => {
  it.each([1, 2])('is in the order of arrival of each connection, lane and SKU: seed %i', async (seed) => {
    const store = `file:${path(`store-${seed}`)}`;
    server = await startServer({ fronts: 3, workers: 2, store, ack: 'journal', gate: 'off' });
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, () => RawClient.connect((server as ServerProcess).url, 'buyer')),
    );
    await clients[0].callAll(SKUS.map((sku) => [Op.STOCK, sku, StockMode.TOTAL, LEAST_TOTAL - 1]));
    const arrivals = (await Promise.all(clients.map((client, index) => send(client, index, seed)))).flat();
    await Promise.all(clients.map((client) => client.close()));
    expect(await server.stop()).toBe(0);
    const journal = await journalOf(store);
    expect(arrivals.length).toBeGreaterThan(5_000);
    expect(orderComplaints(arrivals, journal.slice(SKUS.length))).toEqual([]);
  });
});

/** Every change in a store's journal. */
async function journalOf(store: string): Promise<string[]> {
  const pair = await openPair(store, store, false);
  try {
    const changes: string[] = [];
    for await (const events of new JournalDump(pair, {}).events()) {
      for (const { type, ttlMs, hold, total } of events)
        changes.push(changeOf(type, ttlMs ?? total ?? (hold as number)));
    }
    return changes;
  } finally {
    await closePair(pair);
  }
}
