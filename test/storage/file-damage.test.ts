import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/base/prng.ts';
import { crc32cWords } from '../../src/storage/crc32c.ts';
import { checkFileJournal, possessFileStore } from '../../src/storage/file-store.ts';
import { StoreError } from '../../src/storage/store.ts';
import {
  type Disk,
  JOURNAL,
  journalPath,
  killAndRecover,
  makeDisk,
  openJournal,
  possess,
  recoverAll,
  URL,
  usedBytes,
} from './file-fixture.ts';
import { PowerLost } from './memory-layer.ts';

const LAST = 2;

/** A journal of two files, the second with a few groups, closed in order. */
async function closedJournal(): Promise<{ disk: Disk; events: string[] }> {
  const disk = makeDisk(640);
  const { append, writer, close } = await openJournal(disk);
  const events: string[] = [];
  for (let group = 0; group < 6; group++) {
    events.push(...append(2));
    if (group === 3) writer.mark?.();
  }
  await close();
  expect(disk.layer.paths().filter((path) => path.startsWith(JOURNAL))).toEqual([
    journalPath(1),
    journalPath(LAST),
  ]);
  return { disk, events };
}

/** The outcome of a start: its events, or the error's code. */
async function outcome(disk: Disk): Promise<string[] | string> {
  try {
    return (await recoverAll(disk)).events;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return error.code;
  }
}

function changed({ layer, fileBytes }: Disk, path: string, change: (bytes: Uint8Array) => Uint8Array): Disk {
  const copy = layer.clone();
  copy.replace(path, change(layer.bytesOf(path).slice()));
  return { layer: copy, fileBytes };
}

function flipped(disk: Disk, path: string, bit: number): Disk {
  return changed(disk, path, (bytes) => {
    bytes[bit >>> 3] ^= 1 << (bit & 7);
    return bytes;
  });
}

describe('a bit that flipped', () => {
  it('in a closed journal leads to a refusal, or to all events', async () => {
    const { disk, events } = await closedJournal();
    const outcomes = { refused: 0, whole: 0 };
    for (let file = 1; file <= LAST; file++) {
      const bits = disk.layer.bytesOf(journalPath(file)).length * 8;
      for (let bit = 0; bit < bits; bit++) {
        const result = await outcome(flipped(disk, journalPath(file), bit));
        if (typeof result === 'string') {
          expect(['CORRUPT', 'INCOMPATIBLE'], `file ${file}, bit ${bit}`).toContain(result);
          outcomes.refused++;
        } else {
          if (result.length !== events.length)
            expect.fail(`file ${file}, bit ${bit}: ${result.length} events`);
          expect(result).toEqual(events);
          outcomes.whole++;
        }
      }
    }
    expect(outcomes.refused).toBeGreaterThan(4000);
    expect(outcomes.whole).toBeGreaterThan(100);
  });

  it('in the manifest leads to a refusal', async () => {
    const { disk } = await closedJournal();
    const path = '/disk/data/manifest';
    const bits = disk.layer.bytesOf(path).length * 8;
    for (let bit = 0; bit < bits; bit++) {
      expect(await outcome(flipped(disk, path, bit)), `bit ${bit}`).toMatch(/CORRUPT|INCOMPATIBLE/);
    }
  });

  it('in the last group that a killed server had acknowledged and marked leads to a refusal', async () => {
    for (const ack of ['sync', 'journal'] as const) {
      const disk = makeDisk(4096);
      const { append, writer } = await openJournal(disk, ack);
      append(2);
      const from = usedBytes(disk.layer, 1);
      append(2);
      const to = usedBytes(disk.layer, 1);
      writer.mark?.();
      disk.layer.kill();
      for (let bit = Math.ceil(from / 8) * 64; bit < to * 8; bit++) {
        expect(await outcome(flipped(disk, journalPath(1), bit)), `${ack}, bit ${bit}`).toBe('CORRUPT');
      }
    }
  });
});

