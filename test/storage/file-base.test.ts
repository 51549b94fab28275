import { describe, expect, it } from 'vitest';
import { readEvents } from './events.ts';
import {
  type Disk,
  JOURNAL,
  journalPath,
  killAndRecover,
  makeDisk,
  openJournal,
  possess,
  recoverAll,
  SEGMENTS,
} from './file-fixture.ts';

/** BASE frames, found by their type, in a file: byte offset and length of each. */
function basesIn({ layer }: Disk, number: number): { offset: number; bytes: number }[] {
  const bytes = layer.bytesOf(journalPath(number));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: { offset: number; bytes: number }[] = [];
  for (let offset = 64; offset + 32 <= bytes.length; ) {
    if (view.getUint32(offset, true) !== 0x314a4648) break;
    const length = 32 + view.getUint32(offset + 8, true);
    if (view.getUint32(offset + 12, true) === 6) found.push({ offset, bytes: length });
    offset += length;
  }
  return found;
}

function lsnsIn(disk: Disk, number: number): number[] {
  const [{ offset, bytes }] = basesIn(disk, number);
  const u8 = disk.layer.bytesOf(journalPath(number)).slice(offset + 32, offset + bytes);
  return [...new Float64Array(u8.buffer)];
}

async function basesOf(disk: Disk) {
  const possession = await possess(disk);
  const { end } = await possession.check();
  const reader = possession.store.reader({ end });
  await readEvents(reader, SEGMENTS);
  await possession.release();
  return reader.bases;
}

function files({ layer }: Disk): string[] {
  return layer.paths().filter((path) => path.startsWith(JOURNAL));
}

/** A journal of which only the third file is left, closed in order. */
async function trimmedToOne(): Promise<Disk> {
  const disk = makeDisk(512);
  const { append, writer, maker, close } = await openJournal(disk);
  append(2, 1);
  while (files(disk).length < 3) append(3);
  for (let segment = 0; segment < SEGMENTS; segment++) await writer.trim(segment, maker.lsns[segment]);
  await close();
  expect(files(disk)).toEqual([journalPath(3)]);
  return disk;
}

describe('the BASE of a journal file', () => {
  it('says where every segment was, without the group that the file is begun for', async () => {
    const disk = makeDisk(512);
    const { append, maker, close } = await openJournal(disk);
    append(2, 1);
    let file = 1;
    for (let group = 0; group < 12; group++) {
      const before = [...maker.lsns];
      append(3, group % SEGMENTS);
      if (files(disk).length === file) continue;
      file = files(disk).length;
      expect(lsnsIn(disk, file)).toEqual(before);
    }
    expect(file).toBeGreaterThan(3);
    expect(lsnsIn(disk, 1)).toEqual([0, 0]);
    await close();
    expect(await basesOf(disk)).toEqual({
      first: Float64Array.of(0, 0),
      last: Float64Array.from(lsnsIn(disk, file)),
    });
  });

  it('is there once in each file, however many runs write to it', async () => {
    const disk = makeDisk(65_536);
    for (let run = 0; run < 3; run++) {
      const { append, close } = await openJournal(disk);
      append();
      await close();
    }
    expect(basesIn(disk, 1)).toHaveLength(1);
  });

  it('is written by the next run when a crash left the file without', async () => {
    const disk = makeDisk(512);
    const first = await openJournal(disk);
    while (files(disk).length < 2) first.append(3);
    disk.layer.kill();
    const [{ offset }] = basesIn(disk, 2);
    const whole = disk.layer.bytesOf(journalPath(2));
    const torn = whole.slice().fill(0, offset + 8);
    disk.layer.replace(journalPath(2), torn);
    expect((await killAndRecover(disk)).check.torn).toBeDefined();
    const second = await openJournal(disk);
    const { maker, writer } = second;
    const reached = [...maker.lsns];
    // Only the older file tells where the segments were, as long as nothing is written.
    for (let segment = 0; segment < SEGMENTS; segment++) await writer.trim(segment, maker.lsns[segment]);
    expect(files(disk)).toContain(journalPath(1));
    second.append(1, 1);
    expect(lsnsIn(disk, 2)).toEqual(reached);
    for (let segment = 0; segment < SEGMENTS; segment++) await writer.trim(segment, maker.lsns[segment]);
    expect(files(disk)).toEqual([journalPath(2)]);
    await second.close();
    expect((await basesOf(disk))?.first).toEqual(Float64Array.from(reached));
  });

  it('leads to a refusal whatever bit of it flips, and when the only file that is left ends before it', async () => {
    const disk = await trimmedToOne();
    const [{ offset, bytes }] = basesIn(disk, 3);
    for (let bit = offset * 8; bit < (offset + bytes) * 8; bit++) {
      const layer = disk.layer.clone();
      const flipped = layer.bytesOf(journalPath(3)).slice();
      flipped[bit >>> 3] ^= 1 << (bit & 7);
      layer.replace(journalPath(3), flipped);
      await expect(recoverAll({ ...disk, layer }), `bit ${bit}`).rejects.toMatchObject({ code: 'CORRUPT' });
    }
    disk.layer.replace(journalPath(3), disk.layer.bytesOf(journalPath(3)).slice(0, offset));
    await expect(recoverAll(disk)).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining('says where the segments were'),
    });
  });
});
