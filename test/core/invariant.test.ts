import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { HoldState } from '../../protocol/ops.ts';
import { type Inspection, inspectSegment } from '../../src/core/invariant.ts';
import { Header, Hold, Holder, layoutSegment, Sku } from '../../src/core/layout.ts';
import type { Segment } from '../../src/core/segment.ts';
import { encodedTable } from './table.ts';

/** Slots in the scene: two open holds of one SKU in one pile and one bucket, a third alone, then a sold and an expired one. */
const FIRST = 0;
const SECOND = 1;
const ALONE = 2;
const SOLD = 3;
const ENDED = 4;

let segment: Segment;
let i32: Int32Array;
let pen: number;

beforeEach(makeScene);

function makeScene(): void {
  segment = encodedTable({ holds: 64 }).play(`
    0 | STOCK pen total 100 nil 50    | OK 100 0 0 100
    0 | STOCK ink total 10            | OK 10 0 0 10
    0 | HOLD pen 3 1000 k             | OK $a @1000
    0 | HOLD pen 4 1002               | OK $b @1002
    0 | bob: HOLD pen 5 500           | OK $c @500
    0 | HOLD pen 6 900 l              | OK $d @900
    0 | HOLD pen 7 10                 | OK $e @10
    1 | CONFIRM $d                    | OK 6
    1 | RETURN $d 2                   | OK 4
   15 | advance 100                   | 1
  `).caller.segment;
  i32 = segment.memory.i32;
  pen = segment.skus.at(0);
}

function hold(slot: number, word: number): number {
  return segment.holds.at(slot) + word;
}

function set(word: number, value: number): void {
  i32[word] = value;
}

function setState(slot: number, state: number): void {
  i32[hold(slot, Hold.META)] = (i32[hold(slot, Hold.META)] & ~0x0f) | state;
}

/** Word offset of the first head of a bucket that is not empty, and that has more than one hold if `shared`. */
function bucketWord(shared: boolean): number {
  const { wheel, keyBuckets } = layoutSegment(segment.options);
  for (let word = wheel; word < keyBuckets; word += 2) {
    if (i32[word] !== 0 && (i32[word] !== i32[word + 1]) === shared) return word;
  }
  throw new Error('There is no such bucket.');
}