describe('a torn end', () => {
  it.each(['nothing', 'zeros', 'garbage'])('is cut at every byte, with %s behind it', async (behind) => {
    const prng = new Prng(7);
    const disk = makeDisk(4096);
    const { append } = await openJournal(disk);
    const kept = append(3);
    const from = Math.ceil(usedBytes(disk.layer, 1) / 8) * 8;
    const last = append(40);
    const lastByte = usedBytes(disk.layer, 1);
    const to = Math.ceil(lastByte / 8) * 8;
    disk.layer.kill();
    for (let cut = from; cut <= to; cut++) {
      const torn = changed(disk, journalPath(1), (bytes) => {
        if (behind === 'nothing') return bytes.slice(0, cut);
        for (let at = cut; at < bytes.length; at++) bytes[at] = behind === 'zeros' ? 0 : prng.below(256);
        return bytes;
      });
      const { check, events } = await recoverAll(torn);
      // The very last bytes are zero by themselves.
      const whole = cut >= (behind === 'zeros' ? lastByte : to);
      expect(events).toEqual(whole ? [...kept, ...last] : kept);
      const nothingLeft = behind !== 'garbage' && (cut === from || whole);
      expect(check.torn !== undefined, `cut at ${cut}`).toBe(!nothingLeft);
      if (nothingLeft) continue;
      expect(check.torn).toMatch(/0001\.log, offset \d+: \d+ bytes .* kept in \/disk\/data\/torn-/);
      const second = await recoverAll(torn);
      expect(second.check.torn).toBeUndefined();
      expect(second.events).toEqual(events);
    }
  });

  it('keeps the torn bytes aside, and goes on behind the cut', async () => {
    const disk = makeDisk();
    const { append } = await openJournal(disk);
    const kept = append(2);
    const at = Math.ceil(usedBytes(disk.layer, 1) / 8) * 8;
    disk.layer.kill();
    disk.layer.bytesOf(journalPath(1)).set([1, 2, 3, 0, 5], at);
    await killAndRecover(disk);
    const aside = disk.layer.paths().find((path) => path.includes('torn-'))!;
    expect([...disk.layer.bytesOf(aside)]).toEqual([1, 2, 3, 0, 5, 0, 0, 0]);
    const next = await openJournal(disk);
    const more = next.append(2);
    await next.close();
    expect((await recoverAll(disk)).events).toEqual([...kept, ...more]);
  });

  it('is one when a power loss left the later frames of an unsynced group, and not the first', async () => {
    const disk = makeDisk(8 << 20);
    const { writer, maker, append } = await openJournal(disk);
    const kept = append(2);
    const from = Math.ceil(usedBytes(disk.layer, 1) / 8) * 8;
    // More than a frame takes, so that the group has three.
    for (let lot = 0; lot < 3; lot++) {
      const bytes = maker.make(0, 25_000);
      writer.add(bytes, 0, bytes.length);
    }
    await writer.commit();
    disk.layer.kill();
    disk.layer.bytesOf(journalPath(1)).fill(0, from, from + 4096);
    const { check, events } = await recoverAll(disk);
    expect(check.torn).toBeDefined();
    expect(events).toEqual(kept);
  });

  it('is damage when a later group, or the end in order, shows that it had been durable', async () => {
    for (const close of [false, true]) {
      const disk = makeDisk();
      const journal = await openJournal(disk);
      journal.append(2);
      const from = Math.ceil(usedBytes(disk.layer, 1) / 8) * 8;
      journal.append(2);
      if (close) await journal.close();
      else journal.append(2);
      disk.layer.kill();
      disk.layer.bytesOf(journalPath(1)).fill(0, from, from + 40);
      const error = await recoverAll(disk).catch((e: Error) => e);
      expect(error).toMatchObject({ code: 'CORRUPT' });
      expect(String(error)).toMatch(
        /0001\.log: frame \d+ at offset \d+ .* durable\. Restore .* `holdfast recover --to`/,
      );
    }
  });

  it('by ack journal, counts what was marked as whole only until the machine starts anew', async () => {
    const disk = makeDisk();
    const { append, writer } = await openJournal(disk, 'journal');
    const kept = append(2);
    const from = Math.ceil(usedBytes(disk.layer, 1) / 8) * 8;
    append(2);
    writer.mark?.();
    disk.layer.kill();
    disk.layer.bytesOf(journalPath(1)).fill(0, from, from + 40);
    await expect(recoverAll(disk)).rejects.toMatchObject({ code: 'CORRUPT' });
    expect((await recoverAll(disk, 'boot-2')).events).toEqual(kept);
  });

  it('is only told, not cut, by a check that may not change anything', async () => {
    const disk = makeDisk();
    const { append } = await openJournal(disk);
    append(2);
    disk.layer.bytesOf(journalPath(1)).set([9], usedBytes(disk.layer, 1) + 8);
    const before = disk.layer.clone();
    const check = await checkFileJournal(URL, { layer: disk.layer, bootId: 'boot-1' });
    expect(check.torn).toMatch(/of a group that was not written whole$/);
    expect(disk.layer.paths()).toEqual(before.paths());
    for (const path of before.paths()) expect(disk.layer.bytesOf(path)).toEqual(before.bytesOf(path));
  });
});

