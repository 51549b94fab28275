import { Prng } from '../../src/base/prng.ts';
import { drawScenario, type Scenario } from './scenario.ts';

/** What can happen besides, where something is stored. */
export const STORE_STEPS = [
  'storage',
  'maintenance',
  'power',
  'kill',
  'broken-sync',
  'room',
  'stall',
  'wall',
  'stop',
] as const;
export type StoreStep = (typeof STORE_STEPS)[number];

export interface DurableScenario extends Scenario {
  readonly ack: 'sync' | 'journal';
  /** Bytes of a journal file: a few groups. */
  readonly fileBytes: number;
  /** How often each kind of step is taken, relative to the others. */
  readonly storeWeights: Readonly<Record<StoreStep, number>>;
  /** The store stands still when it takes nothing for so long. */
  readonly stallMs: number;
  /** One in so many calls to the disk lets others go on meanwhile. */
  readonly interleaving: number;
  /** Whether the newest snapshot of a segment is once found damaged. */
  readonly damage: boolean;
}

/** Room for what 16 commands, or an expiry's slice, can cause beside what is kept for commands on holds, and not for much more. */
const EVENT_RING_BYTES = [16_384, 32_768, 32_768];

export function drawDurableScenario(seed: number): DurableScenario {
  const scenario = drawScenario(seed);
  const prng = new Prng(seed ^ 0x2545f491);
  const ack = prng.oneIn(8) ? 'journal' : 'sync';
  const wall = prng.oneIn(4);
  return {
    ...scenario,
    engine: { ...scenario.engine, events: { ringBytes: prng.pick(EVENT_RING_BYTES), gated: true } },
    steps: 100 + prng.below(200),
    weights: {
      ...scenario.weights,
      flood: 0,
      noise: 0,
      jump: Math.min(1, scenario.weights.jump),
      death: prng.pick([0, 1, 3]),
    },
    ack,
    fileBytes: prng.pick([400, 600, 1_500, 8_192]),
    storeWeights: {
      storage: prng.pick([10, 30, 60]),
      maintenance: prng.pick([0, 20, 40, 60]),
      // What is not synced is lost with the power, and so is a promise of the level `journal`.
      power: ack === 'sync' ? prng.pick([0, 1, 2]) : 0,
      kill: prng.pick([0, 1, 2]),
      'broken-sync': prng.oneIn(4) ? 1 : 0,
      room: prng.oneIn(3) ? 3 : 0,
      stall: prng.pick([0, 3]),
      wall: wall ? 1 : 0,
      stop: prng.pick([0, 0, 1]),
    },
    stallMs: prng.pick([1, 20, 100]),
    interleaving: prng.pick([1, 2, 4, 1_000]),
    damage: prng.oneIn(3),
  };
}
