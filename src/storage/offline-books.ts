import { createHash } from 'node:crypto';
import { Hold, Sku } from '../core/layout.ts';
import type { Segment } from '../core/segment.ts';
import { decodeName } from './dump-slots.ts';

/** What makes two restored segments the same to everybody outside, whatever way they were restored. */
export interface SegmentBooks {
  readonly lsn: number;
  /** For each SKU available, held, sold, total, and the limits per hold, per holder and to live. */
  readonly skus: Int32Array;
  /** Over all holds, open and ended. */
  readonly holds: string;
}

const SKU_WORDS = [
  Sku.AVAILABLE,
  Sku.HELD,
  Sku.SOLD,
  Sku.TOTAL,
  Sku.MAX_PER_HOLD,
  Sku.MAX_PER_HOLDER,
  Sku.MAX_TTL_MS,
] as const;
/** Deadline and time of making, holder, SKU, quantity, returned: the record's first words. */
const HOLD_WORDS = Hold.META;
const HOLDS_PER_UPDATE = 4096;

export function booksOf(segment: Segment): SegmentBooks {
  const { i32 } = segment.memory;
  const { skus } = segment;
  const books = new Int32Array(skus.count * SKU_WORDS.length);
  let to = 0;
  for (let sku = 0; sku < skus.count; sku++) {
    const record = skus.at(sku);
    for (const word of SKU_WORDS) books[to++] = i32[record + word];
  }
  return { lsn: segment.lsn, skus: books, holds: digestHolds(segment) };
}

function digestHolds(segment: Segment): string {
  const { i32 } = segment.memory;
  const { holds } = segment;
  const hash = createHash('sha256');
  const block = new Int32Array(HOLDS_PER_UPDATE * (HOLD_WORDS + 2));
  for (let slot = 0; slot < holds.used; ) {
    let to = 0;
    for (const end = Math.min(slot + HOLDS_PER_UPDATE, holds.used); slot < end; slot++) {
      const hold = holds.at(slot);
      for (let word = 0; word < HOLD_WORDS; word++) block[to++] = i32[hold + word];
      block[to++] = holds.generation(slot);
      block[to++] = holds.state(slot);
    }
    hash.update(block.subarray(0, to));
  }
  return hash.digest('hex');
}

/** Where two states of a segment differ, in words; undefined where they do not. `segment` is in the second of them. */
export function differenceOf(
  first: SegmentBooks,
  second: SegmentBooks,
  segment: Segment,
): string | undefined {
  if (first.lsn !== second.lsn) return `one ends at LSN ${first.lsn}, the other at LSN ${second.lsn}`;
  const words = Math.max(first.skus.length, second.skus.length);
  for (let word = 0; word < words; word++) {
    if (first.skus[word] === second.skus[word]) continue;
    const sku = Math.floor(word / SKU_WORDS.length);
    return `SKU ${skuName(segment, sku)}: ${inWords(first.skus, sku)} in one, ${inWords(second.skus, sku)} in the other`;
  }
  return first.holds === second.holds ? undefined : 'the SKUs agree, and their holds do not';
}

function inWords(books: Int32Array, sku: number): string {
  const from = sku * SKU_WORDS.length;
  if (from >= books.length) return 'not there';
  return `${books[from]} available, ${books[from + 1]} held, ${books[from + 2]} sold`;
}

function skuName(segment: Segment, sku: number): string {
  if (sku >= segment.skus.count) return String(sku);
  return JSON.stringify(
    decodeName(segment.memory.u8, segment.skus.nameStart(sku), segment.skus.nameBytes(sku)),
  );
}
