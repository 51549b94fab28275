import { MAX_HOLD_LIFE_MS, MAX_SKU_BYTES } from '../../protocol/limits.ts';
import { HoldState } from '../../protocol/ops.ts';
import { inspectSegment } from './invariant.ts';
import {
  Header,
  Hold,
  Holder,
  Key,
  KeyState,
  LOOSE,
  layoutSegment,
  PILE_STRIDE,
  PILES,
  SKU_COUNTED,
  SKU_LIMITED,
  Sku,
} from './layout.ts';
import type { SegmentTables } from './segment-tables.ts';

/**
 * A segment's used part, as a snapshot keeps it: 32-bit words, little-endian.
 *
 *     word 0  version of the image, which stands for the layout of all records
 *     word 1  number of the segment
 *     word 2  words of the whole image
 *     word 16 on: header | SKU records | hold records | key states | key entries | holder entries, each as in the segment's memory
 *
 * What depends on capacities or is quicker made anew is not in it: index, chains, free lists, wheel.
 */
const IMAGE_VERSION = 2;
const ImageHead = { VERSION: 0, SEGMENT: 1, WORDS: 2, HEADER: 16 } as const;
const RECORDS = ImageHead.HEADER + Header.WORDS;

/** An image is of another version or segment, needs more room than the settings give, or contradicts itself. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
}

/** What an image says of itself. */
export interface ImageInfo {
  readonly version: number;
  readonly segment: number;
  readonly words: number;
  readonly lsn: number;
  /** The segment's time, ms since the epoch. */
  readonly timeMs: number;
}

/** Words that copyImage() needs for a segment as it is now. */
export function imageWords(segment: SegmentTables): number {
  return RECORDS + tables(segment).reduce((sum, { words }) => sum + words, 0);
}

/** Copies a segment's used part, between two commands. Returns the words that were written to `out`, which has imageWords() at least. */
export function copyImage(segment: SegmentTables, out: Int32Array): number {
  const { i32 } = segment.memory;
  let at = RECORDS;
  out.fill(0, 0, ImageHead.HEADER);
  out.set(i32.subarray(0, Header.WORDS), ImageHead.HEADER);
  for (const { start, words } of tables(segment)) {
    out.set(i32.subarray(start, start + words), at);
    at += words;
  }
  out[ImageHead.VERSION] = IMAGE_VERSION;
  out[ImageHead.SEGMENT] = segment.number;
  out[ImageHead.WORDS] = at;
  return at;
}

/** Reads the head of an image. Throws ImageError when it is of another version, or not whole. */
export function imageInfo(image: Int32Array): ImageInfo {
  if (image.length < RECORDS) throw new ImageError(`an image of ${image.length} words is too short`);
  const version = image[ImageHead.VERSION] as number;
  const words = image[ImageHead.WORDS] as number;
  if (version !== IMAGE_VERSION)
    throw new ImageError(
      `the image has version ${version}, and this program reads ${IMAGE_VERSION}; the Holdfast that wrote it can read it`,
    );
  if (words < RECORDS || words > image.length)
    throw new ImageError(`the image says that it has ${words} words, and there are ${image.length}`);
  const header = new Float64Array(image.slice(ImageHead.HEADER, RECORDS).buffer);
  return {
    version,
    segment: image[ImageHead.SEGMENT] as number,
    words,
    lsn: header[Header.LSN_F64] as number,
    timeMs: header[Header.NOW_F64] as number,
  };
}

/** Where the records of SKUs and holds lie in an image, and how many, for whoever reads it without a segment. Throws ImageError. */
export function imageRecords(image: Int32Array): {
  skus: number;
  skuCount: number;
  holds: number;
  holdCount: number;
} {
  const { words } = imageInfo(image);
  const skuCount = image[ImageHead.HEADER + Header.SKU_COUNT] as number;
  const holdCount = image[ImageHead.HEADER + Header.FRESH_HOLD] as number;
  const holds = RECORDS + skuCount * Sku.WORDS;
  if (skuCount < 0 || holdCount < 0 || holds + holdCount * Hold.WORDS > words)
    throw new ImageError('the counts of the image need more words than it has');
  return { skus: RECORDS, skuCount, holds, holdCount };
}

