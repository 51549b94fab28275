import { readFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { withoutWarning } from '../../../src/base/warnings.ts';
import { STAGES, stagesBetween } from '../../../src/shard/stage-report.ts';
import { MAX_TAKEN_PERCENT } from '../../machine.ts';
import type { StressResult } from '../result.ts';
import { loadText, machineText, serverText, words } from '../text.ts';
import { plotsOf } from './data.ts';
import { STYLE } from './style.ts';

/**
 * A report of stress runs as one HTML file, which needs nothing else and asks for nothing: uPlot, the code that draws and the data are in
 * it. Whatever was read from outside, such as the names of scenarios, stands in it as text only.
 */
export function renderPage(results: readonly StressResult[]): string {
  const titles = results.map(({ scenario }) => scenario).join(', ');
  const links = results.map(({ scenario }, i) => `<a href="#run-${i}">${escaped(scenario)}</a>`);
  const data = json(results.map(plotsOf));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Holdfast stress: ${escaped(titles)}</title>
<style>${uPlotFile('uPlot.min.css')}</style>
<style>${STYLE}</style>
</head>
<body>
<header><h1>Holdfast stress</h1>${links.length > 1 ? `<nav>${links.join(' ')}</nav>` : ''}</header>
${results.map(section).join('\n')}
<script type="application/json" id="data">${data}</script>
<script>${uPlotFile('uPlot.iife.min.js')}</script>
<script>(() => {
${script('heat-map')}
${script('draw')}
drawAll();
})();</script>
</body>
</html>
`;
}

/** JSON that may stand inside a script element: nothing in it can end the element or open a comment. */
export function json(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** Text as it stands in HTML, inside an element or a quoted attribute. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

function section(result: StressResult, index: number): string {
  const { scenario, trusted, steal, others } = result;
  const taken = (what: number | null): string => (what === null ? 'an unknown share' : `${what} %`);
  const warning = trusted
    ? ''
    : `<p class="bad">Not to be trusted: meanwhile the host took ${taken(steal)} of the CPU and other processes ${taken(others)}; a run counts with at most ${MAX_TAKEN_PERCENT} % of each.</p>`;
  const plots = PLOTS.map(
    ([name, title, text]) =>
      `<figure><h3>${title}</h3><div class="plot" data-plot="${name}"></div><figcaption>${text}</figcaption></figure>`,
  );
  return `<section id="run-${index}" data-run="${index}">
<h2>${escaped(scenario)}</h2>
${warning}
${headline(result)}
<p class="limit"><b>Bottleneck:</b> ${escaped(result.bottleneck)}</p>
${books(result)}
<div class="plots">${plots.join('\n')}</div>
${stageTable(result)}
${conditions(result)}
</section>`;
}

const PLOTS = [
  [
    'rates',
    'Rate',
    'Commands a second. Offered: that were due; in a closed loop, what the server took. Accepted and refused: by the time of the answer.',
  ],
  [
    'latencies',
    'Latency over time',
    'Of the commands answered in each period, from the time at which each was due. The axis is logarithmic.',
  ],
  [
    'distribution',
    'Latency distribution',
    'The latency that a share of all commands stays within. To the right, ever smaller shares are slower.',
  ],
  [
    'stages',
    'Time per stage',
    'Mean of sampled commands, stacked. Waiting: queue (for the worker) and durable (for the disk). Work: read, apply and send.',
  ],
  [
    'heat',
    'Wait in the queue of each worker',
    'The 99th percentile of the time from the ring to the worker, by worker and period. Grey: no command.',
  ],
  [
    'threads',
    'How busy the threads are',
    'Share of the time. On a machine with fewer cores than busy threads, waiting for a core counts as busy.',
  ],
] as const;

function headline(result: StressResult): string {
  const { latencyMs, unanswered } = result;
  const figures: [string, string][] = [
    ['offered a second', grouped(result.offeredPerSecond)],
    ['accepted a second', grouped(result.acceptedPerSecond)],
    ['refused a second', grouped(result.refusedPerSecond)],
    ['unanswered', grouped(unanswered)],
    ['p50', inMs(latencyMs.p50)],
    ['p99', inMs(latencyMs.p99)],
    ['p99.9', inMs(latencyMs.p999)],
    ['p99.99', inMs(latencyMs.p9999)],
    ['longest', inMs(latencyMs.max)],
  ];
  const cells = figures.map(([name, figure]) => `<div><dd>${figure}</dd><dt>${name}</dt></div>`);
  return `<dl class="figures">${cells.join('')}</dl>`;
}

function books({ oversold, leaked, lost, problems }: StressResult): string {
  const right = oversold + leaked + lost === 0 && problems.length === 0;
  const counts = `oversold ${grouped(oversold)}, leaked ${grouped(leaked)}, lost ${grouped(lost)}`;
  const list = problems.map((problem) => `<li>${escaped(problem)}</li>`).join('');
  return `<p class="${right ? 'good' : 'bad'}">${right ? '✔ The books are right' : '✘ The books are wrong'}: ${counts}.</p>${list === '' ? '' : `<ul class="bad">${list}</ul>`}`;
}

/** Over the whole run. */
function stageTable({ stages }: StressResult): string {
  if (stages.length < 2) return '<p>The server told nothing of its stages.</p>';
  const whole = stagesBetween(stages[0], stages[stages.length - 1]);
  const us = (time: number): string => `<td>${time < 10 ? time.toFixed(1) : grouped(time)}</td>`;
  const workers = whole.workers.length > 1 ? whole.workers : [];
  const rows = STAGES.map((stage) => {
    const { count, meanUs, p50Us, p99Us, p999Us } = whole.stages[stage];
    const kind = stage === 'queue' || stage === 'durable' ? 'wait' : 'work';
    const own = workers.map((worker) => us(worker.stages[stage].meanUs));
    return `<tr><th>${stage}</th><td>${kind}</td>${[meanUs, p50Us, p99Us, p999Us].map(us).join('')}${own.join('')}<td>${grouped(count)}</td></tr>`;
  });
  const heads = [
    'stage',
    '',
    'mean',
    'p50',
    'p99',
    'p99.9',
    ...workers.map(({ worker }) => `mean, worker ${worker}`),
    'sampled',
  ];
  return `<h3>Stages over the whole run, µs</h3><div class="wide"><table><tr>${heads.map((head) => `<th>${head}</th>`).join('')}</tr>${rows.join('')}</table></div>`;
}

function conditions(result: StressResult): string {
  const { refusedBy, counts, runs, acceptedLatencyMs } = result;
  const list = (of: Readonly<Record<string, number>>): string =>
    Object.entries(of)
      .map(([name, count]) => `${grouped(count)} ${words(name)}`)
      .join(', ');
  const refusals = Object.entries(refusedBy).map(([status, count]) => `${grouped(count)} ${status}`);
  const accepted =
    acceptedLatencyMs === null
      ? ''
      : `p50 ${inMs(acceptedLatencyMs.p50)}, p99 ${inMs(acceptedLatencyMs.p99)}, p99.9 ${inMs(acceptedLatencyMs.p999)}`;
  const rates = runs.map(({ acceptedPerSecond }) => grouped(acceptedPerSecond));
  const rows: [string, string][] = [
    ['load', loadText(result)],
    [
      'warm-up',
      result.warmUpMs === 0 ? '' : `the first ${result.warmUpMs / 1000} s, in the plots over time only`,
    ],
    ['server', serverText(result)],
    ['refused', refusals.join(', ')],
    ['latency of accepted', accepted],
    ['besides', list(counts)],
    ['runs', runs.length < 2 ? '' : `accepted a second: ${rates.join(', ')}; shown is the median`],
    ['machine', machineText(result)],
    ['started', `${result.startedAt}, seed ${result.seed}`],
  ];
  const shown = rows.filter(([, text]) => text !== '');
  return `<table class="conditions">${shown.map(([name, text]) => `<tr><th>${name}</th><td>${escaped(text)}</td></tr>`).join('')}</table>`;
}

/** Code for the browser. Its files import types only, so that without the word `export` each is a script. */
function script(name: string): string {
  const extension = extname(import.meta.filename);
  const text = readFileSync(new URL(`${name}${extension}`, import.meta.url), 'utf8');
  const code =
    extension === '.ts' ? withoutWarning('stripTypeScriptTypes', () => stripTypeScriptTypes(text)) : text;
  return code
    .replace(/^import .*$/gm, '')
    .replace(/^export (?=function|const)/gm, '')
    .replace(/^export \{\};$/gm, '');
}

/** A file of uPlot's as it was published. Nothing in it ends a script element. */
function uPlotFile(name: string): string {
  const main = createRequire(import.meta.url).resolve('uplot');
  return readFileSync(join(dirname(main), name), 'utf8');
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function inMs(ms: number): string {
  return `${ms < 10 ? Number(ms.toFixed(2)) : grouped(ms)} ms`;
}
