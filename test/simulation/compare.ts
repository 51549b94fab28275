import { Hold, Sku } from '../../src/core/layout.ts';
import type { Segment } from '../../src/core/segment.ts';
import type { SegmentModel } from './model.ts';
import type { HoldRecord } from './shelf.ts';

/** In what a segment's tables are not what its model says, in words. */
export function differences(segment: Segment, { shelf }: SegmentModel): string[] {
  const found: string[] = [];
  const { holds, skus, memory } = segment;
  const say = (what: string, actual: unknown, wanted: unknown): void => {
    if (actual !== wanted) found.push(`segment ${segment.number}: ${what} is ${actual}, not ${wanted}`);
  };
  for (let slot = 0; slot < holds.used; slot++) {
    const hold = shelf.holdIn(slot);
    if (hold === undefined)
      found.push(`segment ${segment.number}: a hold in slot ${slot}, where none was placed`);
    else compareHold(segment, slot, hold, say);
  }
  say('the number of slots that were ever used', holds.used, shelf.slotCount);
  say('the number of SKUs', skus.count, shelf.skus.size);
  let number = 0;
  for (const sku of shelf.skus.values()) {
    if (number >= skus.count) break;
    const record = skus.at(number++);
    const held = shelf.held(sku);
    for (const [what, word, wanted] of [
      ['available', Sku.AVAILABLE, sku.total - held - sku.sold],
      ['held', Sku.HELD, held],
      ['sold', Sku.SOLD, sku.sold],
      ['total', Sku.TOTAL, sku.total],
      ['most per hold', Sku.MAX_PER_HOLD, sku.maxPerHold],
      ['most per holder', Sku.MAX_PER_HOLDER, sku.maxPerHolder],
      ['longest ttl', Sku.MAX_TTL_MS, sku.maxTtlMs],
    ] as const) {
      say(`${what} of ${sku.name}`, memory.i32[record + word], wanted);
    }
  }
  return found;
}

function compareHold(
  segment: Segment,
  slot: number,
  hold: HoldRecord,
  say: (what: string, actual: unknown, wanted: unknown) => void,
): void {
  const { holds, memory } = segment;
  const record = holds.at(slot);
  say(`generation of slot ${slot}`, holds.generation(slot), generationOf(hold));
  say(`state of hold ${hold.id}`, holds.state(slot), hold.state);
  say(`quantity of hold ${hold.id}`, memory.i32[record + Hold.QUANTITY], hold.quantity);
  say(`units returned of hold ${hold.id}`, memory.i32[record + Hold.RETURNED], hold.returned);
  say(`end of hold ${hold.id}`, holds.endsAt(slot), hold.endsAt);
  say(`beginning of hold ${hold.id}`, memory.f64[(record >> 1) + Hold.CREATED_F64], hold.createdAt);
}

/** A hold's id is its generation over its segment and its slot. */
function generationOf({ id }: HoldRecord): number {
  return Math.floor(id / 0x100000000);
}
