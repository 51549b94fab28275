/** The threads that a command passes, in order. */
export const THREADS = ['front', 'shard', 'storage'] as const;
export type Thread = (typeof THREADS)[number];

/** CPU time, µs, of one kind of thread: `perCommandUs` for each command, and `perFrameUs` besides for each frame. */
export interface Cost {
  readonly perCommandUs: number;
  readonly perFrameUs: number;
}

/** No cost may be negative; what takes no time limits nothing. */
export type Costs = Readonly<Record<Thread, Cost>>;

/** One kind of thread, or all cores together where there are fewer than threads. */
export type Limit = Thread | 'generator' | 'cores';

/** A number of cores and the split of the server's threads that gives the most there. */
export interface Prediction {
  readonly cores: number;
  readonly fronts: number;
  readonly workers: number;
  readonly commandsPerSecond: number;
  /** What has no time left. */
  readonly limit: Limit;
  /** With every command on one SKU, which is one worker's, however many there are. */
  readonly hotPerSecond: number;
  /** The same cores with a single front. */
  readonly oneFrontPerSecond: number;
}

/** Where a thread of which there is only one takes over. Cores; null where that does not come up to the most that was looked at. */
export interface Turns {
  /** From here on, more cores are of no use with one front, because of the front. */
  readonly oneFrontIsLimit: number | null;
  /** From here on, a second front gives more than its core would give to a further worker. */
  readonly frontsPay: number | null;
  /** From here on, more cores are of no use at all, because of the one storage thread. */
  readonly storageIsLimit: number | null;
}

/** One thread of each kind. Fewer cores than these have to be shared. */
const FEWEST_THREADS = 3;
/** A split has to be so much better to count: it costs threads. */
const BETTER = 1 + 1e-9;

/**
 * A thread's cost, from what a command cost it in frames of two sizes: a straight line through both in the number of frames a command.
 * What the noise of two measurements would make negative is 0.
 *
 * @param small with few commands a frame
 * @param large with more
 */
export function costOf(
  small: { commandsPerFrame: number; us: number },
  large: { commandsPerFrame: number; us: number },
): Cost {
  const frames = 1 / small.commandsPerFrame - 1 / large.commandsPerFrame;
  if (!(frames > 0)) throw new RangeError('the second frame size has to be larger than the first');
  const perFrameUs = Math.max(0, (small.us - large.us) / frames);
  return { perCommandUs: Math.max(0, large.us - perFrameUs / large.commandsPerFrame), perFrameUs };
}

/** What a command costs a thread in frames of so many, µs. */
export function commandUs({ perCommandUs, perFrameUs }: Cost, commandsPerFrame: number): number {
  return perCommandUs + perFrameUs / commandsPerFrame;
}

/** A load generator on the server's own cores: µs of a command, and how many threads it has. */
export interface Neighbour {
  readonly us: number;
  readonly threads: number;
}

/**
 * Commands a second with a given split: as many as the first kind of thread to run out of time can take, or all cores together. Nothing
 * waits for anything else, so this is a bound that a server comes close to, from below.
 *
 * @param us of a command, on each kind of thread
 * @param generator if it is not elsewhere
 */
export function rateOf(
  us: Readonly<Record<Thread, number>>,
  { cores, fronts, workers }: { cores: number; fronts: number; workers: number },
  generator: Neighbour = { us: 0, threads: 1 },
): { commandsPerSecond: number; limit: Limit } {
  const most: [Limit, number][] = [
    ['front', fronts / us.front],
    ['shard', workers / us.shard],
    ['storage', 1 / us.storage],
    ['generator', generator.threads / generator.us],
    ['cores', cores / (us.front + us.shard + us.storage + generator.us)],
  ];
  const [limit, perUs] = most.reduce((least, next) => (next[1] < least[1] ? next : least));
  return { commandsPerSecond: perUs * 1e6, limit };
}

/** The best split of a number of cores, of equal ones that with the fewest threads. */
export function predict(costs: Costs, commandsPerFrame: number, cores: number): Prediction {
  const us = usOf(costs, commandsPerFrame);
  const best = bestSplit(us, cores, Number.POSITIVE_INFINITY);
  return {
    cores,
    ...best,
    hotPerSecond: rateOf(us, { cores, fronts: best.fronts, workers: 1 }).commandsPerSecond,
    oneFrontPerSecond: bestSplit(us, cores, 1).commandsPerSecond,
  };
}

/** @param upToCores most to look at */
export function turnsOf(costs: Costs, commandsPerFrame: number, upToCores: number): Turns {
  const us = usOf(costs, commandsPerFrame);
  const first = (is: (cores: number) => boolean) => {
    for (let cores = FEWEST_THREADS; cores <= upToCores; cores++) if (is(cores)) return cores;
    return null;
  };
  return {
    oneFrontIsLimit: first((cores) => bestSplit(us, cores, 1).limit === 'front'),
    frontsPay: first((cores) => bestSplit(us, cores, cores).fronts > 1),
    storageIsLimit: first((cores) => bestSplit(us, cores, cores).limit === 'storage'),
  };
}

type Split = Pick<Prediction, 'fronts' | 'workers' | 'commandsPerSecond' | 'limit'>;

function bestSplit(us: Readonly<Record<Thread, number>>, cores: number, mostFronts: number): Split {
  const threads = Math.max(cores, FEWEST_THREADS) - 1;
  let best: Split | undefined;
  for (let sum = 2; sum <= threads; sum++) {
    for (let fronts = 1; fronts < sum && fronts <= mostFronts; fronts++) {
      const workers = sum - fronts;
      const rate = rateOf(us, { cores, fronts, workers });
      if (best === undefined || rate.commandsPerSecond > best.commandsPerSecond * BETTER) {
        best = { fronts, workers, ...rate };
      }
    }
  }
  return best as Split;
}

/** What a command costs each kind of thread, µs. */
export function usOf(costs: Costs, commandsPerFrame: number): Record<Thread, number> {
  return {
    front: commandUs(costs.front, commandsPerFrame),
    shard: commandUs(costs.shard, commandsPerFrame),
    storage: commandUs(costs.storage, commandsPerFrame),
  };
}
