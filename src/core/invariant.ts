import { HoldState } from '../../protocol/ops.ts';
import {
  COARSE_BUCKETS,
  FINE_BUCKETS,
  Header,
  Hold,
  LOOSE,
  layoutSegment,
  PILE_STRIDE,
  PILES,
  SKU_COUNTED,
  Sku,
} from './layout.ts';
import type { SegmentTables } from './segment-tables.ts';

/** Totals of a segment and everything in it that contradicts itself. */
export interface Inspection {
  skus: number;
  openHolds: number;
  available: number;
  held: number;
  sold: number;
  total: number;
  keys: number;
  /** Empty, or one sentence for each contradiction, the first hundred. */
  violations: string[];
}

const MOST_VIOLATIONS = 100;

/**
 * Checks the invariant `available + held + sold = total`, none negative, for every SKU, and all that the tables know
 * twice: units held against open holds, piles, wheel, queues, keys, units per holder. Reads the whole segment: some 60 ns a hold.
 */
export function inspectSegment(segment: SegmentTables): Inspection {
  const { i32 } = segment.memory;
  const { skus, holds } = segment;
  const found: Inspection = {
    skus: skus.count,
    openHolds: segment.openHolds,
    available: 0,
    held: 0,
    sold: 0,
    total: 0,
    keys: segment.keys.count,
    violations: [],
  };
  const say = (what: string): void => {
    if (found.violations.length < MOST_VIOLATIONS)
      found.violations.push(`segment ${segment.number}: ${what}`);
  };
  const heldOf = new Float64Array(skus.count);
  const soldOf = new Float64Array(skus.count);
  const inPiles = new Int32Array(skus.count);
  let open = 0;
  for (let slot = 0; slot < holds.used; slot++) {
    const hold = holds.at(slot);
    const sku = i32[hold + Hold.SKU] as number;
    const state = holds.state(slot);
    const quantity = i32[hold + Hold.QUANTITY] as number;
    const returned = i32[hold + Hold.RETURNED] as number;
    if (sku < 0 || sku >= skus.count) {
      say(`hold in slot ${slot} names SKU ${sku}, and there are ${skus.count}`);
      continue;
    }
    if (quantity < 1 || returned < 0 || returned > quantity)
      say(`slot ${slot} has ${quantity} units, ${returned} returned`);
    if (state === HoldState.HELD) {
      open++;
      heldOf[sku] = (heldOf[sku] as number) + quantity;
      const pile = ((i32[hold + Hold.META] as number) >> 4) & 0x0f;
      if (pile <= LOOSE) inPiles[sku] = (inPiles[sku] as number) + 1;
    } else if (state === HoldState.CONFIRMED) {
      soldOf[sku] = (soldOf[sku] as number) + quantity - returned;
    } else if (state !== HoldState.RELEASED && state !== HoldState.EXPIRED) {
      say(`slot ${slot} is in state ${state}`);
    }
  }
  if (open !== segment.openHolds) say(`${open} holds are open, and ${segment.openHolds} are counted`);
  checkWheel(segment, open, say);
  for (let sku = 0; sku < skus.count; sku++) {
    const record = skus.at(sku);
    const available = i32[record + Sku.AVAILABLE] as number;
    const held = i32[record + Sku.HELD] as number;
    const sold = i32[record + Sku.SOLD] as number;
    const total = i32[record + Sku.TOTAL] as number;
    found.available += available;
    found.held += held;
    found.sold += sold;
    found.total += total;
    const books = `available ${available} + held ${held} + sold ${sold}, total ${total}`;
    if (available + held + sold !== total) say(`SKU ${sku}: ${books}`);
    if (available < 0 || held < 0 || sold < 0 || total < 0) say(`SKU ${sku} has a negative count: ${books}`);
    if (heldOf[sku] !== held) say(`SKU ${sku}: its open holds have ${heldOf[sku]} units; ${books}`);
    // Confirmed holds are forgotten in time, units sold are not: the holds may know of fewer.
    if ((soldOf[sku] as number) > sold)
      say(`SKU ${sku}: its confirmed holds have ${soldOf[sku]} units; ${books}`);
    checkPiles(segment, sku, inPiles[sku] as number, say);
  }
  checkHolders(segment, say);
  checkQueues(segment, open, say);
  checkKeys(segment, say);
  return found;
}

