import { afterEach, describe, expect, it } from 'vitest';
import type { AckLevel } from '../../protocol/ack.ts';
import { encodeSnapshot } from '../../src/storage/snapshot.ts';
import {
  type JournalWriter,
  type Possession,
  type RunClock,
  type Store,
  StoreError,
} from '../../src/storage/store.ts';
import { EventMaker, lastLsnOf, readEvents, segmentOf, splitEvents } from './events.ts';

/** A place for one store, empty at first. */
export interface StorePlace {
  possess(create?: boolean): Promise<Possession>;
  /** Opens the store as another thread does. */
  open(possession: Possession): Store;
  /** Removes it with all that is in it. */
  destroy(): Promise<void>;
}

const SEGMENTS = 4;
const RUN: RunClock = { bootId: 'suite-boot', offsetMs: 1_800_000_000_000.5 };

/** What every store keeps to. `makePlace` is called for each test. */
export function describeStore(name: string, makePlace: () => Promise<StorePlace>): void {
  describe(`${name} store`, () => {
    let place: StorePlace | undefined;

    afterEach(async () => {
      await place?.destroy();
      place = undefined;
    });

    async function fresh(): Promise<StorePlace> {
      place = await makePlace();
      return place;
    }

    it('is made once, and knows itself again', async () => {
      const at = await fresh();
      await expect(at.possess(false)).rejects.toMatchObject({ code: 'ABSENT' });
      const first = await at.possess();
      expect(first.identity).toMatchObject({ segments: SEGMENTS, fresh: true });
      expect(first.identity.id).toMatch(/^[0-9a-f]{32}$/);
      expect(first.identity.secret).toHaveLength(32);
      await first.release();
      const second = await at.possess(false);
      expect({ ...second.identity }).toEqual({ ...first.identity, fresh: false });
      await second.release();
    });

    it('is empty at first', async () => {
      const possession = await (await fresh()).possess();
      const check = await possession.check();
      expect(check).toMatchObject({ batches: 0, torn: undefined, lastRun: undefined });
      expect(await readEvents(possession.store.reader({ end: check.end }), SEGMENTS)).toEqual([
        [],
        [],
        [],
        [],
      ]);
      await possession.release();
    });

    it.each<AckLevel>(['journal', 'sync'])('gives back what was committed, by ack %s', async (ack) => {
      const at = await fresh();
      const maker = new EventMaker(SEGMENTS);
      const written = await appendRun(at, maker, { ack, groups: 40 });
      await expectEvents(at, written);
    });

    it('goes on where the run before ended', async () => {
      const at = await fresh();
      const maker = new EventMaker(SEGMENTS);
      const written: string[] = [];
      for (let run = 0; run < 4; run++) {
        written.push(
          ...(await appendRun(at, maker, { groups: 5, run: { bootId: `boot-${run}`, offsetMs: run } })),
        );
        const possession = await at.possess();
        const check = await possession.check();
        expect(check.lastRun).toEqual({ bootId: `boot-${run}`, offsetMs: run });
        await possession.release();
      }
      await expectEvents(at, written);
    });

    it('takes large groups, and many lots in one', async () => {
      const at = await fresh();
      const maker = new EventMaker(SEGMENTS);
      const lots: Uint8Array[] = [];
      await withWriter(at, maker, 'sync', async (writer) => {
        lots.push(maker.make(1, 3), maker.make(2, 60_000), maker.make(1, 1), maker.make(0, 2));
        for (const lot of lots) writer.add(lot, 0, lot.length);
        await writer.commit();
      });
      await expectEvents(at, lots.flatMap(splitEvents));
    });

    it('copies what is added, from shared memory, from the middle', async () => {
      const at = await fresh();
      const maker = new EventMaker(SEGMENTS);
      const expected: string[] = [];
      await withWriter(at, maker, 'sync', async (writer) => {
        const lot = maker.make(3, 4);
        expected.push(...splitEvents(lot.slice()));
        const shared = new Uint8Array(new SharedArrayBuffer(lot.length + 64));
        shared.set(lot, 32);
        writer.add(shared, 32, 32 + lot.length);
        shared.fill(0);
        await writer.commit();
      });
      await expectEvents(at, expected);
    });

    it('gives a reader what is committed while the writer goes on', async () => {
      const at = await fresh();
      const maker = new EventMaker(SEGMENTS);
      await withWriter(at, maker, 'sync', async (writer, possession) => {
        const expected: string[] = [];
        for (let group = 0; group < 6; group++) {
          const lot = maker.make(group % SEGMENTS, 3);
          writer.add(lot, 0, lot.length);
          await writer.commit();
          writer.mark?.();
          expected.push(...splitEvents(lot));
          const store = at.open(possession);
          const read = await readEvents(store.reader({ untilPosition: writer.position }), SEGMENTS);
          expect(read).toEqual(bySegment(expected));
          await store.close();
        }
      });
    });

    it('forgets what is trimmed, and nothing that is needed', async () => {
      const at = await fresh();
      const maker = new EventMaker(SEGMENTS);
      const written: string[] = [];
      const trimmed = new Float64Array(SEGMENTS);
      for (let run = 0; run < 3; run++) {
        await withWriter(at, maker, 'sync', async (writer) => {
          for (let group = 0; group < 30; group++) {
            const lot = maker.make((group * 7) % SEGMENTS, 20);
            writer.add(lot, 0, lot.length);
            await writer.commit();
            written.push(...splitEvents(lot));
            if (group % 5 !== 4) continue;
            // Segment 3 stays behind the others.
            for (let segment = 0; segment < SEGMENTS; segment++) {
              trimmed[segment] = Math.max(0, maker.lsns[segment] - (segment === 3 ? 150 : 10));
              await writer.trim(segment, trimmed[segment]);
            }
          }
        });
        await expectNeeded(at, written, trimmed);
      }
    });

    it('needs less for the next start when it was trimmed', async () => {
      const at = await fresh();
      const maker = new EventMaker(SEGMENTS);
      await withWriter(at, maker, 'sync', async (writer) => {
        for (let group = 0; group < 200; group++) {
          const lot = maker.make(group % SEGMENTS, 50);
          writer.add(lot, 0, lot.length);
          await writer.commit();
        }
        const before = writer.bytes;
        for (let segment = 0; segment < SEGMENTS; segment++) await writer.trim(segment, maker.lsns[segment]);
        expect(writer.bytes).toBeLessThan(before / 2);
      });
    });

    it('keeps snapshots, newest first', async () => {
      const possession = await (await fresh()).possess();
      const snapshots = possession.store.snapshots(possession.identity);
      expect(await snapshots.list(2)).toEqual([]);
      const contents = new Map<number, Uint8Array>();
      for (const lsn of [7, 1000, 123456789012, 99]) {
        const image = Int32Array.from({ length: 5000 }, (_, i) => (i * lsn) | 0);
        const bytes = encodeSnapshot({ store: possession.identity.id, segment: 2, lsn, timeMs: 1, image });
        contents.set(lsn, bytes);
        const id = await snapshots.write(2, lsn, bytes);
        expect(id).toMatchObject({ segment: 2, lsn });
      }
      await snapshots.write(1, 5, new Uint8Array([1, 2, 3]));
      const listed = await snapshots.list(2);
      expect(listed.map((id) => id.lsn)).toEqual([123456789012, 1000, 99, 7]);
      for (const id of listed)
        expect(Buffer.from(await snapshots.read(id))).toEqual(Buffer.from(contents.get(id.lsn)!));
      await snapshots.remove(listed[1]);
      expect((await snapshots.list(2)).map((id) => id.lsn)).toEqual([123456789012, 99, 7]);
      expect((await snapshots.list(1)).map((id) => id.lsn)).toEqual([5]);
      expect(await snapshots.list(0)).toEqual([]);
      await snapshots.close();
      await possession.release();
    });

    it('takes a snapshot of the same LSN again', async () => {
      const possession = await (await fresh()).possess();
      const snapshots = possession.store.snapshots(possession.identity);
      await snapshots.write(0, 9, new Uint8Array([1]));
      await snapshots.write(0, 9, new Uint8Array([2, 2]));
      const listed = await snapshots.list(0);
      expect(listed).toHaveLength(1);
      expect([...(await snapshots.read(listed[0]))]).toEqual([2, 2]);
      await possession.release();
    });

    it('tells copies of one LSN apart, newest first', async () => {
      const possession = await (await fresh()).possess();
      const snapshots = possession.store.snapshots(possession.identity);
      for (const copy of [0, 2, 11, 1]) await snapshots.write(0, 9, new Uint8Array([copy]), copy);
      await snapshots.write(0, 8, new Uint8Array([100]), 50);
      const listed = await snapshots.list(0);
      expect(listed.map(({ lsn, copy }) => [lsn, copy])).toEqual([
        [9, 11],
        [9, 2],
        [9, 1],
        [9, 0],
        [8, 50],
      ]);
      expect([...(await snapshots.read(listed[1]))]).toEqual([2]);
      await possession.release();
    });

    it('says what it promises', async () => {
      const possession = await (await fresh()).possess();
      for (const ack of ['memory', 'journal', 'sync'] as const) {
        const promise = await possession.store.promise(ack).catch((error: StoreError) => error);
        expect(promise instanceof StoreError ? promise.code : promise).toMatch(/^WEAK$|\w+ \w+/);
      }
      await possession.release();
    });
  });
}