/**
 * Puts an image into a segment that is empty, whose capacities may be others than those of the segment that it was taken from. A mark
 * that fences the segment off stays. Throws ImageError when it does not fit or contradicts itself; the segment is of no use then.
 */
export function restoreImage(segment: SegmentTables, image: Int32Array): void {
  const info = imageInfo(image);
  const { i32 } = segment.memory;
  if (segment.lsn !== 0 || segment.holds.used !== 0 || segment.skus.count !== 0)
    throw new ImageError(`segment ${segment.number} is not empty`);
  const say = (what: string): never => {
    throw new ImageError(`image of segment ${segment.number}: ${what}`);
  };
  if (info.segment !== segment.number) say(`it is of segment ${info.segment}`);
  if (!isTime(info.timeMs)) say(`time ${info.timeMs} is none`);
  if (!Number.isSafeInteger(info.lsn) || info.lsn < 0) say(`LSN ${info.lsn} is none`);
  const { skus, holds, keys, holders } = segment.options;
  const header = image.subarray(ImageHead.HEADER, RECORDS);
  const counts = [
    ['skus', header[Header.SKU_COUNT], skus],
    ['holds', header[Header.FRESH_HOLD], holds],
    ['keys', header[Header.KEY_FRESH], keys],
    ['holders', header[Header.HOLDER_FRESH], holders],
  ] as const;
  for (const [setting, count, capacity] of counts) {
    if (count < 0) say(`it has ${count} ${setting}`);
    if (count > capacity)
      say(`it has ${count} ${setting}, and the setting "${setting}" has room for ${capacity}`);
  }

  const fenced = i32[Header.FENCED] as number;
  i32.set(header, 0);
  i32[Header.FENCED] = fenced;
  for (const word of REBUILT) i32[word] = 0;
  let at = RECORDS;
  for (const { start, words } of tables(segment)) {
    if (at + words > info.words) say('its counts need more words than it has');
    i32.set(image.subarray(at, at + words), start);
    at += words;
  }
  if (at !== info.words) say(`its counts need ${at} words, and it has ${info.words}`);

  checkSkus(segment, say);
  checkHolds(segment, say);
  segment.skus.rebuild();
  segment.holders.rebuild(header[Header.HOLDER_FRESH] as number);
  segment.keys.rebuild(keysInUse(segment, say));
  segment.wheel.rebuild();
  if (segment.holders.count !== header[Header.HOLDER_COUNT])
    say(`${segment.holders.count} holders have units, and ${header[Header.HOLDER_COUNT]} are counted`);
  if (segment.keys.count !== header[Header.KEY_COUNT])
    say(`${segment.keys.count} keys are in use, and ${header[Header.KEY_COUNT]} are counted`);
  const { violations } = inspectSegment(segment);
  if (violations.length > 0) say(violations[0] as string);
}

/**
 * Makes a segment empty that may be damaged in any way, to be rebuilt in its place. A mark that fences it off stays. Trusts nothing in
 * it: looks at all of its memory, some 0.1 s for the default capacities, and writes where there is something, so that pages that were
 * never used are not committed.
 */
export function eraseSegment(segment: SegmentTables): void {
  const { i32 } = segment.memory;
  const fenced = i32[Header.FENCED] as number;
  for (let word = 0; word < i32.length; word++) {
    if (i32[word] !== 0 && word !== Header.FENCED) i32[word] = 0;
  }
  i32[Header.FENCED] = fenced;
}

/** Header words that are made anew. */
const REBUILT = [
  Header.SKU_INDEX_DOUBLED,
  Header.KEY_FREE,
  Header.KEY_COUNT,
  Header.KEY_GROWN,
  Header.HOLDER_FREE,
  Header.HOLDER_COUNT,
  Header.HOLDER_GROWN,
] as const;

