import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crc32c } from '../../src/storage/crc32c.ts';
import { noRedis, type RedisServer, startRedis } from '../fixtures/redis.ts';
import { EventMaker } from './events.ts';
import { bySegment, commitAtLast, openWriter, possess, readAll, SEGMENTS } from './redis-places.ts';

type Entry = { id: string; bytes: Buffer; checksum?: string };

/** Groups of segment 1 in the journal that is damaged, and events in each. */
const GROUPS = 40;
const EVENTS = 5;

const damages: [string, (entries: Entry[]) => Entry[]][] = [
  ['the first entry is gone', (entries) => entries.slice(1)],
  ['an entry in the middle is gone', (entries) => entries.filter((_, i) => i !== 20)],
  ['the last entry is gone', (entries) => entries.slice(0, -1)],
  ['all are gone', () => []],
  ['an entry is cut short', replace(7, (bytes) => bytes.subarray(0, -8))],
  ['an entry is cut within a word', replace(7, (bytes) => bytes.subarray(0, -3))],
  ['an entry is empty', replace(7, () => Buffer.alloc(0))],
  ['an entry has zeros behind', replace(7, (bytes) => Buffer.concat([bytes, Buffer.alloc(8)]))],
  ['an entry is there twice in one', replace(7, (bytes) => Buffer.concat([bytes, bytes]))],
  ['an entry has the events of the one before', (entries) => replace(7, () => entries[6].bytes)(entries)],
  ['an event claims to be longer', flip(0, 0x40)],
  ['an event claims to be endless', flip(3, 0x80)],
  ['an event has an unknown type', flip(4, 0x0f)],
  ['an event is another segment’s', flip(4, 0x30)],
  ['an event has another LSN', flip(12, 0x01)],
  [
    'an id is not its LSN',
    (entries) =>
      entries.map((entry, i) =>
        i === 39 ? { ...entry, id: `${Number.parseInt(entry.id, 10) - 1}-0` } : entry,
      ),
  ],
  [
    'an id has a second part',
    (entries) =>
      entries.map((entry, i) => (i === 7 ? { ...entry, id: entry.id.replace('-0', '-1') } : entry)),
  ],
];

describe.skipIf(noRedis !== undefined)(
  `damage in Redis${noRedis === undefined ? '' : `: ${noRedis}`}`,
  () => {
    let redis: RedisServer;
    let entries: Entry[];
    let written: string[];
    const journal = '{holdfast:1}:journal';

    beforeAll(async () => {
      redis = await startRedis();
      const possession = await possess(redis.url);
      const { writer, store } = await openWriter(possession);
      const maker = new EventMaker(SEGMENTS);
      for (let group = 0; group < GROUPS; group++) {
        const lot = maker.make(1, EVENTS);
        writer.add(lot, 0, lot.length);
        await commitAtLast(writer);
      }
      written = (await readAll(possession))[1];
      expect(written).toHaveLength(GROUPS * EVENTS);
      await store.close();
      await possession.release();
      const found = await redis.client.xrangeBuffer(journal, '-', '+');
      entries = found.map(([id, [, bytes]]) => ({ id: id.toString(), bytes }));
      expect(entries).toHaveLength(GROUPS);
    });
    afterAll(() => redis?.stop());

    async function put(damaged: readonly Entry[]): Promise<void> {
      await redis.client.del(journal);
      await redis.client.xgroup('CREATE', journal, 'made', '0', 'MKSTREAM');
      for (const { id, bytes, checksum = checksumOf(bytes) } of damaged) {
        await redis.client.xadd(journal, id, 'events', bytes, 'crc32c', checksum);
      }
    }

    it('finds nothing in what is whole', async () => {
      await put(entries);
      const possession = await possess(redis.url);
      expect(await readAll(possession)).toEqual(bySegment(written));
      await possession.release();
    });

    it.each(damages)('is found, and its place is told, when %s', async (_, damage) => {
      await put(damage(entries));
      const possession = await possess(redis.url);
      const corrupt = { code: 'CORRUPT', message: expect.stringContaining(journal) };
      await expect(possession.check()).rejects.toMatchObject(corrupt);
      const reader = possession.store.reader();
      const walk = async (): Promise<void> => {
        for await (const { bytes } of reader.batches(new Set([0, 1, 2, 3]), () => 0))
          expect(bytes.length).toBeGreaterThan(0);
      };
      await expect(walk()).rejects.toMatchObject(corrupt);
      await reader.close();
      await possession.release();
    });

    it('is found in a bit of any byte', async () => {
      const possession = await possess(redis.url);
      const { id, bytes } = entries[0];
      await redis.client.hset('{holdfast:1}:state', 'head', Number.parseInt(id, 10));
      for (let bit = 0; bit < bytes.length * 8; bit += 9) {
        const damaged = Buffer.from(bytes);
        damaged[bit >> 3] ^= 1 << (bit & 7);
        await put([{ id, bytes: damaged, checksum: checksumOf(bytes) }]);
        await expect(possession.check(), `bit ${bit}`).rejects.toMatchObject({ code: 'CORRUPT' });
      }
      await put([{ id, bytes }]);
      await possession.check();
      await redis.client.hset('{holdfast:1}:state', 'head', Number.parseInt(entries[GROUPS - 1].id, 10));
      await possession.release();
    });

    it('is found when a reader needs what was trimmed only in part', async () => {
      await put(entries.slice(10));
      await redis.client.hset('{holdfast:1}:state', 'trimmed', Number.parseInt(entries[8].id, 10));
      const possession = await possess(redis.url);
      await expect(possession.check()).rejects.toMatchObject({ code: 'CORRUPT' });
      await redis.client.hset('{holdfast:1}:state', 'trimmed', Number.parseInt(entries[9].id, 10));
      await possession.check();
      await possession.release();
    });
  },
);

function replace(which: number, change: (bytes: Buffer) => Buffer): (entries: Entry[]) => Entry[] {
  return (entries) => entries.map(({ id, bytes }, i) => ({ id, bytes: i === which ? change(bytes) : bytes }));
}

function checksumOf(bytes: Buffer): string {
  return (crc32c(bytes) >>> 0).toString(16).padStart(8, '0');
}

/** Flips bits of a byte of an entry's first event. */
function flip(byte: number, bits: number): (entries: Entry[]) => Entry[] {
  return replace(7, (bytes) => {
    const damaged = Buffer.from(bytes);
    damaged[byte] ^= bits;
    return damaged;
  });
}
