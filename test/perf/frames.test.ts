import { Unpackr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { type FrameSet, holdFrames, skuName, stockFrames } from '../../perf/load/frames.ts';
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

  it('stay within the protocol', () => {
    expect(() => holdFrames({ skus: 1, commandsPerFrame: 4000, ttlMs: 100, extra: 0 })).toThrow(RangeError);
  });
});

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
