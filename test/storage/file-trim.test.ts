import { describe, expect, it } from 'vitest';
import { readEvents, segmentOf } from './events.ts';
import { JOURNAL, journalPath, makeDisk, openJournal, recoverAll, SEGMENTS } from './file-fixture.ts';

describe('a trim', () => {
  it('removes a file when no segment needs it, oldest first, and never the last', async () => {
    const disk = makeDisk(512);
    const { append, writer, maker, close } = await openJournal(disk);
    const files = (): string[] => disk.layer.paths().filter((path) => path.startsWith(JOURNAL));
    append(3, 1);
    const behind = maker.lsns[1];
    for (let group = 0; group < 20; group++) append(3, 0);
    const before = files().length;
    expect(before).toBeGreaterThan(5);
    await writer.trim(0, maker.lsns[0]);
    expect(files(), 'segment 1 needs the first file').toHaveLength(before);
    await writer.trim(1, behind - 1);
    expect(files()).toHaveLength(before);
    await writer.trim(1, behind);
    expect(files().length).toBeLessThanOrEqual(2);
    const more = append(3, 1);
    await close();
    expect((await recoverAll(disk)).events.filter((event) => segmentOf(event) === 1)).toEqual(more);
  });

  it('knows after a restart what the older files hold', async () => {
    const disk = makeDisk(512);
    const first = await openJournal(disk);
    for (let group = 0; group < 10; group++) first.append(3, group % 2);
    await first.close();
    const second = await openJournal(disk);
    const { maker, writer } = second;
    const before = maker.lsns.slice();
    const needed = second.append(3, 0);
    await writer.trim(0, before[0]);
    expect(disk.layer.exists(journalPath(1))).toBe(true);
    await writer.trim(1, before[1]);
    expect(disk.layer.exists(journalPath(1))).toBe(false);
    await second.close();
    const left = (await recoverAll(disk)).events.filter((event) => segmentOf(event) === 0);
    expect(left.slice(-3)).toEqual(needed);
  });

  it('leaves a reader that has begun all that it was to read', async () => {
    const disk = makeDisk(512);
    const { append, writer, maker, possession, close } = await openJournal(disk);
    const events: string[] = [];
    for (let group = 0; group < 30; group++) events.push(...append(3, group % SEGMENTS));
    const reader = possession.store.reader({ untilPosition: writer.position });
    const all = new Set([0, 1]);
    let bytes = 0;
    for await (const batch of reader.batches(all, () => 0)) {
      bytes += batch.bytes.length;
      append(3);
      for (let segment = 0; segment < SEGMENTS; segment++) await writer.trim(segment, maker.lsns[segment]);
    }
    await reader.close();
    expect(bytes).toBe(events.join('').length / 2);
    await close();
  });

  it('may run while a reader opens the files', async () => {
    const disk = makeDisk(512);
    const { append, writer, maker, possession, close } = await openJournal(disk);
    for (let group = 0; group < 30; group++) append(3, group % SEGMENTS);
    const kept = append(60, 1);
    const reader = possession.store.reader({ untilPosition: writer.position });
    disk.layer.fault = (call, path) => {
      if (call !== 'open' || path !== journalPath(3)) return;
      disk.layer.fault = () => {};
      void writer.trim(0, maker.lsns[0]);
      void writer.trim(1, maker.lsns[1] - 84);
    };
    const read = (await readEvents(reader, SEGMENTS))[1];
    expect(disk.layer.exists(journalPath(3))).toBe(false);
    expect(read.slice(-kept.length)).toEqual(kept);
    await close();
  });

  it('syncs what comes after the files before they go, whatever the level', async () => {
    const disk = makeDisk(512);
    const { append, writer, maker, close } = await openJournal(disk, 'journal');
    for (let group = 0; group < 10; group++) append(3);
    const calls: string[] = [];
    disk.layer.fault = (call) => void calls.push(call);
    await writer.trim(0, maker.lsns[0]);
    expect(calls.slice(0, 3)).toEqual(['fdatasync', 'unlink', 'syncDirectory']);
    await close();
  });
});
