import { FEW_SKUS } from './core.ts';
import type { FairnessResult } from './crowd/fairness.ts';
import type { Resources } from './crowd/resources.ts';
import { KEPT_MB, type StormResult } from './crowd/storm.ts';
import type { DurableResult } from './durable/durable.ts';
import type { Report } from './suite.ts';
import { grouped } from './text-table.ts';
import type { PatternName } from './wire.ts';

/** A figure beside what is asked of it. */
export interface Target {
  readonly name: string;
  /** Null when it could not be taken here, which is not to have met it. */
  readonly figure: number | null;
  readonly atLeast: number;
  readonly unit: 'perSecond' | 'shareOfEcho' | 'shareOfKeyless' | 'shareOfUngated' | 'shareOfPeak';
  readonly met: boolean;
  /** Under what condition it was taken, or why it was not. */
  readonly note?: string;
}

/** The targets of all parts that were run. */
export function targetsOf(report: Report): Target[] {
  const { wire, ring, core, durable, gate } = report;
  const sync = durable?.wire;
  const withKeys = (pattern: PatternName) => sync?.[pattern]?.keyed?.shareOfKeyless;
  const redis = durable && redisFigure(durable);
  const rows: (readonly [
    string,
    number | null | undefined,
    number,
    Target['unit'],
    (string | undefined)?,
  ])[] = [
    ['wire, one command a frame', wire?.onePerFrame?.shareOfEcho, 0.7, 'shareOfEcho'],
    ['wire, 400 commands a frame', wire?.batched?.commandsPerSecond, 2_000_000, 'perSecond'],
    ['wire, one in flight', wire?.oneInFlight?.shareOfEcho, 0.9, 'shareOfEcho'],
    ['ring', ring?.recordsPerSecond, 50_000_000, 'perSecond'],
    ['core', core?.commandsPerSecond, 4_000_000, 'perSecond'],
    ['durable, one command a frame', sync?.onePerFrame?.commandsPerSecond, 300_000, 'perSecond'],
    ['durable, one command a frame, of echo', sync?.onePerFrame?.shareOfEcho, 0.85, 'shareOfEcho'],
    ['durable, one command a frame, keys', withKeys('onePerFrame'), 0.65, 'shareOfKeyless'],
    ['durable, 400 commands a frame', sync?.batched?.commandsPerSecond, 1_600_000, 'perSecond'],
    ['durable, 400 commands a frame, keys', withKeys('batched'), 0.65, 'shareOfKeyless'],
    ['durable, hot SKU', sync?.hot?.commandsPerSecond, 2_000_000, 'perSecond'],
    ['durable, hot SKU, keys', withKeys('hot'), 0.65, 'shareOfKeyless'],
    ['durable, sold out', sync?.flash?.commandsPerSecond, 4_000_000, 'perSecond'],
    ['durable, one in flight', sync?.oneInFlight?.shareOfEcho, 0.6, 'shareOfEcho'],
    ['recovery', durable?.journal.keyed.eventsPerSecond, 2_000_000, 'perSecond'],
    ['Redis, 400 commands a frame', redis?.figure, REDIS_TARGET, 'perSecond', redis?.note],
    ['rate with the gate', gate?.leastShareOfUngated, 0.9, 'shareOfUngated'],
    ...overloadsOf(report).map(
      ({ name, goodput, what }) => [`overload ${name}, goodput`, goodput, 0.8, 'shareOfPeak', what] as const,
    ),
  ];
  return rows.flatMap(([name, figure, atLeast, unit, note]) => {
    if (figure === undefined) return [];
    const met = figure !== null && figure >= atLeast;
    return [{ name, figure, atLeast, unit, met, ...(note !== undefined && { note }) }];
  });
}

const REDIS_TARGET = 300_000;

/** What the store on Redis is judged by: with a sync before each answer if that suffices, else with one a second. */
function redisFigure({ redis, whyNoRedis }: DurableResult): { figure: number | null; note: string } {
  if (redis === null) return { figure: null, note: whyNoRedis ?? 'there was no Redis' };
  const fsync = redis.always.commandsPerSecond >= REDIS_TARGET ? 'always' : 'everysec';
  return { figure: redis[fsync].commandsPerSecond, note: `appendfsync ${fsync}` };
}

