import { describe, expect, it } from 'vitest';
import { MAX_HOLD_LIFE_MS, MAX_QUANTITY, MAX_TTL_MS } from '../../protocol/limits.ts';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import {
  copyImage,
  eraseSegment,
  ImageError,
  imageInfo,
  imageWords,
  restoreImage,
} from '../../src/core/image.ts';
import { inspectSegment } from '../../src/core/invariant.ts';
import { Fence, Header, type SegmentOptions } from '../../src/core/layout.ts';
import { Replayer } from '../../src/core/replay.ts';
import type { Segment } from '../../src/core/segment.ts';
import { describeSegment } from './describe-segment.ts';
import { type Command, DirectCaller, makeSegment, type SegmentFixture, T0 } from './fixtures.ts';
import { Table } from './table.ts';

/**
 * Holds in both piles and loose, in each state, keys of open holds and of ended ones, free entries of keys and holders,
 * a slot used twice.
 */
const STORY = `
    0 | STOCK pen total 100         | OK 100 0 0 100
    0 | STOCK ink total 20 9 9 4000 | OK 20 0 0 20
    1 | HOLD pen 3 1000 k           | OK $a @1001
    1 | HOLD pen 1 500              | OK $b @501
    1 | HOLD pen 1 2000             | OK $c @2001
    1 | HOLD pen 1 700 m            | OK $d @701
    1 | HOLD pen 2 600              | OK $e @601
    2 | HOLD ink 4 1000 n           | OK $f @1002
    2 | bob: HOLD ink 2 500         | OK $g @502
    2 | cid: HOLD ink 1 500 o       | OK $h @502
    3 | CONFIRM $f 3                | OK 3
    4 | RETURN $f 1                 | OK 2
    5 | cid: RELEASE $h             | OK 0
    6 | RELEASE $b                  | OK 0
   20 | advance 100                 | 2
   21 | bob: HOLD ink 1 500         | OK $i @521
   21 | dan: HOLD ink 3 500 p       | OK $j @521
`;
const OPTIONS = { endedRetentionMs: 10, keyRetentionMs: 10 };

function tell(options: SegmentFixture = {}): Segment {
  return new Table(new DirectCaller(makeSegment({ ...OPTIONS, ...options }))).play(STORY).caller.segment;
}

function imageOf(segment: Segment): Int32Array {
  const image = new Int32Array(imageWords(segment));
  expect(copyImage(segment, image)).toBe(image.length);
  return image;
}

/** What anybody may ask next, long enough to run into slots, keys and deadlines again. */
function goOn(segment: Segment): unknown[] {
  const caller = new DirectCaller(segment);
  const replies: unknown[] = [];
  for (let step = 0; step < 120; step++) {
    const now = T0 + 22 + step * 9;
    const holder = ['ann', 'bob', 'cid', 'dan'][step % 4];
    const sku = step % 3 === 0 ? 'ink' : 'pen';
    const ttlMs = [40, 100, 333, 1000][(step * 7) % 4];
    const key = step % 5 === 0 ? `key ${step % 2}` : null;
    const held = caller.send([Op.HOLD, sku, 1 + (step % 3), ttlMs, key], now, holder);
    // Which free slot a hold gets depends on the order in which others ended, which the wheel is free to choose.
    replies.push(held.toSpliced(1, held[0] === Status.OK ? 1 : 0), caller.send([Op.READ, sku], now));
    if (held[0] === Status.OK && step % 2 === 0) {
      const command: Command = [step % 4 === 0 ? Op.CONFIRM : Op.RELEASE, held[1], 1];
      replies.push(caller.send(command, now + 1, holder));
    }
    replies.push(segment.advance(now + 2, 5));
    expect(inspectSegment(segment).violations).toEqual([]);
  }
  return replies;
}

