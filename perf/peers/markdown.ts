import { grouped } from '../text-table.ts';
import { headLines, SHAPE_LABELS, sceneLabel, targetRows, times } from './report.ts';
import { describeDrive, type PeerResult, type PeersReport, type SideResult } from './result.ts';
import { SCENES, SHAPES, type Shape } from './sides.ts';

const BEGIN = /^<!-- peers: begin.*-->$/m;
const END = '<!-- peers: end -->';

/** The report as it stands in the README: machine, versions, and tables whose columns are padded as the formatter has them. */
export function markdown(report: PeersReport): string {
  const { steal, others, missing, trusted } = report;
  const note = trusted ? '' : '; figures with a star are not to be trusted';
  const shapes = SHAPES.filter((shape) => report.sides.some((side) => ofShape(side, shape).length > 0));
  return [
    ...headLines(report).map((line, i) => (i === 0 ? `Machine: ${line}.` : `${line}.`)),
    `Taken by the host meanwhile: ${steal ?? 'unknown'} % of the CPU, by other processes: ${others ?? 'unknown'} %${note}.`,
    '',
    ...shapes.flatMap((shape) => [...shapeTable(report, shape), '']),
    ...missing.flatMap(({ title, why }) => [`${title} was not measured: ${why}.`, '']),
    ...targetsTable(report),
    ...waysTable(report),
  ].join('\n');
}

/** The page with `text` between its two comments; throws where they are not. */
export function insertTable(page: string, text: string): string {
  const begin = BEGIN.exec(page);
  const end = page.indexOf(END);
  if (begin === null || end < begin.index)
    throw new Error(`There are no comments <!-- peers: begin … --> and ${END}.`);
  return `${page.slice(0, begin.index + begin[0].length)}\n\n${text}\n\n${page.slice(end)}`;
}

function shapeTable(report: PeersReport, shape: Shape): string[] {
  const head = [
    SHAPE_LABELS[shape],
    ...SCENES.flatMap((scene) => [`${sceneLabel(report, scene)}: accepted/s`, 'p50, p99 ms', 'memory, sync']),
  ];
  const rows = report.sides.flatMap((side) => {
    const results = ofShape(side, shape);
    if (results.length === 0) return [];
    const cells = SCENES.flatMap((scene) => cellsOf(results.find((each) => each.scene === scene)));
    return [[side.title, ...cells]];
  });
  return padded([head, ...rows]);
}

function cellsOf(result: PeerResult | undefined): string[] {
  if (result === undefined) return ['', '', ''];
  const { acceptedPerSecond, latencyMs, trusted } = result;
  return [
    `${grouped(acceptedPerSecond)}${trusted ? '' : ' *'}`,
    `${short(latencyMs.p50)}, ${short(latencyMs.p99)}`,
    [result.ratioToHoldfastMemory, result.ratioToHoldfastSync].map(times).filter(Boolean).join(', '),
  ];
}

function waysTable({ sides }: PeersReport): string[] {
  const head = [
    'side',
    'a hold',
    'acknowledged holds',
    'hot SKU, driven by',
    'many SKUs, driven by',
    'oversold',
  ];
  const rows = sides.map((side) => {
    const driven = SCENES.map((scene) =>
      side.results
        .filter((result) => result.scene === scene)
        .map(({ drive }) => describeDrive(drive))
        .join('; '),
    );
    return [side.title, side.way, side.durability, ...driven, String(side.oversold)];
  });
  return padded([head, ...rows]);
}

function targetsTable(report: PeersReport): string[] {
  const rows = targetRows(report);
  return rows.length === 0
    ? []
    : [...padded([['Holdfast, ack=memory, of', 'reached', 'asked for', ''], ...rows]), ''];
}

function ofShape(side: SideResult, shape: Shape): PeerResult[] {
  return side.results.filter((result) => result.shape === shape);
}

function short(ms: number): string {
  return String(Number(ms.toPrecision(2)));
}

function padded(rows: readonly string[][]): string[] {
  const widths = rows[0].map((_, column) => Math.max(3, ...rows.map((row) => row[column].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  const [head, ...body] = rows;
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body.map(line)];
}
