import { MAX_TAKEN_PERCENT } from '../machine.ts';
import { rounded } from '../stats.ts';
import { grouped, table } from '../text-table.ts';
import { describeDrive, type PeerResult, type PeersReport, type SideResult } from './result.ts';
import { SCENES, type Scene, SHAPES, type Shape, type SideName } from './sides.ts';

export const SCENE_LABELS: Record<Scene, string> = { hot: 'one hot SKU', spread: 'SKUs' };
export const SHAPE_LABELS: Record<Shape, string> = {
  single: 'one hold a request',
  batched: 'up to 400 holds a request',
};

/** How many times as many holds Holdfast accepts as Redis with Lua without an append-only file, each at its best. */
export interface PeerTarget {
  readonly name: string;
  readonly scene: Scene;
  readonly figure: number;
  readonly atLeast: number;
  readonly met: boolean;
}

/**
 * Medians of the rounds' ratios where both have the same shape. That of 400 a frame is told twice: of several holds in a call, which is
 * Redis at its best, and of one in a call, which is how a shop calls it.
 */
export function targetsOf(report: PeersReport): PeerTarget[] {
  return SCENES.flatMap((scene) => {
    const own = (shape: Shape) => resultOf(report, 'holdfastMemory', scene, shape)?.acceptedPerSecond;
    const redis = (shape: Shape) => resultOf(report, 'redisLua', scene, shape);
    const [single, batched] = [redis('single'), redis('batched')];
    const rows: [string, number | undefined, number][] = [
      ['one a frame, of one a call', single && 1 / (single.ratioToHoldfastMemory ?? 0), 8],
      ['400 a frame, of up to 400 a call', batched && 1 / (batched.ratioToHoldfastMemory ?? 0), 50],
      ['400 a frame, of one a call', single && (own('batched') ?? 0) / single.acceptedPerSecond, 50],
    ];
    return rows.flatMap(([name, figure, atLeast]) =>
      figure === undefined || !Number.isFinite(figure)
        ? []
        : [{ name, scene, figure: rounded(figure), atLeast, met: figure >= atLeast }],
    );
  });
}

/** Targets as cells: what of what, how many times, how many were asked for, and whether it is met. */
export function targetRows(report: PeersReport): string[][] {
  return targetsOf(report).map(({ name, scene, figure, atLeast, met }) => [
    `Redis Lua: ${name}, ${sceneLabel(report, scene)}`,
    `× ${Number(figure.toPrecision(3))}`,
    `× ${atLeast}`,
    met ? 'met' : 'not met',
  ]);
}

/** The report for people: a table for each shape and scene. */
export function renderPeers(report: PeersReport): string {
  const { steal, others, sides, missing } = report;
  const lines = [
    ...headLines(report),
    `CPU taken meanwhile by the host: ${steal ?? 'unknown'} %, by other processes: ${others ?? 'unknown'} %.`,
  ];
  for (const shape of SHAPES) {
    for (const scene of SCENES) {
      const rows = sides.flatMap((side) => {
        const result = side.results.find((each) => each.shape === shape && each.scene === scene);
        return result === undefined ? [] : [rowOf(side, result)];
      });
      if (rows.length > 0) lines.push('', ...table([[title(report, shape, scene), ...HEAD], ...rows]));
    }
  }
  lines.push(
    '',
    'In flight: connections × requests × holds in a request. Busy: cores of the side, and of the load.',
  );
  const sold = sides.map(({ title, soldOut, oversold }) => [
    title,
    `${soldOut.accepted} of ${soldOut.units} units`,
    `refused ${grouped(soldOut.refused)}`,
    `oversold ${oversold}`,
  ]);
  if (sold.length > 0) lines.push('', ...table([['sold out under load', '', '', ''], ...sold]));
  const targets = targetRows(report);
  if (targets.length > 0) lines.push('', ...table([['target', 'figure', 'asked for', ''], ...targets]));
  for (const { title, why } of missing) lines.push('', `${title} was not measured: ${why}.`);
  if (!report.trusted) {
    const why = `the host or other processes took more than ${MAX_TAKEN_PERCENT} % of the CPU, or holds ended more slowly than they came`;
    lines.push('', `* Not to be trusted: ${why}.`);
  }
  return lines.join('\n');
}

/** Machine and versions, a line each. */
export function headLines({ machine, versions, disk }: PeersReport): string[] {
  const { cpu, cores, memoryGiB, kernel } = machine;
  const list = Object.entries(versions).map(
    ([name, version]) => `${VERSION_LABELS[name] ?? name} ${version}`,
  );
  return [
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${kernel}; ${disk.fileSystem}, one sync ${disk.syncUs} µs`,
    list.join(', '),
  ];
}

/** `20,000 SKUs`, or one hot SKU. */
export function sceneLabel({ options }: PeersReport, scene: Scene): string {
  return scene === 'hot' ? SCENE_LABELS.hot : `${grouped(options.skus)} ${SCENE_LABELS.spread}`;
}

export function resultOf(
  { sides }: PeersReport,
  name: SideName,
  scene: Scene,
  shape: Shape,
): PeerResult | undefined {
  return sides
    .find((side) => side.name === name)
    ?.results.find((each) => each.scene === scene && each.shape === shape);
}

/** How many times a side's rate Holdfast's is: `× 8.1`; nothing where Holdfast was not run. */
export function times(ratio: number | undefined): string {
  if (ratio === undefined || ratio === 0) return '';
  const value = 1 / ratio;
  return `× ${value >= 100 ? grouped(value) : Number(value.toPrecision(2))}`;
}

const VERSION_LABELS: Record<string, string> = {
  holdfast: 'Holdfast',
  node: 'Node',
  redis: 'Redis',
  postgresql: 'PostgreSQL',
};
const HEAD = ['per second', 'p50 ms', 'p99 ms', 'memory is', 'sync is', 'busy', 'in flight'];

function title(report: PeersReport, shape: Shape, scene: Scene): string {
  return `${SHAPE_LABELS[shape]}, ${sceneLabel(report, scene)}`;
}

function rowOf({ title }: SideResult, result: PeerResult): string[] {
  const { acceptedPerSecond, latencyMs, drive, serverCores, loadBusy, trusted } = result;
  return [
    `${title}${trusted ? '' : ' *'}`,
    grouped(acceptedPerSecond),
    latencyMs.p50.toFixed(2),
    latencyMs.p99.toFixed(2),
    times(result.ratioToHoldfastMemory),
    times(result.ratioToHoldfastSync),
    `${serverCores?.toFixed(2) ?? '?'}, ${loadBusy.toFixed(2)}`,
    describeDrive(drive),
  ];
}
