import type UPlot from 'uplot';
import type { RunPlots, StagePlots } from './data.ts';

/** What the page has beside this code: uPlot's script, and the heat map's. */
declare const uPlot: typeof UPlot;
declare const drawHeatMap: (parent: HTMLElement, plots: StagePlots) => void;

type Numbers = (number | null)[];

const HEIGHT_PX = 300;
/** Names of the style sheet's colours. */
const COLORS = ['--blue', '--green', '--orange', '--red', '--purple'];
const WAITS = ['queue', 'durable'];

/** Draws every run's plots into the places that are marked for them, and again when the window or the colour scheme changes. */
export function drawAll(): void {
  const text = document.getElementById('data')?.textContent ?? '[]';
  const runs = JSON.parse(text) as RunPlots[];
  const draw = () => {
    runs.forEach((run, i) => {
      for (const place of document.querySelectorAll<HTMLElement>(`[data-run="${i}"] [data-plot]`)) {
        place.replaceChildren();
        PLOTS[place.dataset.plot as string]?.(place, run);
      }
    });
  };
  draw();
  let timer = 0;
  const again = () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(draw, 100);
  };
  let width = window.innerWidth;
  window.addEventListener('resize', () => {
    if (window.innerWidth !== width) again();
    width = window.innerWidth;
  });
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again);
}

/** What fills a place, by the name that it is marked with. */
const PLOTS: Readonly<Record<string, (place: HTMLElement, run: RunPlots) => void>> = {
  rates: (place, { rates: { seconds, ...values } }) =>
    drawLines(place, seconds, values, { unit: short, colors: ['--soft', '--green', '--orange'] }),
  latencies: (place, { latencies: { seconds, p50, p99, p999, max } }) =>
    drawLines(place, seconds, { p50, p99, 'p99.9': p999, longest: max }, { unit: inMs, logarithmic: true }),
  distribution: (place, { distribution }) => drawDistribution(place, distribution),
  stages: withStages(drawStages),
  threads: withStages((place, { seconds, threads }) => {
    const shares = Object.fromEntries(threads.map(({ name, share }) => [name, share]));
    drawLines(place, seconds, shares, { unit: inPercent, range: [0, 1] });
  }),
  heat: withStages((place, stages) => drawHeatMap(place, stages)),
};

function withStages(draw: (place: HTMLElement, stages: StagePlots) => void) {
  return (place: HTMLElement, { stages }: RunPlots) =>
    stages === null ? say(place, 'The server told nothing of its stages.') : draw(place, stages);
}

interface LineOptions {
  readonly unit: (value: number) => string;
  readonly logarithmic?: boolean;
  readonly range?: [number, number];
  readonly colors?: readonly string[];
}

/** Lines over time. */
function drawLines(
  place: HTMLElement,
  seconds: readonly number[],
  values: Readonly<Record<string, Numbers>>,
  options: LineOptions,
): void {
  const { unit, logarithmic = false, range, colors = COLORS } = options;
  const names = Object.keys(values);
  // A logarithmic axis has no place for 0.
  const drawn = names.map((name) =>
    (values[name] as Numbers).map((value) => (logarithmic && value === 0 ? null : value)),
  );
  if (!drawn.some((line) => line.some((value) => value !== null))) {
    say(place, 'There is nothing to show.');
    return;
  }
  const y: UPlot.Scale = logarithmic
    ? { distr: 3 }
    : { range: range ?? ((_, __, most) => [0, (most || 1) * 1.05]) };
  new uPlot(
    {
      ...frame(place),
      scales: { x: { time: false }, y },
      axes: [
        axis({ values: (_, ticks) => ticks.map((tick) => `${tick} s`) }),
        axis({ size: 66, values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : unit(tick))) }),
      ],
      series: [
        { label: 'until', value: (_, at) => (at === null ? '' : `${at.toFixed(1)} s`) },
        ...names.map((name, i) => ({
          label: name,
          stroke: color(colors[i % colors.length] as string),
          width: 1.5,
          dash: i >= colors.length ? [6, 4] : [],
          points: { show: false, filter: lone(drawn[i] as Numbers) },
          value: (_: UPlot, value: number | null) => (value === null ? '–' : unit(value)),
        })),
      ],
    },
    [[...seconds], ...drawn],
    place,
  );
}

/** Where a value has none on either side. A line through it would have no length, so it is drawn as a point. */
export function lone(line: Numbers): number[] {
  const isValue = (at: number): boolean => typeof line[at] === 'number';
  return [...line.keys()].filter((at) => isValue(at) && !isValue(at - 1) && !isValue(at + 1));
}

