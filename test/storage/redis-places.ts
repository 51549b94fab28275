import { setTimeout as sleep } from 'node:timers/promises';
import { openRedisStore, possessRedisStore } from '../../src/storage/redis-store.ts';
import type { JournalWriter, Possession, Store } from '../../src/storage/store.ts';
import { type EventMaker, readEvents, segmentOf, splitEvents } from './events.ts';

export const SEGMENTS = 4;

export interface PossessSettings {
  redisWait?: number;
  redisVolatile?: boolean;
  create?: boolean;
}

export function possess(url: string, settings: PossessSettings = {}): Promise<Possession> {
  return possessRedisStore(url, {
    segments: SEGMENTS,
    create: true,
    redisWait: 0,
    redisVolatile: false,
    ...settings,
  });
}

/** A writer as the storage thread has one, possibly by another address of the same Redis. */
export interface OpenWriter {
  readonly writer: JournalWriter;
  readonly store: Store;
}

export async function openWriter(
  possession: Possession,
  lsns = new Float64Array(SEGMENTS),
  url = possession.store.address.url,
): Promise<OpenWriter> {
  const { end } = await possession.check();
  const store = openRedisStore({ ...possession.store.address, url });
  const run = { bootId: 'boot', offsetMs: 1.5 };
  const writer = store.writer({ ack: 'sync', end, run, identity: possession.identity, lastLsns: [], lsns });
  return { writer, store };
}

/** Adds a lot of some segments to the group, and returns its events. */
export function addLot(writer: JournalWriter, maker: EventMaker, turn: number): string[] {
  const events: string[] = [];
  for (let i = 0; i <= turn % SEGMENTS; i++) {
    const lot = maker.make((turn + i) % SEGMENTS, 1 + ((turn * 5) % 23));
    writer.add(lot, 0, lot.length);
    events.push(...splitEvents(lot));
  }
  return events;
}

/** Commits, again and again while the store says that it may come to it; returns the codes of its refusals. */
export async function commitAtLast(
  writer: JournalWriter,
  onRefusal: () => void = () => {},
): Promise<string[]> {
  const refusals: string[] = [];
  for (;;) {
    try {
      await writer.commit();
      return refusals;
    } catch (error) {
      const { code, retryable } = error as { code: string; retryable?: boolean };
      if (retryable !== true) throw error;
      refusals.push(code);
      onRefusal();
      // As the storage thread does: nothing heals while the event loop is kept from its sockets.
      await sleep(5);
    }
  }
}

export async function readAll(possession: Possession): Promise<string[][]> {
  await possession.check();
  return readEvents(possession.store.reader(), SEGMENTS);
}

export function bySegment(events: readonly string[]): string[][] {
  const by: string[][] = Array.from({ length: SEGMENTS }, () => []);
  for (const event of events) by[segmentOf(event)].push(event);
  return by;
}
