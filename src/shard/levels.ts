import { Fence, Header } from '../core/layout.ts';
import type { EngineMemory } from './memory.ts';

/** How much the segments' tables hold, read while their workers go on. */
export interface Levels {
  /** Changes of state so far, those before the start included: the sum of all LSNs. */
  readonly changes: number;
  readonly openHolds: number;
  readonly skus: number;
  readonly keys: number;
  readonly holders: number;
  /** Segments out of service. */
  readonly fenced: number;
  /** Of each table, how full the fullest segment's is, 0 to 1. */
  readonly fill: {
    readonly holds: number;
    readonly skus: number;
    readonly keys: number;
    readonly holders: number;
  };
}

export function readLevels(memory: EngineMemory): Levels {
  const { segments, segmentOptions: room } = memory;
  const sum = { changes: 0, openHolds: 0, skus: 0, keys: 0, holders: 0, fenced: 0 };
  const fill = { holds: 0, skus: 0, keys: 0, holders: 0 };
  for (const sab of segments) {
    const words = new Int32Array(sab, 0, Header.WORDS);
    const [openHolds = 0, skus = 0, keys = 0, holders = 0, fenced = 0] = LEVELS.map((word) => words[word]);
    sum.changes += new Float64Array(sab, 0, Header.WORDS / 2)[Header.LSN_F64] as number;
    sum.openHolds += openHolds;
    sum.skus += skus;
    sum.keys += keys;
    sum.holders += holders;
    if (fenced !== Fence.NONE) sum.fenced++;
    fill.holds = Math.max(fill.holds, openHolds / room.holds);
    fill.skus = Math.max(fill.skus, skus / room.skus);
    fill.keys = Math.max(fill.keys, keys / room.keys);
    fill.holders = Math.max(fill.holders, holders / room.holders);
  }
  return { ...sum, fill };
}

const LEVELS = [Header.OPEN_HOLDS, Header.SKU_COUNT, Header.KEY_COUNT, Header.HOLDER_COUNT, Header.FENCED];