/** The share that is slower runs to the right by its logarithm, so that each further nine has the same room. */
function drawDistribution(place: HTMLElement, { oneIn, ms }: RunPlots['distribution']): void {
  if (oneIn.length === 0) {
    say(place, 'No command was answered.');
    return;
  }
  const name = (each: number): string => `p${Number((100 - 100 / each).toFixed(3))}`;
  const marks = [1, 10, 100, 1000, 10_000].filter(
    (each) => each <= (oneIn[oneIn.length - 1] as number) * 1.001,
  );
  new uPlot(
    {
      ...frame(place),
      scales: { x: { time: false, distr: 3 }, y: { distr: 3 } },
      axes: [
        axis({
          splits: () => marks,
          values: (_, ticks) => ticks.map((tick) => (tick === 1 ? 'p0' : name(tick))),
        }),
        axis({ size: 66, values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : inMs(tick))) }),
      ],
      series: [
        { label: 'percentile', value: (_, each) => (each === null ? '' : name(each)) },
        {
          label: 'latency',
          stroke: color('--blue'),
          width: 2,
          points: { show: false },
          value: (_, value) => (value === null ? '' : inMs(value)),
        },
      ],
    },
    [[...oneIn], [...ms]],
    place,
  );
}

/** Areas upon each other: what lies on top is drawn first, as the sum of itself and all below, and the next covers its lower part. */
function drawStages(place: HTMLElement, { seconds, meanUs }: StagePlots): void {
  const names = Object.keys(meanUs) as (keyof StagePlots['meanUs'])[];
  if (!names.some((name) => meanUs[name].some((us) => us !== null))) {
    say(place, 'No command was sampled.');
    return;
  }
  const sums: Numbers[] = [];
  names.forEach((name, i) => {
    const below = sums[i - 1];
    sums.push(meanUs[name].map((us, at) => (us === null ? null : us + (below?.[at] ?? 0))));
  });
  const order = names.map((_, i) => names.length - 1 - i);
  new uPlot(
    {
      ...frame(place),
      scales: { x: { time: false }, y: { range: (_, __, most) => [0, (most || 1) * 1.05] } },
      axes: [
        axis({ values: (_, ticks) => ticks.map((tick) => `${tick} s`) }),
        axis({ size: 66, values: (_, ticks) => ticks.map(inUs) }),
      ],
      series: [
        { label: 'until', value: (_, at) => (at === null ? '' : `${at.toFixed(1)} s`) },
        ...order.map((i) => {
          const name = names[i] as keyof StagePlots['meanUs'];
          const own = color(COLORS[i] as string);
          return {
            label: `${name} (${WAITS.includes(name) ? 'wait' : 'work'})`,
            stroke: own,
            fill: own,
            width: 0,
            points: { show: false, filter: lone(sums[i] as Numbers) },
            // Of the stage itself: what is drawn is the sum.
            value: (_: UPlot, __: number | null, ___: number, at: number | null) => {
              const us = at === null ? null : meanUs[name][at];
              return us === null || us === undefined ? '–' : inUs(us);
            },
          };
        }),
      ],
    },
    [[...seconds], ...order.map((i) => sums[i] as Numbers)],
    place,
  );
}

function frame(place: HTMLElement) {
  return {
    width: place.clientWidth,
    height: HEIGHT_PX,
    padding: [12, 28, 0, 0] as UPlot.Padding,
    cursor: { drag: { x: true, y: false } },
  };
}

function axis(own: UPlot.Axis): UPlot.Axis {
  const line = { stroke: color('--line'), width: 1 };
  return { stroke: color('--soft'), grid: line, ticks: line, ...own };
}

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}

function say(place: HTMLElement, text: string): void {
  const note = document.createElement('p');
  note.className = 'note';
  note.textContent = text;
  place.append(note);
}

function short(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toFixed(2))} M`;
  return value >= 10_000
    ? `${Number((value / 1000).toFixed(1))} k`
    : `${Number(value.toFixed(value < 10 ? 1 : 0))}`;
}

function inMs(ms: number): string {
  return ms >= 10_000 ? `${Number((ms / 1000).toFixed(1))} s` : `${Number(ms.toPrecision(3))} ms`;
}

function inUs(us: number): string {
  return us >= 1000 ? `${Number((us / 1000).toPrecision(3))} ms` : `${Number(us.toPrecision(3))} µs`;
}

function inPercent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