/** Where the used records of each table lie in the segment's memory, in the order of the image. */
function tables(segment: SegmentTables): { start: number; words: number }[] {
  const { i32 } = segment.memory;
  const layout = layoutSegment(segment.options);
  return [
    { start: layout.skus, words: (i32[Header.SKU_COUNT] as number) * Sku.WORDS },
    { start: layout.holds, words: (i32[Header.FRESH_HOLD] as number) * Hold.WORDS },
    { start: layout.keyStates, words: (i32[Header.KEY_FRESH] as number) * KeyState.WORDS },
    { start: layout.keys, words: (i32[Header.KEY_FRESH] as number) * Key.WORDS },
    { start: layout.holders, words: (i32[Header.HOLDER_FRESH] as number) * Holder.WORDS },
  ];
}

/** Milliseconds that an event can carry. NaN is none either. */
function isTime(ms: number): boolean {
  return ms >= 0 && ms < 2 ** 48;
}

/** All that is used as an index must be one, before anything is made of it; what else is wrong, inspectSegment() finds. */
function checkSkus(segment: SegmentTables, say: (what: string) => never): void {
  const { i32, f64 } = segment.memory;
  const { skus, holds } = segment;
  const { used } = holds;
  for (let sku = 0; sku < skus.count; sku++) {
    const record = skus.at(sku);
    const nameBytes = skus.nameBytes(sku);
    if (nameBytes < 1 || nameBytes > MAX_SKU_BYTES) say(`the name of SKU ${sku} has ${nameBytes} bytes`);
    for (let pile = 0; pile < PILES; pile++) {
      const words = record + Sku.PILES + pile * PILE_STRIDE;
      if (!isLink(i32[words] as number, used) || !isLink(i32[words + 1] as number, used))
        say(`pile ${pile} of SKU ${sku} leads nowhere`);
    }
    const earliest = i32[record + Sku.LOOSE_EARLIEST] as number;
    if (!isLink(i32[record + Sku.LOOSE] as number, used) || !isLink(earliest, used))
      say(`the loose holds of SKU ${sku} lead nowhere`);
    if (earliest !== 0 && !isLoose(segment, earliest - 1, sku))
      say(`the earliest of the loose holds of SKU ${sku} is none of them`);
    const tail = i32[record + Sku.PILES + 1] as number;
    if (tail !== 0 && !((f64[record / 2 + Sku.PILE_BOUND_F64] as number) >= holds.endsAt(tail - 1)))
      say(`the bound of the first pile of SKU ${sku} is too early`);
    const limited =
      (i32[record + Sku.MAX_PER_HOLD] as number) |
      (i32[record + Sku.MAX_PER_HOLDER] as number) |
      (i32[record + Sku.MAX_TTL_MS] as number);
    const flags = i32[record + Sku.NAME] as number;
    if (limited < 0 || (limited !== 0) !== ((flags & SKU_LIMITED) !== 0))
      say(`the limits of SKU ${sku} are not as marked`);
  }
  for (const word of [Header.ENDED_HEAD, Header.ENDED_TAIL, Header.SOLD_HEAD, Header.SOLD_TAIL]) {
    if (!isLink(i32[word] as number, used)) say('a queue of holds that are over leads nowhere');
  }
}

