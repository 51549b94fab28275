import { setTimeout as sleep } from 'node:timers/promises';
import { connect, HoldfastError } from '../../src/client/index.ts';

export interface BuyersTask {
  readonly port: number;
  /** One for each buyer. */
  readonly tokens: readonly string[];
  readonly sku: string;
  readonly units: number;
  /** Over which they come. */
  readonly seconds: number;
  readonly ttlMs: number;
}

export interface Purchases {
  /** Units that were held and paid for. */
  readonly units: number;
  readonly served: number;
  /** Buyers who got nothing, by the code of what they were told. */
  readonly unserved: Readonly<Record<string, number>>;
  /** From coming to having paid, with the connection and every wait between, ms. */
  readonly waitsMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** Longest that somebody who wants to buy keeps trying. */
const PATIENCE_MS = 60_000;

/** Buyers by the SDK, as a shop has them: each comes once, holds what it wants, pays and goes. For a thread of its own. */
export async function buy({ port, tokens, sku, units, seconds, ttlMs }: BuyersTask): Promise<Purchases> {
  const waits: number[] = [];
  const unserved: Record<string, number> = {};
  let sold = 0;
  const one = async (token: string): Promise<void> => {
    const cameMs = performance.now();
    try {
      const client = await connect(`ws://127.0.0.1:${port}/v1/ws`, { token });
      try {
        const hold = await client.hold({
          sku,
          quantity: units,
          ttl: ttlMs,
          signal: AbortSignal.timeout(PATIENCE_MS),
        });
        const paid = await hold.confirm();
        sold += paid;
        waits.push(performance.now() - cameMs);
      } finally {
        await client.close();
      }
    } catch (error) {
      const code = error instanceof HoldfastError ? error.code : (error as Error).name;
      unserved[code] = (unserved[code] ?? 0) + 1;
    }
  };
  const gapMs = (seconds * 1000) / tokens.length;
  const startedMs = performance.now();
  const all: Promise<void>[] = [];
  for (const [number, token] of tokens.entries()) {
    const dueMs = startedMs + number * gapMs;
    if (dueMs > performance.now()) await sleep(dueMs - performance.now());
    all.push(one(token));
  }
  await Promise.all(all);
  waits.sort((a, b) => a - b);
  const at = (share: number): number => Math.round(waits[Math.ceil(share * waits.length) - 1] ?? 0);
  return {
    units: sold,
    served: waits.length,
    unserved,
    waitsMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
  };
}
