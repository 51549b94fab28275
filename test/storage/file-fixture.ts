import type { AckLevel } from '../../protocol/ack.ts';
import { openFileStore, possessFileStore } from '../../src/storage/file-store.ts';
import type { JournalCheck, JournalWriter, Possession } from '../../src/storage/store.ts';
import { EventMaker, lastLsnOf, readEvents, splitEvents } from './events.ts';
import { MemoryLayer } from './memory-layer.ts';

export const SEGMENTS = 2;
export const URL = 'file:/disk/data';
export const JOURNAL = '/disk/data/journal';
const BOOT = 'boot-1';

export interface Disk {
  readonly layer: MemoryLayer;
  readonly fileBytes: number;
}

/** An empty disk in memory, and the size of journal files that tests of it use. */
export function makeDisk(fileBytes = 4096): Disk {
  return { layer: new MemoryLayer(), fileBytes };
}

export function possess({ layer, fileBytes }: Disk, bootId = BOOT): Promise<Possession> {
  return possessFileStore(URL, { segments: SEGMENTS, create: true }, { layer, fileBytes, bootId });
}

export interface OpenJournal {
  readonly possession: Possession;
  readonly check: JournalCheck;
  readonly writer: JournalWriter;
  readonly maker: EventMaker;
  /** Adds and commits a group of one lot; returns its events. */
  append(count?: number, segment?: number): string[];
  close(): Promise<void>;
}

/** Takes the store, checks it, and opens its journal where it ends. */
export async function openJournal(disk: Disk, ack: AckLevel = 'sync', bootId = BOOT): Promise<OpenJournal> {
  const possession = await possess(disk, bootId);
  const check = await possession.check();
  const maker = new EventMaker(SEGMENTS, await lsnsOf(possession, check.end));
  const files = (check.end as { files: number[] }).files.length;
  const writer = possession.store.writer({
    ack,
    end: check.end,
    run: { bootId, offsetMs: 0 },
    identity: possession.identity,
    lastLsns: Array.from({ length: files - 1 }, () => maker.lsns.slice()),
    lsns: maker.lsns,
  });
  const append = (count = 1, segment = 0): string[] => {
    const lot = maker.make(segment, count);
    writer.add(lot, 0, lot.length);
    void writer.commit();
    return splitEvents(lot);
  };
  const close = async (): Promise<void> => {
    await writer.close();
    await possession.release();
  };
  return { possession, check, writer, maker, append, close };
}

/** All events, in the order of segments, as a start would find them. Cuts a torn end. */
export async function recoverAll(
  disk: Disk,
  bootId = BOOT,
): Promise<{ check: JournalCheck; events: string[] }> {
  const possession = await possess(disk, bootId);
  try {
    const check = await possession.check();
    const store = openFileStore(possession.store.address, { layer: disk.layer, bootId });
    return { check, events: (await readEvents(store.reader({ end: check.end }), SEGMENTS)).flat() };
  } finally {
    await possession.release();
  }
}

/** A kill, then a start that finds what is left. */
export function killAndRecover(
  disk: Disk,
  bootId = BOOT,
): Promise<{ check: JournalCheck; events: string[] }> {
  disk.layer.kill();
  return recoverAll(disk, bootId);
}

export function journalPath(number: number): string {
  return `${JOURNAL}/${String(number).padStart(20, '0')}.log`;
}

/** Bytes of a journal file without the zeros at its end. */
export function usedBytes(layer: MemoryLayer, number: number): number {
  return layer.bytesOf(journalPath(number)).findLastIndex((byte) => byte !== 0) + 1;
}

async function lsnsOf(possession: Possession, end: unknown): Promise<Float64Array> {
  const lsns = new Float64Array(SEGMENTS);
  const read = await readEvents(possession.store.reader({ end }), SEGMENTS);
  for (const [segment, events] of read.entries())
    if (events.length > 0) lsns[segment] = lastLsnOf(events.at(-1)!);
  return lsns;
}
