import type { Prng } from '../../src/base/prng.ts';
import { FAILPOINTS, FAULTS, type Failpoint, type Fault } from '../../src/storage/failpoints.ts';

/** Where the server dies by itself, or a call of it fails. */
export type Planted = Failpoint | Fault;
export const PLANTED: readonly Planted[] = [...FAILPOINTS, ...FAULTS];

/** What happens to the server in one round, from one start to its end. */
export type Round =
  /** SIGKILL so long after the load began. */
  | { readonly fault: 'kill'; readonly afterMs: number }
  /** SIGKILL so long after the process started: in the midst of recovery, or shortly after it. */
  | { readonly fault: 'kill-in-recovery'; readonly afterMs: number }
  /** It dies by itself at the n-th passage of a failpoint, or a call fails there. */
  | { readonly fault: 'failpoint'; readonly name: Planted; readonly passage: number }
  /** SIGTERM: an orderly end. */
  | { readonly fault: 'term'; readonly afterMs: number }
  /** Redis is killed by SIGKILL, or stopped by SIGSTOP, goes on after a while, and then the server is killed. */
  | { readonly fault: 'redis-kill' | 'redis-stop'; readonly afterMs: number; readonly awayMs: number };

export interface PlanOptions {
  readonly rounds: number;
  readonly redis: boolean;
  /** Whether groups are synced by the server itself. */
  readonly syncs: boolean;
  /** Only this failpoint, or every one of them once before anything else. */
  readonly failpoint: Planted | 'each' | undefined;
  /** Only plain kills, after so much load that there are snapshots and trims: what a mistake that is planted needs. */
  readonly flawed: boolean;
}

/** A start takes about so long, ms: kills in recovery are spread over it. */
const START_MS = 900;
/** Load before a kill: short mostly, and now and then long enough for snapshots and trims. */
const SHORT_MS = 500;
const LONG_MS = 1800;

/** The failpoints that a run can come to. */
export function reachable({ redis, syncs }: Pick<PlanOptions, 'redis' | 'syncs'>): Planted[] {
  // Redis needs no rename for a snapshot to be there as a whole.
  const points = FAILPOINTS.filter((name) => !redis || name !== 'snapshot.rename');
  return syncs ? [...points, ...FAULTS] : points.filter((name) => redis || !name.startsWith('sync.'));
}

/** The rounds of a run, from its seed. */
export function planRounds(prng: Prng, options: PlanOptions): Round[] {
  const { rounds, redis, failpoint, flawed } = options;
  const all = reachable(options);
  const deck: Planted[] = [];
  const draw = (): Planted => {
    if (deck.length === 0) deck.push(...shuffled(prng, all));
    return deck.pop() as Planted;
  };
  return Array.from({ length: rounds }, (_, round) => {
    if (flawed) return { fault: 'kill', afterMs: SHORT_MS + prng.below(LONG_MS) };
    if (failpoint === 'each' && round < all.length) return atFailpoint(prng, draw());
    if (failpoint !== undefined && failpoint !== 'each') return atFailpoint(prng, failpoint);
    const dice = prng.below(100);
    if (redis && dice < 20) {
      const fault = dice < 10 ? 'redis-kill' : 'redis-stop';
      return { fault, afterMs: 50 + prng.below(400), awayMs: 50 + prng.below(1500) };
    }
    if (dice < 42) return atFailpoint(prng, draw());
    if (dice < 56) return { fault: 'kill-in-recovery', afterMs: prng.below(START_MS) };
    if (dice < 61) return { fault: 'term', afterMs: prng.below(SHORT_MS) };
    return { fault: 'kill', afterMs: prng.below(prng.oneIn(5) ? LONG_MS : SHORT_MS) };
  });
}

function atFailpoint(prng: Prng, name: Planted): Round {
  // There are hundreds of groups a second, and few snapshots and trims.
  const most = name.startsWith('snapshot') ? 4 : name.startsWith('trim') ? 1 : 100;
  return { fault: 'failpoint', name, passage: 1 + prng.below(most) };
}

function shuffled<T>(prng: Prng, list: readonly T[]): T[] {
  const rest = [...list];
  return list.map(() => rest.splice(prng.below(rest.length), 1)[0] as T);
}