interface RunOptions {
  readonly ack?: AckLevel;
  readonly groups: number;
  readonly run?: RunClock;
}

/** One run of a server that appends groups of various sizes; returns their events. */
async function appendRun(place: StorePlace, maker: EventMaker, options: RunOptions): Promise<string[]> {
  const written: string[] = [];
  const append = async (writer: JournalWriter): Promise<void> => {
    for (let group = 0; group < options.groups; group++) {
      for (let lots = group % 3; lots >= 0; lots--) {
        const lot = maker.make((group + lots) % SEGMENTS, 1 + ((group * 5) % 11));
        writer.add(lot, 0, lot.length);
        written.push(...splitEvents(lot));
      }
      await writer.commit();
    }
  };
  await withWriter(place, maker, options.ack ?? 'sync', append, options.run);
  return written;
}

async function withWriter(
  place: StorePlace,
  maker: EventMaker,
  ack: AckLevel,
  what: (writer: JournalWriter, possession: Possession) => Promise<void>,
  run: RunClock = RUN,
): Promise<void> {
  const lsns = maker.lsns.slice();
  const possession = await place.possess();
  try {
    const { end } = await possession.check();
    const store = place.open(possession);
    const writer = store.writer({
      ack,
      end,
      run,
      identity: possession.identity,
      lastLsns: await lastLsns(possession, end),
      lsns,
    });
    try {
      await what(writer, possession);
    } finally {
      await writer.close();
      await store.close();
    }
  } finally {
    await possession.release();
  }
}