describe('an image', () => {
  it('makes the same segment, which goes on in the same way', () => {
    const segment = tell();
    const image = imageOf(segment);
    expect(imageInfo(image)).toEqual({
      version: 2,
      segment: 3,
      words: image.length,
      lsn: segment.lsn,
      timeMs: T0 + 21,
    });
    const restored = makeSegment(OPTIONS);
    restoreImage(restored, image);
    expect(describeSegment(restored)).toEqual(describeSegment(segment));
    expect(goOn(restored)).toEqual(goOn(segment));
  });

  it('of an empty segment is one', () => {
    const restored = makeSegment();
    restoreImage(restored, imageOf(makeSegment()));
    expect(goOn(restored)).toEqual(goOn(makeSegment()));
  });

  it('has only what is used', () => {
    expect(imageWords(tell({ skus: 1000, holds: 10_000, keys: 10_000, holders: 10_000 }))).toBe(
      imageWords(tell()),
    );
  });

  it.each<Partial<SegmentOptions>>([
    { skus: 1000, holds: 5000, keys: 3000, holders: 2000 },
    // Just what is used.
    { skus: 2, holds: 8, keys: 4, holders: 3 },
  ])('makes the same segment with other capacities: %o', (capacities) => {
    const segment = tell();
    const restored = makeSegment({ ...OPTIONS, ...capacities });
    restoreImage(restored, imageOf(segment));
    expect(describeSegment(restored)).toEqual(describeSegment(segment));
    goOn(restored);
  });

  it.each<[Partial<SegmentOptions>, string]>([
    [{ skus: 1 }, 'it has 2 skus, and the setting "skus" has room for 1'],
    [{ holds: 7 }, 'it has 8 holds, and the setting "holds" has room for 7'],
    [{ keys: 3 }, 'it has 4 keys, and the setting "keys" has room for 3'],
    [{ holders: 2 }, 'it has 3 holders, and the setting "holders" has room for 2'],
  ])('says which setting is too small: %o', (capacities, message) => {
    expect(() => restoreImage(makeSegment(capacities), imageOf(tell()))).toThrow(message);
  });

  it('keeps the mark of a segment that is fenced off, and takes none over', () => {
    const fenced = makeSegment(OPTIONS);
    fenced.fence(Fence.FOR_GOOD);
    restoreImage(fenced, imageOf(tell()));
    expect(fenced.fenced).toBe(true);
    fenced.unfence();
    expect(fenced.fenced).toBe(false);
    const source = tell();
    source.fence(Fence.FOR_GOOD);
    const restored = makeSegment(OPTIONS);
    restoreImage(restored, imageOf(source));
    expect(restored.fenced).toBe(false);
  });

  it('ends holds that were due while nobody was there', () => {
    const restored = makeSegment(OPTIONS);
    restoreImage(restored, imageOf(tell()));
    const open = restored.openHolds;
    expect(restored.advance(T0 + 86_400_000, 100)).toBeGreaterThanOrEqual(open);
    expect(restored.openHolds).toBe(0);
  });

  it('is refused by a segment of another number, by one in use, and by another version', () => {
    const image = imageOf(tell());
    expect(() => restoreImage(makeSegment({ number: 4 }), image)).toThrow('it is of segment 3');
    expect(() => restoreImage(tell(), image)).toThrow('segment 3 is not empty');
    image[0] = 3;
    expect(() => restoreImage(makeSegment(), image)).toThrow(
      'the image has version 3, and this program reads 2',
    );
  });
});

describe('a damaged image', () => {
  it('is refused when it is cut off anywhere', () => {
    const image = imageOf(tell());
    for (let words = 0; words < image.length; words++) {
      expect(() => restoreImage(makeSegment(OPTIONS), image.subarray(0, words))).toThrow(ImageError);
    }
  });

  it('is refused, or makes a segment without contradictions that can be used', () => {
    const image = imageOf(tell());
    let refused = 0;
    for (let word = 0; word < image.length; word++) {
      const old = image[word] as number;
      for (const value of [old + 1, old ^ 0x80, ~old, 0, MAX_QUANTITY, MAX_TTL_MS, 3]) {
        if (value === old) continue;
        image[word] = value;
        const segment = makeSegment(OPTIONS);
        try {
          restoreImage(segment, image);
        } catch (error) {
          if (!(error instanceof ImageError)) throw error;
          refused++;
          continue;
        }
        segment.advance(T0 + 300, 1000);
        new DirectCaller(segment).send([Op.HOLD, 'pen', 1, 100, 'q'], T0 + 300);
        new Replayer(segment).finish(T0 + 2 * MAX_HOLD_LIFE_MS);
        segment.advance(T0 + 2 * MAX_HOLD_LIFE_MS + 8, 1000);
        expect(segment.openHolds, `word ${word} is ${value}`).toBe(0);
        expect(inspectSegment(segment).violations, `word ${word} is ${value}`).toEqual([]);
      }
      image[word] = old;
    }
    expect(refused).toBeGreaterThan(image.length);
  });
});

describe('eraseSegment()', () => {
  it('leaves an empty segment whatever was in the memory, and the mark that fences it off', () => {
    const segment = tell();
    const { i32 } = segment.memory;
    i32.fill(-1);
    i32[Header.FENCED] = 1;
    eraseSegment(segment);
    expect(i32[Header.FENCED]).toBe(1);
    i32[Header.FENCED] = 0;
    expect(i32.every((word) => word === 0)).toBe(true);
    expect(goOn(segment)).toEqual(goOn(makeSegment(OPTIONS)));
  });

  it('is what a segment is rebuilt on in its place', () => {
    const segment = tell();
    const image = imageOf(segment);
    const before = describeSegment(segment);
    segment.fence(Fence.FOR_GOOD);
    new DirectCaller(segment).send([Op.HOLD, 'pen', 1, 10], T0 + 30);
    eraseSegment(segment);
    restoreImage(segment, image);
    segment.unfence();
    expect(describeSegment(segment)).toEqual(before);
  });
});
