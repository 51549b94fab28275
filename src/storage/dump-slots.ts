import { GENERATION_BITS, MAX_GENERATION } from '../../protocol/limits.ts';
import { imageRecords } from '../core/image.ts';
import { Hold, Sku } from '../core/layout.ts';
import { decodeSnapshot, type Snapshot } from './snapshot.ts';
import { type SnapshotStore, StoreError } from './store.ts';

const FIRST_SLOTS = 1024;
const UNKNOWN = -1;
/** An event carries so many of a generation's bits, the lowest. */
const EVENT_GENERATION_BITS = 10;
const EVENT_GENERATION_MASK = (1 << EVENT_GENERATION_BITS) - 1;

/**
 * What events leave out, for one segment: which SKU a number stands for, which SKU the hold in a slot is of, and the whole generation of
 * a slot. Names come from the newest snapshot and from STOCKED; slots from the events before, and from the oldest snapshot. 8 bytes for
 * each slot that was used, and the names.
 */
export class SlotBook {
  readonly #names: (string | undefined)[] = [];
  #generations = new Int32Array(0);
  #skus = new Int32Array(0);
  /** Of a slot that no event has named: 0 where all events are seen from the first on, else UNKNOWN. */
  #before: number;
  #base: Snapshot | undefined;

  /** `firstLsn`: LSN of the first event that will be shown to it. */
  static async load(
    snapshots: SnapshotStore,
    storeId: string,
    segment: number,
    firstLsn: number,
  ): Promise<SlotBook> {
    const good = await goodSnapshots(snapshots, storeId, segment);
    return new SlotBook(good.newest, good.oldest, firstLsn);
  }

  constructor(newest: Snapshot | undefined, oldest: Snapshot | undefined, firstLsn: number) {
    this.#before = firstLsn === 1 ? 0 : UNKNOWN;
    this.#base = oldest;
    if (newest !== undefined) this.#readNames(newest.image);
  }

  /** Must be called for each event, before anything is asked about it. */
  reach(lsn: number): void {
    if (this.#base === undefined || lsn <= this.#base.lsn) return;
    this.#readSlots(this.#base.image);
    this.#base = undefined;
  }

  name(sku: number): string | undefined {
    return this.#names[sku];
  }

  stocked(sku: number, name: string): void {
    this.#names[sku] = name;
  }

  /** A hold was placed in a slot; `low` are the lowest bits of its generation. */
  held(slot: number, low: number, sku: number): void {
    this.#grow(slot);
    const before = this.#generations[slot];
    const now = before === MAX_GENERATION ? 1 : before + 1;
    const known = before !== UNKNOWN && (now & EVENT_GENERATION_MASK) === low;
    this.#generations[slot] = known ? now : UNKNOWN;
    this.#skus[slot] = sku;
  }

  /** The whole generation of the hold in a slot; undefined where it is not known, or not of the one with these lowest bits. */
  generation(slot: number, low: number): number | undefined {
    const generation = slot < this.#generations.length ? this.#generations[slot] : UNKNOWN;
    return generation > 0 && (generation & EVENT_GENERATION_MASK) === low ? generation : undefined;
  }

  /** Number of the SKU of the hold in a slot. */
  sku(slot: number): number | undefined {
    const sku = slot < this.#skus.length ? this.#skus[slot] : UNKNOWN;
    return sku === UNKNOWN ? undefined : sku;
  }

  #grow(slot: number): void {
    const had = this.#generations.length;
    if (slot < had) return;
    const has = Math.max(FIRST_SLOTS, 2 ** Math.ceil(Math.log2(slot + 1)));
    const generations = new Int32Array(has).fill(this.#before, had);
    generations.set(this.#generations);
    this.#generations = generations;
    const skus = new Int32Array(has).fill(UNKNOWN, had);
    skus.set(this.#skus);
    this.#skus = skus;
  }

  #readNames(image: Int32Array): void {
    const { skus, skuCount } = imageRecords(image);
    const u8 = new Uint8Array(image.buffer, image.byteOffset, image.byteLength);
    for (let sku = 0; sku < skuCount; sku++) {
      const record = skus + sku * Sku.WORDS;
      const start = (record + Sku.NAME_WORD) * 4;
      this.#names[sku] = decodeName(u8, start, image[record + Sku.NAME] & 0xff);
    }
  }

  /** A snapshot knows all slots that were used, and that the others never were. */
  #readSlots(image: Int32Array): void {
    const { holds, holdCount } = imageRecords(image);
    this.#before = 0;
    this.#generations = new Int32Array(holdCount);
    this.#skus = new Int32Array(holdCount);
    for (let slot = 0; slot < holdCount; slot++) {
      const hold = holds + slot * Hold.WORDS;
      this.#generations[slot] = (image[hold + Hold.META] >>> 8) & (2 ** GENERATION_BITS - 1);
      this.#skus[slot] = image[hold + Hold.SKU];
    }
  }
}

/** A SKU's name from its bytes. */
export function decodeName(u8: Uint8Array, start: number, bytes: number): string {
  return Buffer.from(u8.buffer, u8.byteOffset + start, bytes).toString('utf8');
}

async function goodSnapshots(
  snapshots: SnapshotStore,
  storeId: string,
  segment: number,
): Promise<{ newest: Snapshot | undefined; oldest: Snapshot | undefined }> {
  let newest: Snapshot | undefined;
  let oldest: Snapshot | undefined;
  for (const id of await snapshots.list(segment)) {
    try {
      oldest = decodeSnapshot(await snapshots.read(id), storeId);
      newest ??= oldest;
    } catch (error) {
      // What a damaged snapshot could have told is shown as not known.
      if (!(error instanceof StoreError && error.code === 'CORRUPT')) throw error;
    }
  }
  return { newest, oldest };
}
