/** What one group of clients does. All of a scenario's groups run at once. Times are ms. */
export interface Stream {
  readonly connections: number;
  /** Frames that a connection keeps under way: a closed loop, which offers what the server takes. */
  readonly framesInFlight?: number;
  /** HOLDs due a second over all connections, whatever the answers do: an open loop. In place of framesInFlight. */
  readonly ratePerSecond?: number;
  readonly commandsPerFrame: number;
  readonly ttlMs: number;
  /** In place of ttlMs: all holds end together, so long after the start. */
  readonly endTogetherMs?: number;
  /** The group ends when so many HOLDs are answered. */
  readonly holds?: number;
  /** When it begins and ends, as shares of the run. */
  readonly from?: number;
  readonly to?: number;
  /** What becomes of a hold: confirmed, released (shares of all), else left to expire; after a time to think. */
  readonly checkout?: {
    readonly confirm: number;
    readonly release: number;
    readonly thinkMs: readonly [number, number];
  };
  /** So many connections a second are cut, with whatever they have under way, and made anew. */
  readonly cutsPerSecond?: number;
  /** Sends and never reads. */
  readonly deaf?: true;
  /** Not part of the figures, only of the books: it is there to disturb. */
  readonly background?: true;
}

/** A load with a name, as a file in perf/scenarios has it. */
export interface Scenario {
  readonly name: string;
  /** One line for `--list`. */
  readonly summary: string;
  readonly seconds: number;
  /** Of these, so many at the beginning count in the books only: code is compiled then, and memory touched for the first time. */
  readonly warmUpSeconds: number;
  readonly skus: number;
  /** How often each SKU is asked for: all alike, or the n-th in proportion to 1 / n^0.99. */
  readonly popularity: 'uniform' | 'zipf';
  readonly unitsPerSku: number;
  /** The first is the one that --connections, --rate and the like change. */
  readonly streams: readonly Stream[];
  /** Units added to every SKU at a share of the run. */
  readonly restock?: { readonly at: number; readonly units: number };
  /** In place of the first stream's rate: so many times what the server is found to take in a closed loop just before. */
  readonly timesCapacity?: number;
  /** What the figures show and what to look at, for `--list` and the report. */
  readonly shows: string;
}

/** Units per SKU of scenarios that must not sell out: many, and few enough for the sums to stay exact. */
export const PLENTY = 1_000_000_000;

/** Deadlines of a stream's holds lie at most so far behind its end. */
export function longestTtlMs(scenario: Scenario): number {
  return Math.max(...scenario.streams.map(({ ttlMs, endTogetherMs }) => endTogetherMs ?? ttlMs));
}
