import { MAX_SKU_BYTES } from '../../protocol/limits.ts';
import { SkuHash } from '../base/hash.ts';

/** SKUs that each front keeps count of. One that gets more than a 256th of its commands is among them for certain. */
export const HOT_SKUS = 256;
/** After so many commands noted, all counts are halved: what was hot an hour ago is not. */
const HALVED_AFTER = 20_000;

/** A front's table: the sum of all counts, the counts, the hashes in pairs, the names' lengths, the names. */
const HASHES = (1 + HOT_SKUS) * 8;
const LENGTHS = HASHES + HOT_SKUS * 8;
const NAMES = LENGTHS + HOT_SKUS * 4;
const FRONT_BYTES = NAMES + HOT_SKUS * MAX_SKU_BYTES;

/** Memory for the tables of so many fronts, each with one writer. */
export function allocateHotSkus(fronts: number): SharedArrayBuffer {
  return new SharedArrayBuffer(fronts * FRONT_BYTES);
}

interface Table {
  readonly counts: Float64Array;
  readonly hashes: Int32Array;
  readonly lengths: Int32Array;
  readonly names: Uint8Array;
}

function tableOf(memory: SharedArrayBuffer, front: number): Table {
  const at = front * FRONT_BYTES;
  return {
    counts: new Float64Array(memory, at, 1 + HOT_SKUS),
    hashes: new Int32Array(memory, at + HASHES, 2 * HOT_SKUS),
    lengths: new Int32Array(memory, at + LENGTHS, HOT_SKUS),
    names: new Uint8Array(memory, at + NAMES, HOT_SKUS * MAX_SKU_BYTES),
  };
}

/**
 * The SKUs that a front's commands name most, in bounded memory, however many there are: the stream summary "Space-Saving" of Metwally,
 * Agrawal and El Abbadi (2005). A SKU that is not in the table takes the place of the one with the least count, and inherits it; so a
 * count is never too small, and too large by no more than that. It is fed with the commands that are timed anyway, a few thousand a
 * second at most, so a search through the table is cheap enough.
 */
export class HotSkus {
  private readonly table: Table;
  private used = 0;
  private noted = 0;

  constructor(memory: SharedArrayBuffer, front: number) {
    this.table = tableOf(memory, front);
  }

  /** A command for a SKU. `lo`, `hi`: the name's hash; `weight`: how many commands it stands for; 0 is not noted. */
  note(frame: Uint8Array, start: number, bytes: number, lo: number, hi: number, weight: number): void {
    if (weight === 0) return;
    const { counts, hashes } = this.table;
    let entry = 0;
    while (entry < this.used && (hashes[2 * entry] !== lo || hashes[2 * entry + 1] !== hi)) entry++;
    if (entry === this.used) {
      entry = this.used < HOT_SKUS ? this.used++ : this.least();
      this.rename(entry, frame, start, bytes, lo, hi);
    }
    counts[1 + entry] = (counts[1 + entry] as number) + weight;
    counts[0] = (counts[0] as number) + weight;
    if (++this.noted < HALVED_AFTER) return;
    this.noted = 0;
    for (let i = 0; i <= HOT_SKUS; i++) counts[i] = (counts[i] as number) / 2;
  }

  private least(): number {
    const { counts } = this.table;
    let least = 0;
    for (let entry = 1; entry < HOT_SKUS; entry++) {
      if ((counts[1 + entry] as number) < (counts[1 + least] as number)) least = entry;
    }
    return least;
  }

  private rename(
    entry: number,
    frame: Uint8Array,
    start: number,
    bytes: number,
    lo: number,
    hi: number,
  ): void {
    const { hashes, lengths, names } = this.table;
    hashes[2 * entry] = lo;
    hashes[2 * entry + 1] = hi;
    lengths[entry] = bytes;
    const to = entry * MAX_SKU_BYTES;
    for (let i = 0; i < bytes; i++) names[to + i] = frame[start + i] as number;
  }
}

export interface HotSku {
  readonly sku: string;
  /** Of all commands that name a SKU, lately, 0 to 1. */
  readonly share: number;
}

/** The hottest SKUs over all fronts, at most so many, from the hottest on. Any thread may ask. */
export function hottestSkus(memory: SharedArrayBuffer, fronts: number, most: number): HotSku[] {
  const counts = new Map<string, number>();
  const hash = new SkuHash();
  let all = 0;
  for (let front = 0; front < fronts; front++) {
    const table = tableOf(memory, front);
    all += table.counts[0] as number;
    for (let entry = 0; entry < HOT_SKUS; entry++) {
      const count = table.counts[1 + entry] as number;
      if (count === 0) continue;
      const at = entry * MAX_SKU_BYTES;
      const name = table.names.slice(at, at + (table.lengths[entry] as number));
      hash.run(name, 0, name.length);
      // Another's name is being written over it.
      if (hash.lo !== table.hashes[2 * entry] || hash.hi !== table.hashes[2 * entry + 1]) continue;
      const sku = Buffer.from(name).toString('utf8');
      counts.set(sku, (counts.get(sku) ?? 0) + count);
    }
  }
  return [...counts]
    .sort(([, one], [, other]) => other - one)
    .slice(0, most)
    .map(([sku, count]) => ({ sku, share: Math.min(1, count / all) }));
}
