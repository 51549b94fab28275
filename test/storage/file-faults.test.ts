import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { possessFileStore } from '../../src/storage/file-store.ts';
import { StoreError } from '../../src/storage/store.ts';
import { EventMaker, readEvents, splitEvents } from './events.ts';
import { killAndRecover, makeDisk, openJournal, recoverAll } from './file-fixture.ts';
import { errno } from './memory-layer.ts';

describe('a full disk', () => {
  it.each([512, 1024])(
    'refuses a group at any byte, and writes it once when there is room (files of %i bytes)',
    async (fileBytes) => {
      for (let room = 0; room < 260; room += 4) {
        const disk = makeDisk(fileBytes);
        const { append, writer, maker, close } = await openJournal(disk);
        const events = append(4);
        const position = writer.position;
        disk.layer.room = room;
        const lot = maker.make(1, 12);
        writer.add(lot, 0, lot.length);
        for (let attempt = 0; attempt < 3; attempt++) {
          expect(
            codeOf(() => writer.commit()),
            `room for ${room} bytes`,
          ).toBe('FULL');
          writer.mark?.();
        }
        const rolled = writer.position - position;
        expect(rolled).toBeLessThanOrEqual(3);
        // What comes meanwhile belongs to the same group.
        const more = maker.make(0, 20);
        writer.add(more, 0, more.length);
        expect(codeOf(() => writer.commit())).toBe('FULL');
        disk.layer.room = Number.POSITIVE_INFINITY;
        writer.mark?.();
        await writer.commit();
        events.push(...splitEvents(more), ...append(1));
        await close();
        expect((await recoverAll(disk)).events).toEqual([...events, ...splitEvents(lot)]);
      }
    },
  );

  it('leaves what was acknowledged when the server is killed meanwhile', async () => {
    for (let room = 0; room < 400; room += 4) {
      const disk = makeDisk(512);
      const { append, writer, maker } = await openJournal(disk);
      const events = append(4);
      disk.layer.room = room;
      const lot = maker.make(0, 8);
      writer.add(lot, 0, lot.length);
      const code = codeOf(() => writer.commit());
      disk.layer.room = Number.POSITIVE_INFINITY;
      const found = (await killAndRecover(disk)).events;
      // Not acknowledged, so there whole or not at all.
      const all = [...events, ...splitEvents(lot)];
      expect(found).toEqual(code === 'none' || found.length > events.length ? all : events);
    }
  });

  it('lets a trim leave enough to go on from', async () => {
    for (let room = 0; room < 400; room += 4) {
      const disk = makeDisk(512);
      const { append, writer, maker } = await openJournal(disk);
      append(8);
      const before = maker.lsns.slice();
      disk.layer.room = room;
      const lot = maker.make(0, 8);
      writer.add(lot, 0, lot.length);
      codeOf(() => writer.commit());
      await writer.trim(0, before[0]);
      disk.layer.room = Number.POSITIVE_INFINITY;
      disk.layer.kill();
      // The next start may trim all, and be killed before it writes.
      const next = await openJournal(disk);
      await next.writer.trim(0, next.maker.lsns[0]);
      disk.layer.kill();
      const last = await openJournal(disk);
      const more = last.append(2, 1);
      await last.close();
      expect((await recoverAll(disk)).events.slice(-more.length), `room for ${room} bytes`).toEqual(more);
    }
  });

  it('keeps a close from pretending that all was written', async () => {
    const disk = makeDisk();
    const { append, writer, maker } = await openJournal(disk);
    const events = append(4);
    disk.layer.room = 40;
    const lot = maker.make(0, 8);
    writer.add(lot, 0, lot.length);
    expect(codeOf(() => writer.commit())).toBe('FULL');
    await expect(writer.close()).rejects.toMatchObject({ code: 'FULL' });
    disk.layer.room = Number.POSITIVE_INFINITY;
    expect((await killAndRecover(disk)).events).toEqual(events);
  });

  it('refuses a snapshot, and leaves nothing of it', async () => {
    const disk = makeDisk();
    const { possession } = await openJournal(disk);
    const snapshots = possession.store.snapshots(possession.identity);
    const before = disk.layer.paths();
    disk.layer.room = 10;
    await expect(snapshots.write(0, 1, new Uint8Array(50))).rejects.toMatchObject({ code: 'FULL' });
    expect(disk.layer.paths()).toEqual(before);
  });

  it('is one on a real file system, too', async ({ skip }) => {
    const root = mkdtempSync(join(tmpdir(), 'holdfast-full-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', root], { stdio: 'pipe' });
    } catch {
      rmdirSync(root);
      skip('mounting a small tmpfs is not permitted here');
    }
    try {
      const possession = await possessFileStore(
        `file:${root}/data`,
        { segments: 1, create: true },
        { fileBytes: 128 << 10 },
      );
      const { end } = await possession.check();
      const maker = new EventMaker(1);
      const writer = possession.store.writer({
        ack: 'sync',
        end,
        run: { bootId: 'boot', offsetMs: 0 },
        identity: possession.identity,
        lastLsns: [],
        lsns: maker.lsns,
      });
      const events: string[] = [];
      let code = 'none';
      let acknowledged = 0;
      while (code === 'none') {
        const lot = maker.make(0, 100);
        writer.add(lot, 0, lot.length);
        events.push(...splitEvents(lot));
        code = codeOf(() => writer.commit());
        if (code === 'none') acknowledged = maker.lsns[0];
      }
      expect(code).toBe('FULL');
      expect(codeOf(() => writer.commit())).toBe('FULL');
      // A trim makes room, and the same group goes through.
      await writer.trim(0, acknowledged);
      await writer.commit();
      await writer.close();
      const check = await possession.check();
      const read = (await readEvents(possession.store.reader({ end: check.end }), 1))[0];
      expect(read.length).toBeGreaterThan(100);
      expect(read).toEqual(events.slice(events.length - read.length));
      await possession.release();
    } finally {
      execFileSync('umount', [root]);
      rmdirSync(root);
    }
  });
});