function checkPiles(
  segment: SegmentTables,
  sku: number,
  expected: number,
  say: (what: string) => void,
): void {
  const { i32 } = segment.memory;
  const { holds } = segment;
  const record = segment.skus.at(sku);
  let linked = 0;
  for (let pile = 0; pile < PILES; pile++) {
    let previous = 0;
    let slot = i32[record + Sku.PILES + pile * PILE_STRIDE] as number;
    while (slot !== 0 && linked <= expected) {
      linked++;
      const hold = holds.at(slot - 1);
      if (i32[hold + Hold.PILE_PREV] !== previous)
        say(`SKU ${sku}: pile ${pile} is not linked back at slot ${slot - 1}`);
      if (!isInPile(segment, slot - 1, sku, pile)) say(`SKU ${sku}: pile ${pile} has slot ${slot - 1} in it`);
      if (previous !== 0 && holds.endsAt(previous - 1) > holds.endsAt(slot - 1)) {
        say(`SKU ${sku}: pile ${pile} descends at slot ${slot - 1}`);
      }
      previous = slot;
      slot = i32[hold + Hold.PILE_NEXT] as number;
    }
    if (i32[record + Sku.PILES + pile * PILE_STRIDE + 1] !== previous)
      say(`SKU ${sku}: pile ${pile} ends elsewhere than at its tail`);
  }
  let previous = 0;
  let slot = i32[record + Sku.LOOSE] as number;
  while (slot !== 0 && linked <= expected) {
    linked++;
    const hold = holds.at(slot - 1);
    if (i32[hold + Hold.PILE_PREV] !== previous)
      say(`SKU ${sku}: the loose holds are not linked back at slot ${slot - 1}`);
    if (!isInPile(segment, slot - 1, sku, LOOSE)) say(`SKU ${sku}: slot ${slot - 1} is with the loose holds`);
    previous = slot;
    slot = i32[hold + Hold.PILE_NEXT] as number;
  }
  if (linked !== expected) say(`SKU ${sku}: its piles have ${linked} holds, and ${expected} should be there`);
}

function isInPile(segment: SegmentTables, slot: number, sku: number, pile: number): boolean {
  const { i32 } = segment.memory;
  const hold = segment.holds.at(slot);
  const expected = (pile << 4) | HoldState.HELD;
  return i32[hold + Hold.SKU] === sku && ((i32[hold + Hold.META] as number) & 0xff) === expected;
}

function checkWheel(segment: SegmentTables, open: number, say: (what: string) => void): void {
  const { i32 } = segment.memory;
  const { wheel } = layoutSegment(segment.options);
  let linked = 0;
  const buckets = FINE_BUCKETS + COARSE_BUCKETS;
  for (let bucket = 0; ; bucket++) {
    bucket = nextInUse(i32, wheel, bucket, buckets);
    if (bucket === buckets) break;
    let previous = ~bucket;
    let slot = i32[wheel + bucket * 2] as number;
    while (slot > 0 && linked <= open) {
      linked++;
      const hold = segment.holds.at(slot - 1);
      if (segment.holds.state(slot - 1) !== HoldState.HELD)
        say(`slot ${slot - 1} is in the wheel and not held`);
      if (i32[hold + Hold.WHEEL_PREV] !== previous)
        say(`bucket ${bucket} is not linked back at slot ${slot - 1}`);
      previous = slot;
      slot = i32[hold + Hold.WHEEL_NEXT] as number;
    }
    const tail = i32[wheel + bucket * 2 + 1] as number;
    if (tail !== (previous < 0 ? 0 : previous)) say(`bucket ${bucket} ends elsewhere than at its tail`);
  }
  if (linked !== open) say(`the wheel has ${linked} holds, and ${open} are open`);
}

