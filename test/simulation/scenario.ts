import { Prng } from '../../src/base/prng.ts';
import { EPOCH_MS } from '../../src/core/layout.ts';
import type { EngineOptions } from '../../src/shard/memory.ts';
import { Mode } from '../../src/shard/records.ts';

/** Everything about a run that is settled before its first step. */
export interface Scenario {
  readonly engine: EngineOptions;
  /** Names of SKUs that clients ask for, some of which the segments have no room for. */
  readonly skus: readonly string[];
  /** The first one stocks. */
  readonly clients: readonly { readonly holder: string; readonly mode: number }[];
  /** Times to live to choose from; a few, so that the earliest end is exact, or many. */
  readonly ttls: readonly number[];
  readonly keys: readonly string[];
  readonly startMs: number;
  /** Where the rings begin: most positions are far from where an int32 overflows, these are not. */
  readonly ringStart: number;
  /** How many ms a worker's clock may lag behind the front's. */
  readonly skewMs: number;
  readonly steps: number;
  /** How often each kind of step is taken, relative to the others. */
  readonly weights: Readonly<Record<StepKind, number>>;
  /** Replies in bytes that a client which does not read may leave waiting. */
  readonly backlogBytes: number;
  /** Whether the front runs commands of sleeping workers itself. */
  readonly borrow: boolean;
  /** Longest single jump of the clock. */
  readonly jumpMs: number;
}

export const STEP_KINDS = [
  'frame',
  'turn',
  'worker',
  'tick',
  'jump',
  'reconnect',
  'reading',
  'pump',
  'death',
  'adopt',
  'inspect',
  'flood',
  'noise',
] as const;
export type StepKind = (typeof STEP_KINDS)[number];

const NAMES = ['a', 'sku-2', 'b'.repeat(31), 'Größe-ß', 'c'.repeat(64), '\u{1f3ab}', 'd', 'e-7'];
/** Together with those enough for a segment's index to grow. */
const MORE_NAMES = Array.from({ length: 30 }, (_, at) => `n-${at}`);
const HOLDERS = ['ann', 'bob', 'cy', 'dee', 'eve', 'fay', 'gus'];
/** Holders whose connections have the claim `vip`. */
export const VIPS: ReadonlySet<string> = new Set(['bob', 'eve']);
const MODES = [Mode.BINARY, Mode.BINARY, Mode.BINARY, Mode.JSON, Mode.JSON_NAMES];
/** Positions that are multiples of 8 shortly before an int32 changes its sign, and before it comes back to 0. */
const RING_STARTS = [0, 0, 0x7fffff00 | 0, 0xfffff800 | 0];

export function drawScenario(seed: number): Scenario {
  const prng = new Prng(seed);
  const segments = 1 + prng.below(4);
  const workers = 1 + prng.below(Math.min(3, segments));
  const patient = prng.oneIn(40);
  const ttls = drawTtls(prng, patient);
  const longest = Math.max(...ttls);
  const holders = 1 + prng.below(HOLDERS.length);
  const wide = prng.oneIn(8);
  const slow = prng.oneIn(3);
  const scenario = {
    engine: {
      fronts: 1,
      workers,
      segments,
      segment: {
        skus: wide ? 40 : prng.pick([1, 2, 4]),
        holds: prng.pick([3, 16, 24, 64]),
        keys: prng.pick([2, 6, 16]),
        holders: prng.pick([1, 3, 8]),
        keyRetentionMs: prng.pick([20, 400, 5_000]),
        endedRetentionMs: prng.pick([10, 200, 2_000]),
        soldRetentionMs: prng.pick([50, 1_000, 20_000]),
        maxHoldLifeMs: prng.pick([Math.min(...ttls), longest, 2 * longest, 2 * longest, 86_400_000]),
      },
      commandRingBytes: prng.pick([4096, 4096, 8192, 16_384]),
      replyRingBytes: prng.pick([4096, 4096, 8192]),
    },
    skus: wide ? [...NAMES, ...MORE_NAMES] : NAMES.slice(0, 1 + prng.below(NAMES.length)),
    clients: Array.from({ length: 3 + prng.below(10) }, () => ({
      holder: HOLDERS[prng.below(holders)],
      mode: prng.pick(MODES),
    })),
    ttls,
    keys: Array.from({ length: 1 + prng.below(4) }, (_, at) => `key-${at}`.repeat(1 + prng.below(9))),
    // Half of the runs begin shortly before an epoch of the expiry wheel does.
    startMs: 51_880_000 * EPOCH_MS + (prng.oneIn(2) ? EPOCH_MS - 200 : prng.below(EPOCH_MS)),
    ringStart: prng.pick(RING_STARTS),
    skewMs: prng.pick([0, 0, 2]),
    steps: 100 + prng.below(250),
    weights: {
      frame: prng.pick([10, 20, 40]),
      turn: prng.pick([5, 15, 30]),
      worker: prng.pick([20, 50, 90]),
      tick: prng.pick([5, 10, 20]),
      jump: prng.pick([0, 1, 2]),
      reconnect: prng.pick([0, 1, 3]),
      reading: slow ? 3 : 0,
      pump: prng.oneIn(3) ? 2 : 0,
      death: prng.pick([0, 0, 1, 1, 2]),
      adopt: 6,
      inspect: 1,
      flood: prng.oneIn(60) ? 1 : 0,
      noise: prng.oneIn(30) ? 1 : 0,
    },
    backlogBytes: prng.pick([64, 1_000]),
    borrow: !prng.oneIn(4),
    jumpMs: patient ? 86_400_000 : 2 * EPOCH_MS,
  };
  const fronts = prng.pick([1, 1, 1, 2, 3]);
  const borrow = scenario.borrow && fronts === 1;
  return { ...scenario, borrow, engine: { ...scenario.engine, fronts } };
}

function drawTtls(prng: Prng, patient: boolean): number[] {
  if (patient) return [1_000, EPOCH_MS + 500, 10 * EPOCH_MS, 86_400_000];
  const longest = prng.pick([40, 400, 3_000, 3 * EPOCH_MS]);
  const count = prng.pick([1, 2, 3, 20]);
  return Array.from({ length: count }, () => 1 + prng.below(longest));
}