/** A figure beside what it must not exceed. */
export interface Limit {
  readonly name: string;
  readonly figure: number;
  readonly atMost: number;
  readonly unit: LimitUnit;
  readonly met: boolean;
}

type LimitRow = [name: string, figure: number | undefined, atMost: number, unit: LimitUnit];
type LimitUnit = 'ms' | 'µs' | 'timesEcho' | 'bytes' | '%' | 'commands' | 'units' | 'MB' | 'descriptors';

/** The limits of all parts that were run. */
export function limitsOf(report: Report): Limit[] {
  const { ring, core, expiry, durable, storm, fairness } = report;
  const steady = durable?.steady;
  const rows: LimitRow[] = [
    ['ring, hop', ring?.hopMicroseconds, 0.3, 'µs'],
    [`core, slower than with ${grouped(FEW_SKUS)} SKUs`, core && Math.round(core.slowdown * 100), 40, '%'],
    ['core, memory of an open hold', core?.bytesPerOpenHold, 96, 'bytes'],
    ['expiry under load, p99', expiry?.lateMs.p99, 50, 'ms'],
    ['expiry of very many, slice', expiry?.million.longestSliceMs, 5, 'ms'],
    ['durable, p50 at a steady rate', steady && steady.durable.p50 / 1000, 0.6, 'ms'],
    ['durable, p99 at a steady rate', steady?.p99TimesEcho, 3, 'timesEcho'],
    ['durable, p99.9 at a steady rate', steady?.p999TimesEcho, 3, 'timesEcho'],
    ['journal of a hold with a key', durable?.journal.keyed.bytesPerHold, 64, 'bytes'],
    ['journal of a hold without', durable?.journal.keyless.bytesPerHold, 64, 'bytes'],
    ['start from snapshots', durable?.start.startMs, 3000, 'ms'],
    ['storm, descriptors left behind', storm && left(storm, 'descriptors'), 0, 'descriptors'],
    ['storm, memory left behind', storm && left(storm, 'rssMb'), KEPT_MB, 'MB'],
    [
      'fairness, units of the hoarder who has most',
      fairness?.hoarded.most,
      fairness?.unitsEach ?? 0,
      'units',
    ],
    ['fairness, oversold, leaked or lost', fairness && wrongUnits(fairness), 0, 'units'],
    ...overloadsOf(report).flatMap(
      ({ name, acceptedP99Ms, beside, settlingRefused, ...books }): LimitRow[] => [
        [`overload ${name}, p99 of what is accepted`, acceptedP99Ms, 50, 'ms'],
        [`overload ${name}, p99 of buyers beside it`, beside.acceptedP99Ms, 50, 'ms'],
        [`overload ${name}, confirms refused for load`, settlingRefused, 0, 'commands'],
        [`overload ${name}, oversold, leaked or lost`, wrongUnits(books), 0, 'units'],
      ],
    ),
  ];
  return rows.flatMap(([name, figure, atMost, unit]) => {
    if (figure === undefined) return [];
    // A command that was refused, or never answered, has no place among the latencies.
    const complete = !name.endsWith('at a steady rate') || steady?.complete === true;
    return [{ name, figure, atMost, unit, met: complete && figure <= atMost }];
  });
}

/** Units that the books say must not be. */
function wrongUnits({
  oversold,
  leaked,
  lost,
}: Pick<FairnessResult, 'oversold' | 'leaked' | 'lost'>): number {
  return oversold + leaked + lost;
}

/** What the worst of the storms left, beyond what there was before the first. */
function left({ before, after }: StormResult, resource: keyof Resources): number {
  return Math.max(...after.map((resources) => resources[resource])) - before[resource];
}

/** Each set-up of the overload, with whether the machine left it alone. */
export function overloadsOf({ overload }: Report) {
  return (overload?.setUps ?? []).map((setUp) => ({ ...setUp, trusted: overload?.trusted === true }));
}
