import { isDeepStrictEqual } from 'node:util';
import { HoldState } from '../../protocol/ops.ts';
import { Header, Hold, Holder, Key, KeyState, layoutSegment, Sku } from '../../src/core/layout.ts';
import type { Segment } from '../../src/core/segment.ts';

/** A segment's state as plain objects, without anything that depends on its capacities or on where an entry happens to lie. */
export function describeSegment(segment: Segment) {
  const { i32, u8 } = segment.memory;
  const { skus, holds } = segment;
  return {
    lsn: segment.lsn,
    openHolds: segment.openHolds,
    skus: Array.from({ length: skus.count }, (_, sku) => {
      const record = skus.at(sku);
      const name = Buffer.from(u8.slice(skus.nameStart(sku), skus.nameStart(sku) + skus.nameBytes(sku)));
      const { AVAILABLE, HELD, SOLD, TOTAL, MAX_PER_HOLD, MAX_PER_HOLDER, MAX_TTL_MS, NAME } = Sku;
      const words = [AVAILABLE, HELD, SOLD, TOTAL, MAX_PER_HOLD, MAX_PER_HOLDER, MAX_TTL_MS, NAME];
      return [name.toString(), ...words.map((word) => i32[record + word])];
    }),
    holds: Array.from({ length: holds.used }, (_, slot) => describeHold(segment, slot)),
    ended: queue(segment, Header.ENDED_HEAD),
    sold: queue(segment, Header.SOLD_HEAD),
    holders: describeHolders(segment),
    keys: describeKeys(segment),
  };
}

function describeHold(segment: Segment, slot: number): unknown[] {
  const { i32, f64 } = segment.memory;
  const hold = segment.holds.at(slot);
  const open = segment.holds.state(slot) === HoldState.HELD;
  const { SKU, HOLDER_LO, HOLDER_HI, QUANTITY, RETURNED, PILE_NEXT, PILE_PREV } = Hold;
  const links = open ? [PILE_NEXT, PILE_PREV] : [];
  const key = i32[hold + Hold.KEY_ENTRY] as number;
  return [
    // Generation, pile and state in one.
    i32[hold + Hold.META],
    ...[SKU, HOLDER_LO, HOLDER_HI, QUANTITY, RETURNED, ...links].map((word) => i32[hold + word]),
    f64[hold / 2 + Hold.ENDS_F64],
    f64[hold / 2 + Hold.CREATED_F64],
    open && key >= 0 ? describeKey(segment, key) : 'no key',
  ];
}

function queue(segment: Segment, head: number): number[] {
  const { i32 } = segment.memory;
  const slots: number[] = [];
  for (let next = i32[head]; next !== 0; next = i32[segment.holds.at(next - 1) + Hold.PILE_NEXT]) {
    slots.push(next - 1);
  }
  return slots;
}

function describeHolders(segment: Segment): Record<string, number> {
  const { i32 } = segment.memory;
  const { holders } = layoutSegment(segment.options);
  const units: Record<string, number> = {};
  for (let entry = 0; entry < i32[Header.HOLDER_FRESH]; entry++) {
    const [sku, lo, hi, has] = i32.subarray(holders + entry * Holder.WORDS);
    if (has > 0) units[`${sku} ${lo} ${hi}`] = has;
  }
  for (const name of Object.keys(units)) {
    const [sku, lo, hi] = name.split(' ').map(Number) as [number, number, number];
    if (segment.holders.find(sku, lo, hi) < 0) throw new Error(`holder ${name} is not found`);
  }
  return units;
}

/** Every key, by looking it up; those of ended holds with the time to forget them. */
function describeKeys(segment: Segment): Map<string, { what: unknown[]; over: boolean }> {
  const { i32 } = segment.memory;
  const { holds, keys } = segment;
  const entries: number[] = [];
  for (let slot = 0; slot < holds.used; slot++) {
    const key = i32[holds.at(slot) + Hold.KEY_ENTRY] as number;
    if (holds.state(slot) === HoldState.HELD && key >= 0) entries.push(key);
  }
  for (let next = i32[Header.KEY_HEAD]; next !== 0; next = keys.behind(next - 1)) {
    entries.push(next - 1);
  }
  return new Map(
    entries.map((entry) => {
      const at = keys.at(entry);
      const [p0, p1, p2, p3] = i32.subarray(at, at + 4);
      if (keys.findAgain(p0, p1, p2, p3) !== entry) throw new Error(`key ${entry} is not found`);
      const over = keys.isRetired(entry) && keys.isOver(entry);
      return [`${p0} ${p1} ${p2} ${p3}`, { what: describeKey(segment, entry), over }];
    }),
  );
}

function describeKey(segment: Segment, entry: number): unknown[] {
  const { i32, f64 } = segment.memory;
  const at = segment.keys.at(entry);
  const ended = segment.keys.isRetired(entry) ? i32[segment.keys.stateAt(entry) + KeyState.ENDED] : 'open';
  return [...i32.subarray(at, at + Key.HOLD_HI + 1), f64[at / 2 + Key.EXPIRES_F64], ended];
}

type Keys = ReturnType<typeof describeKeys>;

/** Keys of `before` that `after` does not have, or has otherwise, and keys that only `after` has though their time is not over. */
export function missingKeys(before: Keys, after: Keys): string[] {
  const wrong: string[] = [];
  for (const [print, { what, over }] of before) {
    const found = after.get(print);
    if (found === undefined ? !over : !isDeepStrictEqual(found.what, what)) wrong.push(print);
  }
  for (const [print, { over }] of after) if (!before.has(print) && !over) wrong.push(print);
  return wrong;
}