describe('an error that is final', () => {
  it.each([
    ['fdatasync', 'EIO'],
    ['fdatasync', 'ENOSPC_LATE'],
    ['write', 'EIO'],
    ['write', 'EROFS'],
  ])('of %s (%s) ends the journal for good', async (call, code) => {
    const disk = makeDisk();
    const { append, writer, maker } = await openJournal(disk);
    const events = append(3);
    disk.layer.fault = (name, path) => {
      if (name === call) throw errno(code, path);
    };
    const lot = maker.make(0, 3);
    writer.add(lot, 0, lot.length);
    expect(codeOf(() => writer.commit())).toBe('FAILED');
    disk.layer.fault = () => {};
    for (const refused of [() => writer.commit(), () => writer.trim(0, 1), () => writer.mark?.()]) {
      expect(codeOf(refused)).toBe('FAILED');
    }
    const syncs = disk.layer.calls.get('fdatasync');
    await writer.close();
    expect(disk.layer.calls.get('fdatasync')).toBe(syncs);
    const found = (await killAndRecover(disk)).events;
    expect(found.slice(0, events.length)).toEqual(events);
  });

  it('is what a sync that runs out of room says, too', async () => {
    const disk = makeDisk();
    const { writer, maker } = await openJournal(disk);
    disk.layer.fault = (name, path) => {
      if (name === 'fdatasync') throw errno('ENOSPC', path);
    };
    const lot = maker.make(0, 1);
    writer.add(lot, 0, lot.length);
    expect(codeOf(() => writer.commit())).toBe('FAILED');
  });
});

describe('descriptors', () => {
  it('are all given back', async () => {
    const disk = makeDisk(512);
    const { append, close, writer, possession } = await openJournal(disk);
    for (let group = 0; group < 20; group++) append(3);
    await writer.trim(0, 10);
    const reader = possession.store.reader({ untilPosition: writer.position });
    for await (const _ of reader.batches(new Set([0]), () => 0)) break;
    await reader.close();
    await close();
    expect(disk.layer.openFiles).toBe(0);
  });
});

function codeOf(what: () => unknown): string {
  try {
    what();
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
  return 'none';
}
