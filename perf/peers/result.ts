import type { Place } from '../durable/place.ts';
import type { Machine, Watched } from '../machine.ts';
import { median, rounded, type Spread, spread } from '../stats.ts';
import type { Drive, PeerLoadResult } from './load.ts';
import type { PeerBooks } from './servers.ts';
import type { Scene, Shape, SideName } from './sides.ts';

/** One side in one scene and shape. Rates are accepted holds a second. */
export interface PeerResult extends Watched {
  readonly scene: Scene;
  readonly shape: Shape;
  /** Median of the rounds, and slowest and fastest. */
  readonly acceptedPerSecond: number;
  readonly spread: Spread;
  /** Of a request at this rate, with so many under way; medians of the rounds. */
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  readonly drive: Drive;
  /** Holds of all rounds. */
  readonly accepted: number;
  readonly refused: number;
  readonly unanswered: number;
  /** Cores that the side kept busy, and the busy share of the load's thread: who of them was the limit. */
  readonly serverCores: number | null;
  readonly loadBusy: number;
  /** Holds that ended for each that was accepted; null where the side ends them by itself. */
  readonly endedShare: number | null;
  /** Medians of the ratios to Holdfast's rate in the same round; missing where Holdfast was not run. */
  readonly ratioToHoldfastMemory?: number;
  readonly ratioToHoldfastSync?: number;
}

export interface SideResult {
  readonly name: SideName;
  readonly title: string;
  readonly durability: string;
  readonly way: string;
  /** A SKU that was sold out under load: accepted has to be its units. */
  readonly soldOut: { readonly units: number; readonly accepted: number; readonly refused: number };
  /** Units taken that were not there: of that SKU, and of all others when everything had ended. */
  readonly oversold: number;
  readonly results: readonly PeerResult[];
  readonly books: PeerBooks;
}

export interface PeersReport extends Watched {
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly disk: Place['disk'];
  /** Of the rounds. */
  readonly options: {
    readonly repeats: number;
    readonly seconds: number;
    readonly skus: number;
    readonly ttlMs: number;
  };
  readonly sides: readonly SideResult[];
  /** Sides that could not be run here, and why. */
  readonly missing: readonly { readonly name: SideName; readonly title: string; readonly why: string }[];
}

/** What each side did in the rounds of one scene and shape. */
export type Runs = Map<SideName, PeerLoadResult[]>;

/** Of the holds that are accepted, so many have to end meanwhile for the rate to be one that could go on. */
const STEADY_SHARE = 0.9;

/** One side's runs beside those of the others in the same rounds, which were watched together. */
export function peerResult(
  scene: Scene,
  shape: Shape,
  drive: Drive,
  own: readonly PeerLoadResult[],
  runs: Runs,
  watch: Watched,
): PeerResult {
  const result = summary(scene, shape, drive, own);
  const isSteady = result.endedShare === null || result.endedShare >= STEADY_SHARE;
  return { ...result, ...ratios(own, runs), ...watch, trusted: watch.trusted && isSteady };
}

/** Throws unless all units were sold, none of them twice, and somebody was refused. */
export function expectSoldOut(title: string, sold: SideResult['soldOut']): SideResult['soldOut'] {
  const { units, accepted, refused } = sold;
  if (accepted === units && refused > 0) return sold;
  throw new Error(`${title} accepted ${accepted} holds of a SKU with ${units} units and refused ${refused}.`);
}

/** `100 × 50`, and holds in a request where there are several. */
export function describeDrive({ connections, inFlight, holdsPerRequest }: Drive): string {
  return `${connections} × ${inFlight}${holdsPerRequest > 1 ? ` × ${holdsPerRequest}` : ''}`;
}

function summary(scene: Scene, shape: Shape, drive: Drive, runs: readonly PeerLoadResult[]) {
  const rates = runs.map((run) => run.acceptedPerSecond);
  const sum = (of: (run: PeerLoadResult) => number) => runs.reduce((total, run) => total + of(run), 0);
  const middle = (of: (run: PeerLoadResult) => number) => rounded(median(runs.map(of)));
  const optional = (of: (run: PeerLoadResult) => number | null) =>
    runs.some((run) => of(run) === null) ? null : middle((run) => of(run) ?? 0);
  return {
    scene,
    shape,
    acceptedPerSecond: Math.round(median(rates)),
    spread: spread(rates),
    latencyMs: { p50: middle((run) => run.latencyMs.p50), p99: middle((run) => run.latencyMs.p99) },
    drive,
    accepted: sum((run) => run.accepted),
    refused: sum((run) => run.refused),
    unanswered: sum((run) => run.unanswered),
    serverCores: optional((run) => run.serverCores),
    loadBusy: middle((run) => run.loadBusy),
    endedShare: optional((run) => run.endedShare),
  };
}

function ratios(own: readonly PeerLoadResult[], runs: Runs) {
  const ratioTo = (name: SideName) => {
    const theirs = runs.get(name);
    if (theirs === undefined) return undefined;
    const each = own.map((run, i) => run.acceptedPerSecond / theirs[i].acceptedPerSecond);
    return Number(median(each).toPrecision(3));
  };
  const [memory, sync] = [ratioTo('holdfastMemory'), ratioTo('holdfastSync')];
  return {
    ...(memory !== undefined && { ratioToHoldfastMemory: memory }),
    ...(sync !== undefined && { ratioToHoldfastSync: sync }),
  };
}