/** The first bucket from `from` on that is not empty, or `buckets`. By itself, since nearly all of them are. */
function nextInUse(i32: Int32Array, wheel: number, from: number, buckets: number): number {
  let bucket = from;
  while (bucket < buckets && i32[wheel + bucket * 2] === 0 && i32[wheel + bucket * 2 + 1] === 0) bucket++;
  return bucket;
}

/** Units per holder, for SKUs that count them: the entry must have at least what the holder's holds in the table have. */
function checkHolders(segment: SegmentTables, say: (what: string) => void): void {
  const { i32 } = segment.memory;
  const units = new Map<number, number>();
  for (let slot = 0; slot < segment.holds.used; slot++) {
    const hold = segment.holds.at(slot);
    const state = segment.holds.state(slot);
    const sku = i32[hold + Hold.SKU] as number;
    if (sku < 0 || sku >= segment.skus.count) continue;
    if (((i32[segment.skus.at(sku) + Sku.NAME] as number) & SKU_COUNTED) === 0) continue;
    if (state !== HoldState.HELD && state !== HoldState.CONFIRMED) continue;
    const has = (i32[hold + Hold.QUANTITY] as number) - (i32[hold + Hold.RETURNED] as number);
    const entry = i32[hold + Hold.HOLDER_ENTRY] as number;
    if (has > 0) units.set(entry, (units.get(entry) ?? 0) + has);
  }
  for (const [entry, has] of units) {
    if (entry < 0) say(`${has} units of a SKU with counted holders are not counted`);
    else if (segment.holders.units(entry) < has) {
      say(`holder entry ${entry} counts ${segment.holders.units(entry)} units, and its holds have ${has}`);
    }
  }
}

/** Every used slot is of an open hold or waits in one of two queues to be used again; any other would be lost. */
function checkQueues(segment: SegmentTables, open: number, say: (what: string) => void): void {
  const { i32 } = segment.memory;
  const { holds } = segment;
  let waiting = 0;
  let ended = 0;
  for (const head of [Header.ENDED_HEAD, Header.SOLD_HEAD]) {
    const name = head === Header.SOLD_HEAD ? 'sold' : 'ended';
    let last = 0;
    let slot = i32[head] as number;
    while (slot !== 0 && waiting < holds.used) {
      waiting++;
      if (head === Header.ENDED_HEAD) ended++;
      const state = holds.state(slot - 1);
      const fits = state === HoldState.CONFIRMED ? head === Header.SOLD_HEAD : head === Header.ENDED_HEAD;
      if (!fits || state === HoldState.HELD)
        say(`slot ${slot - 1} in state ${state} waits with the ${name} holds`);
      last = slot;
      slot = i32[holds.at(slot - 1) + Hold.PILE_NEXT] as number;
    }
    if (i32[head + 1] !== last) say(`the queue of ${name} holds ends elsewhere than at its tail`);
  }
  if (ended !== i32[Header.ENDED_COUNT])
    say(`${ended} ended holds wait, and ${i32[Header.ENDED_COUNT]} are counted`);
  if (waiting + open !== holds.used)
    say(`${open} holds are open and ${waiting} wait, and ${holds.used} slots were used`);
}

/** Every key belongs to an open hold or waits to be forgotten. */
function checkKeys(segment: SegmentTables, say: (what: string) => void): void {
  const { i32 } = segment.memory;
  const { holds, keys } = segment;
  let ofOpen = 0;
  for (let slot = 0; slot < holds.used; slot++) {
    if (holds.state(slot) === HoldState.HELD && (i32[holds.at(slot) + Hold.KEY_ENTRY] as number) >= 0)
      ofOpen++;
  }
  let waiting = 0;
  let entry = i32[Header.KEY_HEAD] as number;
  while (entry !== 0 && waiting <= keys.count) {
    waiting++;
    entry = keys.behind(entry - 1);
  }
  if (ofOpen + waiting !== keys.count) {
    say(`${ofOpen} open holds have a key and ${waiting} keys wait, and ${keys.count} are counted`);
  }
}