describe('a journal', () => {
  const rows: [string, (disk: Disk) => void, RegExp][] = [
    [
      'without any file',
      ({ layer }) => {
        for (const number of [1, LAST]) layer.unlink(journalPath(number));
      },
      /CORRUPT.*no journal file/,
    ],
    [
      'without its last file',
      ({ layer }) => layer.unlink(journalPath(LAST)),
      /CORRUPT.*0002\.log: the file is missing/,
    ],
    [
      'whose last file is emptied',
      ({ layer }) => layer.replace(journalPath(LAST), new Uint8Array(0)),
      /CORRUPT.*0002\.log: the header at offset 0/,
    ],
    ['whose files changed places', swapFiles, /CORRUPT.*written as file number/],
    [
      'with a file of another version',
      ({ layer }) => otherVersion(layer.bytesOf(journalPath(1))),
      /INCOMPATIBLE.*version 2/,
    ],
    [
      'cut short in the middle',
      ({ layer }) => layer.replace(journalPath(1), layer.bytesOf(journalPath(1)).slice(0, 200)),
      /CORRUPT.*0002\.log was begun after it/,
    ],
  ];

  it.each(rows)('%s is not taken for a shorter one', async (_what, damage, expected) => {
    const { disk, events } = await closedJournal();
    damage(disk);
    disk.layer.kill();
    const result = await recoverAll(disk).then(
      (found) => `${found.events.length} of ${events.length} events`,
      (error: StoreError) => `${error.code}: ${error.message}`,
    );
    expect(result).toMatch(expected);
  });

  it('of another store is refused', async () => {
    const [one, other] = [await closedJournal(), await closedJournal()];
    one.disk.layer.replace(journalPath(LAST), other.disk.layer.bytesOf(journalPath(LAST)));
    await expect(recoverAll(one.disk)).rejects.toMatchObject({
      code: 'INCOMPATIBLE',
      message: expect.stringMatching(/another store/),
    });
  });

  it('with a gap between its files is refused', async () => {
    const disk = makeDisk(512);
    const { append, close } = await openJournal(disk);
    for (let group = 0; group < 12; group++) append(2);
    await close();
    disk.layer.unlink(journalPath(2));
    await expect(recoverAll(disk)).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringMatching(/0002\.log: the file is missing/),
    });
  });
});

describe('a directory', () => {
  it('in which the making of a store was cut short becomes one', async () => {
    const calls = makeDisk();
    await (await possess(calls)).release();
    const total = [...calls.layer.calls.values()].reduce((sum, count) => sum + count, 0);
    for (let last = 1; last < total; last++) {
      const disk = makeDisk();
      let left = last;
      disk.layer.fault = () => {
        if (--left <= 0) throw new PowerLost();
      };
      await possess(disk).catch(() => {});
      disk.layer.kill();
      const { append, close } = await openJournal(disk);
      const events = append(3);
      await close();
      expect((await recoverAll(disk)).events).toEqual(events);
    }
  });

  it('takes the identity that it is given', async () => {
    const { layer } = makeDisk();
    const identity = {
      id: '0123456789abcdef'.repeat(2),
      segments: 3,
      secret: new Uint8Array(32).fill(7),
      fresh: true,
    };
    const possession = await possessFileStore(URL, { segments: 3, create: true, identity }, { layer });
    await possession.release();
    const again = await possessFileStore(URL, { segments: 3, create: false }, { layer });
    expect(again.identity).toEqual({ ...identity, fresh: false });
    await again.release();
  });

  it('can be used on a full disk: what is needed to start is there', async () => {
    const disk = makeDisk();
    const { append, close } = await openJournal(disk);
    const events = append(3);
    await close();
    disk.layer.room = 0;
    expect((await recoverAll(disk)).events).toEqual(events);
  });

  it('with a journal but no manifest is refused, and left alone', async () => {
    const { disk } = await closedJournal();
    disk.layer.unlink('/disk/data/manifest');
    await expect(possess(disk)).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringMatching(/manifest is missing/),
    });
    expect(disk.layer.paths()).toContain(journalPath(1));
  });

  it('with other things in it is refused', async () => {
    const disk = makeDisk();
    disk.layer.mkdir('/disk');
    disk.layer.mkdir('/disk/data');
    disk.layer.replace('/disk/data/photo.jpg', new Uint8Array(1));
    await expect(possess(disk)).rejects.toMatchObject({
      code: 'INCOMPATIBLE',
      message: expect.stringMatching(/photo\.jpg/),
    });
    expect(disk.layer.paths()).toEqual(['/disk/data/photo.jpg']);
  });
});

function swapFiles({ layer }: Disk): void {
  const [first, last] = [layer.bytesOf(journalPath(1)), layer.bytesOf(journalPath(LAST))];
  layer.replace(journalPath(1), last);
  layer.replace(journalPath(LAST), first);
}

function otherVersion(bytes: Uint8Array): void {
  const i32 = new Int32Array(bytes.buffer, 0, 16);
  i32[2] = 2;
  i32[1] = crc32cWords(i32, 2, 14);
}
