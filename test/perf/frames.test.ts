import { Unpackr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import {
  type FrameSet,
  holdFrame,
  holdFrames,
  KEY_BYTES,
  skuName,
  stampKeys,
  stockFrames,
} from '../../perf/load/frames.ts';
import { Op, StockMode } from '../../protocol/ops.ts';

describe('prebuilt frames', () => {
  it.each([
    { skus: 1, commandsPerFrame: 1, frames: 1 },
    { skus: 1, commandsPerFrame: 400, frames: 1 },
    { skus: 20_000, commandsPerFrame: 1, frames: 20_000 },
    { skus: 20_000, commandsPerFrame: 400, frames: 50 },
    { skus: 1000, commandsPerFrame: 7, frames: 143 },
  ])('of $commandsPerFrame holds cover $skus SKUs', ({ skus, commandsPerFrame, frames }) => {
    const set = holdFrames({ skus, commandsPerFrame, ttlMs: 100, extra: 0 });
    expect(set).toMatchObject({ frames, commandsPerFrame });
    const commands = framesOf(set).flat();
    expect(commands).toHaveLength(frames * commandsPerFrame);
    expect(new Set(commands.map(([, , sku]) => sku)).size).toBe(skus);
    expect(new Set(commands.map(([, id]) => id)).size).toBe(commands.length);
    for (const [op, , , ...rest] of commands) expect([op, ...rest]).toEqual([Op.HOLD, 1, 100]);
  });

  it('begin again behind the last', () => {
    const plain = framesOf(holdFrames({ skus: 3, commandsPerFrame: 1, ttlMs: 100, extra: 0 }));
    const wrapped = framesOf(holdFrames({ skus: 3, commandsPerFrame: 1, ttlMs: 100, extra: 5 }));
    expect(wrapped).toEqual([...plain, ...plain, ...plain].slice(0, 8));
  });

  it('stock every SKU', () => {
    const commands = framesOf(stockFrames(250, 1_000_000_000, 100)).flat();
    expect(commands).toHaveLength(300);
    expect(new Set(commands.map(([, , sku]) => sku))).toEqual(
      new Set(Array.from({ length: 250 }, (_, i) => skuName(i))),
    );
    for (const [op, , , ...rest] of commands) {
      expect([op, ...rest]).toEqual([Op.STOCK, StockMode.TOTAL, 1_000_000_000]);
    }
  });

  it('begin with the SKU that was asked for', () => {
    const shape = { skus: 3, firstSku: 20, commandsPerFrame: 3 };
    const skusOf = (set: FrameSet) =>
      framesOf(set)
        .flat()
        .map(([, , sku]) => sku)
        .sort();
    const names = [20, 21, 22].map((index) => skuName(index));
    expect(skusOf(holdFrames({ ...shape, ttlMs: 100, extra: 0 }))).toEqual(names);
    expect(skusOf(stockFrames(3, 0, 3, 20))).toEqual(names);
  });

  it.each([1, 3, 400])('of %i commands get a key for each of them', (commandsPerFrame) => {
    const set = holdFrames({ skus: 800, commandsPerFrame, ttlMs: 100, extra: 0, keyed: true });
    const prefix = Buffer.from('lane one');
    const bytes = Buffer.from(set.bytes);
    const next = stampKeys(set, bytes, prefix, 7);
    const commands = framesOf({ ...set, bytes }).flat();
    expect(next).toBe(7 + commands.length);
    const keys = commands.map((command) => Buffer.from(command[5] as unknown as Uint8Array));
    expect(keys.every((key) => key.length === KEY_BYTES && key.subarray(0, 8).equals(prefix))).toBe(true);
    expect(keys.map((key) => Number(key.readBigUInt64BE(8)))).toEqual(commands.map((_, i) => i + 7));
    expect(commands.map((command) => command.slice(0, 5))).toEqual(
      framesOf(holdFrames({ skus: 800, commandsPerFrame, ttlMs: 100, extra: 0 })).flat(),
    );
  });

  it('of one hold are like those of a set', () => {
    const bytes = holdFrame(70_000, 12, 100);
    const [[command]] = framesOf({ ...NO_SET, bytes, frameBytes: bytes.length });
    expect(command).toEqual([Op.HOLD, 70_000, skuName(12), 1, 100]);
  });

  it('stay within the protocol', () => {
    expect(() => holdFrames({ skus: 1, commandsPerFrame: 4000, ttlMs: 100, extra: 0 })).toThrow(RangeError);
  });
});

const NO_SET = { frames: 1, commandsPerFrame: 1, commandBytes: 0 };

type Command = [op: number, id: number, sku: string, ...rest: number[]];

/** The commands of each frame, unmasked as a server does it. */
function framesOf({ bytes, frameBytes }: FrameSet): Command[][] {
  const unpackr = new Unpackr({ useRecords: false });
  return Array.from({ length: bytes.length / frameBytes }, (_, i) => {
    const frame = bytes.subarray(i * frameBytes, (i + 1) * frameBytes);
    expect(frame[0]).toBe(0x82);
    expect(frame[1] & 0x80).toBe(0x80);
    const isShort = (frame[1] & 0x7f) < 126;
    const head = isShort ? 6 : 8;
    expect(isShort ? frame[1] & 0x7f : frame.readUInt16BE(2)).toBe(frameBytes - head);
    expect(frame.subarray(head - 4, head)).toEqual(Buffer.alloc(4));
    return unpackr.unpackMultiple(frame.subarray(head)) as Command[];
  });
}
