import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { DEFAULT_SEGMENT_OPTIONS, Fence, Header } from '../../src/core/layout.ts';
import { Maintenance, type MaintenanceOptions } from '../../src/runtime/maintenance.ts';
import { Durability } from '../../src/shard/durability.ts';
import { allocateEngine } from '../../src/shard/memory.ts';
import { possessFileStore } from '../../src/storage/file-store.ts';
import type { JournalWriter, Possession } from '../../src/storage/store.ts';
import { EventMaker, readEvents, splitEvents } from '../storage/events.ts';
import { MemoryLayer, PowerLost } from '../storage/memory-layer.ts';
import { simIdentity } from './start.ts';

/** What the simulation with a store has found, each played by hand. */
describe('found once with a store', () => {
  it('keeps what it acknowledged when a kill came while a file was begun, and then the power is lost', async () => {
    let kills = 0;
    for (let calls = 0; ; calls++) {
      const layer = new MemoryLayer();
      const maker = new EventMaker(1);
      const told: string[] = [];
      const first = await open(layer, maker);
      append(first, maker, 8, told);
      let left = calls;
      layer.fault = () => {
        if (left-- <= 0) throw new PowerLost();
      };
      const unknown: string[] = [];
      try {
        append(first, maker, 8, unknown);
        break;
      } catch {
        kills++;
      }
      layer.kill();
      // The next run goes on where that one had come to.
      const possession = await possess(layer);
      const [found] = await readEvents(possession.store.reader(), 1);
      const again = new EventMaker(
        1,
        Float64Array.of(found.length > told.length ? maker.lsns[0] : lastOf(8)),
      );
      const second = await open(layer, again, possession);
      append(second, again, 1, found);
      for (const seed of [1, 2, 3, 4, 5, 6]) {
        const { store } = await possess(layer.losePower(new Prng(seed)));
        const [kept] = await readEvents(store.reader(), 1);
        expect(kept, `killed at call ${calls}`).toEqual(found);
      }
    }
    expect(kills).toBeGreaterThan(5);
  });

  it('rebuilds a segment once that two threads died over', async () => {
    const memory = allocateEngine({
      fronts: 1,
      workers: 1,
      segments: 1,
      segment: { ...DEFAULT_SEGMENT_OPTIONS, skus: 4, holds: 16, keys: 4, holders: 4 },
      commandRingBytes: 4096,
      replyRingBytes: 4096,
      events: { ringBytes: 16_384, gated: true },
    });
    const fence = new Int32Array(memory.segments[0]);
    fence[Header.FENCED] = Fence.UNTIL_REBUILT;
    let rebuilt = 0;
    const maintenance = new Maintenance({
      memory,
      durability: new Durability(memory),
      clock: () => 0,
      pool: {
        recover: async () => {
          rebuilt++;
          return { segments: [{ lsn: 0, violations: [] }] };
        },
      },
      storage: { journalBytes: 0, position: async () => 0 },
      identity: simIdentity(1),
      periodMs: 60_000,
      journalBytes: 1 << 30,
      log: () => {},
    } as unknown as MaintenanceOptions);
    await Promise.all([maintenance.rebuild(0), maintenance.rebuild(0)]);
    await maintenance.stop();
    expect(rebuilt).toBe(1);
    expect(fence[Header.FENCED]).toBe(Fence.NONE);
  });
});

function possess(layer: MemoryLayer): Promise<Possession> {
  const options = { layer, fileBytes: 400, bootId: 'boot' };
  return possessFileStore(
    'file:/disk/data',
    { segments: 1, create: true, identity: simIdentity(1) },
    options,
  );
}

/** A writer whose groups fill a file. */
async function open(layer: MemoryLayer, { lsns }: EventMaker, taken?: Possession): Promise<JournalWriter> {
  const possession = taken ?? (await possess(layer));
  const { end } = await possession.check();
  return possession.store.writer({
    ack: 'sync',
    end,
    run: { bootId: 'boot', offsetMs: 0 },
    identity: possession.identity,
    lastLsns: (end as { files: number[] }).files.slice(1).map(() => lsns),
    lsns,
  });
}

/** Adds a group of events, and has them told of when it is committed. */
function append(writer: JournalWriter, maker: EventMaker, count: number, told: string[]): void {
  const lot = maker.make(0, count);
  writer.add(lot, 0, lot.length);
  void writer.commit();
  told.push(...splitEvents(lot));
}

/** LSN behind so many events. */
function lastOf(events: number): number {
  const maker = new EventMaker(1);
  maker.make(0, events);
  return maker.lsns[0];
}
