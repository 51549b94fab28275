import { grouped } from '../text-table.ts';
import { headLines, SHAPE_LABELS, sceneLabel } from './report.ts';
import type { PeersReport, SideResult } from './result.ts';
import { SCENES, SHAPES, type Shape } from './sides.ts';

const WIDTH = 920;
const LABEL_WIDTH = 300;
const PLOT_WIDTH = 500;
const BAR_HEIGHT = 13;
const ROW_HEIGHT = 38;
const PANEL_HEAD = 58;
const TOP = 84;
const BOTTOM = 40;

/** Readable on white and on black: the page's own background shows through. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-size: 17px; font-weight: 600; }
  .panel { font-weight: 600; }
  .small { font-size: 11px; fill: #57606a; }
  .grid { stroke: #8c959f; stroke-opacity: 0.35; }
  .hot { fill: #d1622b; }
  .spread { fill: #2f7fd1; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .small { fill: #9aa4af; }
  }`;

/** Accepted holds a second of every side as bars on a logarithmic scale, one panel for each shape. */
export function plot(report: PeersReport): string {
  const shapes = SHAPES.filter((shape) => sidesOf(report, shape).length > 0);
  const rates = report.sides.flatMap(({ results }) => results.map((result) => result.acceptedPerSecond));
  const decades = decadesOf(rates);
  let y = TOP;
  const panels = shapes.map((shape) => {
    const text = panel(report, shape, y, decades);
    y += PANEL_HEAD + sidesOf(report, shape).length * ROW_HEIGHT;
    return text;
  });
  const height = y + BOTTOM;
  const [machine, versions] = headLines(report);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>Accepted holds a second beside what people use today</title>
<style>${STYLE}
</style>
${label(16, 26, 'Accepted holds a second, logarithmic scale', 'title')}
${legend(report)}
${panels.join('\n')}
${label(16, height - 24, machine, 'small')}
${label(16, height - 9, versions, 'small')}
</svg>
`;
}

type Decades = readonly [first: number, last: number];

/** Powers of ten from below the slowest rate to above the fastest. */
function decadesOf(rates: readonly number[]): Decades {
  const logs = rates.filter((rate) => rate > 0).map(Math.log10);
  if (logs.length === 0) return [0, 1];
  const first = Math.floor(Math.min(...logs));
  return [first, Math.max(first + 1, Math.ceil(Math.max(...logs)))];
}

function xOf(rate: number, [first, last]: Decades): number {
  const share = (Math.log10(Math.max(rate, 10 ** first)) - first) / (last - first);
  return LABEL_WIDTH + share * PLOT_WIDTH;
}

function legend(report: PeersReport): string {
  return SCENES.map((scene, i) => {
    const x = 16 + i * 130;
    return `<rect class="${scene}" x="${x}" y="42" width="12" height="12" rx="2"/>${label(x + 18, 53, sceneLabel(report, scene))}`;
  }).join('\n');
}

function panel(report: PeersReport, shape: Shape, top: number, decades: Decades): string {
  const sides = sidesOf(report, shape);
  const bottom = top + PANEL_HEAD - 12 + sides.length * ROW_HEIGHT;
  const [first, last] = decades;
  const grid = Array.from({ length: last - first + 1 }, (_, i) => {
    const x = xOf(10 ** (first + i), decades).toFixed(1);
    const line = `<line class="grid" x1="${x}" x2="${x}" y1="${top + PANEL_HEAD - 18}" y2="${bottom}"/>`;
    return `${line}${label(Number(x), top + PANEL_HEAD - 24, grouped(10 ** (first + i)), 'small', 'middle')}`;
  });
  const rows = sides.map((side, i) => row(side, shape, top + PANEL_HEAD - 10 + i * ROW_HEIGHT, decades));
  return [label(16, top + 14, SHAPE_LABELS[shape], 'panel'), ...grid, ...rows].join('\n');
}

function row(side: SideResult, shape: Shape, top: number, decades: Decades): string {
  const bars = SCENES.flatMap((scene, i) => {
    const result = side.results.find((each) => each.shape === shape && each.scene === scene);
    if (result === undefined) return [];
    const y = top + i * (BAR_HEIGHT + 1);
    const end = xOf(result.acceptedPerSecond, decades);
    const width = Math.max(1, end - LABEL_WIDTH).toFixed(1);
    return [
      `<rect class="${scene}" x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
      label(end + 6, y + BAR_HEIGHT - 3, grouped(result.acceptedPerSecond), 'small'),
    ];
  });
  return [label(LABEL_WIDTH - 10, top + BAR_HEIGHT + 5, side.title, '', 'end'), ...bars].join('\n');
}

function sidesOf({ sides }: PeersReport, shape: Shape): SideResult[] {
  return sides.filter(({ results }) => results.some((result) => result.shape === shape));
}

function label(x: number, y: number, text: string, name = '', anchor = 'start'): string {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const attributes = `${name === '' ? '' : ` class="${name}"`}${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}`;
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${attributes}>${escaped}</text>`;
}