/** One fact a row: how it is broken by hand, and what is said of it. */
const BROKEN: [fact: string, damage: () => void, said: RegExp][] = [
  ['available', () => i32[pen + Sku.AVAILABLE]--, /SKU 0: available 83 \+ held 12 \+ sold 4, total 100/],
  ['total', () => i32[pen + Sku.TOTAL]++, /SKU 0: available 84 \+ held 12 \+ sold 4, total 101/],
  [
    'a negative count',
    () => {
      i32[pen + Sku.AVAILABLE] = -1;
      i32[pen + Sku.TOTAL] = 15;
    },
    /SKU 0 has a negative count: available -1 \+ held 12 \+ sold 4, total 15/,
  ],
  [
    'units held',
    () => {
      i32[pen + Sku.HELD]++;
      i32[pen + Sku.AVAILABLE]--;
    },
    /SKU 0: its open holds have 12 units; available 83 \+ held 13/,
  ],
  [
    'units sold',
    () => {
      i32[pen + Sku.SOLD] = 3;
      i32[pen + Sku.AVAILABLE]++;
    },
    /SKU 0: its confirmed holds have 4 units; available 85 \+ held 12 \+ sold 3/,
  ],
  ['the units of a hold', () => set(hold(FIRST, Hold.QUANTITY), 0), /slot 0 has 0 units, 0 returned/],
  ['the units returned', () => set(hold(SOLD, Hold.RETURNED), 7), /slot 3 has 6 units, 7 returned/],
  ['less than nothing returned', () => set(hold(SOLD, Hold.RETURNED), -1), /slot 3 has 6 units, -1 returned/],
  ['the SKU of a hold', () => set(hold(ENDED, Hold.SKU), 2), /hold in slot 4 names SKU 2, and there are 2/],
  ['the SKU of a hold, below all', () => set(hold(ENDED, Hold.SKU), -1), /hold in slot 4 names SKU -1/],
  ['a state', () => setState(ENDED, 9), /slot 4 is in state 9/],
  ['the number of open holds', () => i32[Header.OPEN_HOLDS]++, /3 holds are open, and 4 are counted/],
  ['who is in the wheel', () => setState(ALONE, HoldState.RELEASED), /slot 2 is in the wheel and not held/],
  [
    'how many are in the wheel',
    () => i32.fill(0, bucketWord(false), bucketWord(false) + 2),
    /the wheel has 2 holds, and 3 are open/,
  ],
  [
    'a link back in the wheel',
    () => set(hold(SECOND, Hold.WHEEL_PREV), 5),
    /bucket \d+ is not linked back at slot 1/,
  ],
  ['the tail of a bucket', () => i32[bucketWord(true) + 1]--, /bucket \d+ ends elsewhere than at its tail/],
  [
    'a link back in a pile',
    () => set(hold(SECOND, Hold.PILE_PREV), 9),
    /SKU 0: pile 0 is not linked back at slot 1/,
  ],
  [
    'the order of a pile',
    () => {
      segment.memory.f64[hold(FIRST, 0) / 2 + Hold.ENDS_F64] += 50;
    },
    /SKU 0: pile 0 descends at slot 1/,
  ],
  [
    'the list of loose holds',
    () => {
      i32[pen + Sku.LOOSE] = i32[pen + Sku.PILES + 1];
    },
    /SKU 0: the loose holds are not linked back at slot \d+/,
  ],
  ['the tail of a pile', () => i32[pen + Sku.PILES + 1]--, /SKU 0: pile 0 ends elsewhere than at its tail/],
  [
    'how many are in the piles',
    () => set(hold(FIRST, Hold.PILE_NEXT), 0),
    /SKU 0: its piles have 2 holds, and 3 should be there/,
  ],
  [
    'a pile that runs in a circle',
    () => set(hold(SECOND, Hold.PILE_NEXT), FIRST + 1),
    /SKU 0: its piles have \d holds, and 3 should/,
  ],
  [
    'the units of a holder',
    () => i32[layoutSegment(segment.options).holders + Holder.UNITS]--,
    /holder entry 0 counts 10 units, and its holds have 11/,
  ],
  [
    'that a holder is counted',
    () => set(hold(ALONE, Hold.HOLDER_ENTRY), -1),
    /5 units of a SKU with counted holders are not counted/,
  ],
  [
    'the queue of a sold hold',
    () => setState(SOLD, HoldState.EXPIRED),
    /slot 3 in state 4 waits with the sold holds/,
  ],
  [
    'the queue of an ended hold',
    () => setState(ENDED, HoldState.CONFIRMED),
    /slot 4 in state 2 waits with the ended holds/,
  ],
  [
    'that an open hold is in no queue',
    () => setState(ENDED, HoldState.HELD),
    /slot 4 in state 1 waits with the ended holds/,
  ],
  [
    'the tail of a queue',
    () => i32[Header.SOLD_TAIL]--,
    /the queue of sold holds ends elsewhere than at its tail/,
  ],
  ['the number of ended holds', () => i32[Header.ENDED_COUNT]++, /1 ended holds wait, and 2 are counted/],
  [
    'that no slot is lost',
    () => {
      i32[Header.ENDED_HEAD] = 0;
      i32[Header.ENDED_TAIL] = 0;
      i32[Header.ENDED_COUNT] = 0;
    },
    /3 holds are open and 1 wait, and 5 slots were used/,
  ],
  [
    'that no key is lost',
    () => set(hold(FIRST, Hold.KEY_ENTRY), -1),
    /0 open holds have a key and 1 keys wait, and 2 are counted/,
  ],
];

describe('inspectSegment()', () => {
  it('finds the books right and nothing to say', () => {
    expect(inspectSegment(segment)).toEqual<Inspection>({
      skus: 2,
      openHolds: 3,
      available: 94,
      held: 12,
      sold: 4,
      total: 110,
      keys: 2,
      violations: [],
    });
  });

  it.each(BROKEN)('says when %s is wrong', (_fact, damage, said) => {
    damage();
    const { violations } = inspectSegment(segment);
    expect(violations.filter((violation) => said.test(violation))).toHaveLength(1);
    for (const violation of violations) expect(violation).toMatch(/^segment 3: /);
  });

  it('says every sentence that it knows in one of these cases', () => {
    const said = BROKEN.flatMap(([, damage]) => {
      makeScene();
      damage();
      return inspectSegment(segment).violations;
    });
    const source = readFileSync(new URL('../../src/core/invariant.ts', import.meta.url), 'utf8');
    const sentences = [...source.matchAll(/say\(\s*`([^`]+)`/g)].map(([, sentence]) => sentence as string);
    expect(sentences.length).toBeGreaterThan(20);
    for (const sentence of sentences) {
      const words = sentence.split(/\$\{[^}]*\}/).map((part) => part.replace(/[+()]/g, '\\$&'));
      const pattern = new RegExp(`^segment 3: ${words.join('.+')}$`);
      expect(
        said.some((violation) => pattern.test(violation)),
        sentence,
      ).toBe(true);
    }
  });

  it('stops at a hundred sentences', () => {
    for (let sku = 0; sku < 2; sku++) i32[segment.skus.at(sku) + Sku.TOTAL]++;
    expect(inspectSegment(segment).violations).toHaveLength(2);
    const many = encodedTable({ skus: 200 });
    for (let sku = 0; sku < 150; sku++) many.play(`0 | STOCK sku-${sku} total 1 | OK 1 0 0 1`);
    const { skus, memory } = many.caller.segment;
    for (let sku = 0; sku < 150; sku++) memory.i32[skus.at(sku) + Sku.TOTAL]++;
    expect(inspectSegment(many.caller.segment).violations).toHaveLength(100);
  });
});