/** As recovery finds them. */
async function lastLsns(possession: Possession, end: unknown): Promise<Float64Array[]> {
  const found: Float64Array[] = [];
  const reader = possession.store.reader({ end });
  for await (const { bytes, file } of reader.batches(new Set([0, 1, 2, 3]), () => 0)) {
    while (found.length <= file) found.push(new Float64Array(SEGMENTS));
    for (const event of splitEvents(bytes)) found[file][segmentOf(event)] = lastLsnOf(event);
  }
  await reader.close();
  return found;
}

async function expectEvents(place: StorePlace, written: readonly string[]): Promise<void> {
  const possession = await place.possess();
  const check = await possession.check();
  expect(check.torn).toBeUndefined();
  const read = await readEvents(possession.store.reader({ end: check.end }), SEGMENTS);
  expect(read).toEqual(bySegment(written));
  await possession.release();
}

/** Every event behind its segment's trimmed LSN is there, in order, behind some of the trimmed ones. */
async function expectNeeded(
  place: StorePlace,
  written: readonly string[],
  trimmed: Float64Array,
): Promise<void> {
  const possession = await place.possess();
  const check = await possession.check();
  const read = await readEvents(possession.store.reader({ end: check.end }), SEGMENTS);
  await possession.release();
  for (const [segment, all] of bySegment(written).entries()) {
    const needed = all.filter((event) => lastLsnOf(event) > trimmed[segment]);
    expect(read[segment].length).toBeGreaterThanOrEqual(needed.length);
    expect(read[segment]).toEqual(all.slice(all.length - read[segment].length));
  }
}

function bySegment(events: readonly string[]): string[][] {
  const by: string[][] = Array.from({ length: SEGMENTS }, () => []);
  for (const event of events) by[segmentOf(event)].push(event);
  return by;
}