function checkHolds(segment: SegmentTables, say: (what: string) => never): void {
  const { i32, f64 } = segment.memory;
  const { holds, skus } = segment;
  const { used } = holds;
  const keyFresh = i32[Header.KEY_FRESH] as number;
  const now = f64[Header.NOW_F64] as number;
  for (let slot = 0; slot < used; slot++) {
    const hold = holds.at(slot);
    const sku = i32[hold + Hold.SKU] as number;
    const state = holds.state(slot);
    if (sku < 0 || sku >= skus.count)
      say(`hold in slot ${slot} names SKU ${sku}, and there are ${skus.count}`);
    const ends = f64[hold / 2 + Hold.ENDS_F64] as number;
    const created = f64[hold / 2 + Hold.CREATED_F64] as number;
    // An open hold that ends ages after the segment's time would have the wheel turn for minutes.
    const latest = state === HoldState.HELD ? created + MAX_HOLD_LIFE_MS : now;
    if (!(created >= 0 && created <= now && ends >= created && ends <= latest))
      say(`the hold in slot ${slot} is from ${created} to ${ends}, and the time is ${now}`);
    if (!isLink(i32[hold + Hold.PILE_NEXT] as number, used)) say(`slot ${slot} leads nowhere`);
    if (state === HoldState.HELD) {
      const pile = ((i32[hold + Hold.META] as number) >> 4) & 0x0f;
      if (pile > LOOSE) say(`the hold in slot ${slot} is in pile ${pile}`);
      if (!isLink(i32[hold + Hold.PILE_PREV] as number, used)) say(`slot ${slot} leads nowhere`);
      const key = i32[hold + Hold.KEY_ENTRY] as number;
      if (key < -1 || key >= keyFresh) say(`the hold in slot ${slot} has key ${key}`);
    }
    if (state === HoldState.HELD || state === HoldState.CONFIRMED) checkHolder(segment, slot, sku, say);
  }
}

/** The holder's entry of an open or confirmed hold: none when its SKU does not count, else one of its own. */
function checkHolder(segment: SegmentTables, slot: number, sku: number, say: (what: string) => never): void {
  const { i32 } = segment.memory;
  const hold = segment.holds.at(slot);
  const entry = i32[hold + Hold.HOLDER_ENTRY] as number;
  const counted = ((i32[segment.skus.at(sku) + Sku.NAME] as number) & SKU_COUNTED) !== 0;
  if (entry < -1 || entry >= (i32[Header.HOLDER_FRESH] as number) || (entry >= 0 && !counted))
    say(`the hold in slot ${slot} has holder entry ${entry}`);
  // Units that were all returned are counted nowhere, and their entry may have gone to another.
  if (!counted || i32[hold + Hold.QUANTITY] === i32[hold + Hold.RETURNED]) return;
  const lo = i32[hold + Hold.HOLDER_LO] as number;
  const hi = i32[hold + Hold.HOLDER_HI] as number;
  if (entry < 0 || !segment.holders.isOf(entry, sku, lo, hi))
    say(`the hold in slot ${slot} has holder entry ${entry} of somebody else`);
}

/** Marks the key entries of open holds and those that wait to be forgotten; others are free. */
function keysInUse(segment: SegmentTables, say: (what: string) => never): Uint8Array {
  const { i32 } = segment.memory;
  const { holds, keys } = segment;
  const inUse = new Uint8Array(i32[Header.KEY_FRESH] as number);
  const mark = (entry: number): void => {
    if (inUse[entry] !== 0) say(`key ${entry} is used twice`);
    inUse[entry] = 1;
  };
  for (let slot = 0; slot < holds.used; slot++) {
    const key = i32[holds.at(slot) + Hold.KEY_ENTRY] as number;
    if (holds.state(slot) !== HoldState.HELD || key < 0) continue;
    if (keys.isRetired(key)) say(`key ${key} of an open hold waits to be forgotten`);
    mark(key);
  }
  let last = 0;
  let next = i32[Header.KEY_HEAD] as number;
  while (next !== 0) {
    if (!isLink(next, inUse.length)) say('the queue of keys leads nowhere');
    mark(next - 1);
    last = next;
    next = keys.behind(next - 1);
  }
  if (i32[Header.KEY_TAIL] !== last) say('the queue of keys ends elsewhere than at its tail');
  return inUse;
}

/** A place + 1 among `count` places, or 0 for none. */
function isLink(link: number, count: number): boolean {
  return link >= 0 && link <= count;
}

function isLoose(segment: SegmentTables, slot: number, sku: number): boolean {
  const hold = segment.holds.at(slot);
  const { i32 } = segment.memory;
  return (
    i32[hold + Hold.SKU] === sku &&
    ((i32[hold + Hold.META] as number) & 0xff) === ((LOOSE << 4) | HoldState.HELD)
  );
}
