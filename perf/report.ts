import type { ExpiryResult } from './expiry.ts';
import { MAX_TAKEN_PERCENT, type Watched } from './machine.ts';
import type { Spread } from './stats.ts';
import type { Report } from './suite.ts';
import type { HoldfastRate, PatternName } from './wire.ts';

/** A figure beside what is asked of it. */
export interface Target {
  readonly name: string;
  readonly figure: number;
  readonly atLeast: number;
  readonly unit: 'perSecond' | 'shareOfEcho';
  readonly met: boolean;
}

/** The targets of all parts that were run. */
export function targetsOf(report: Report): Target[] {
  const { wire, ring, core } = report;
  const rows: [string, number | undefined, number, Target['unit']][] = [
    ['wire, one command a frame', wire?.onePerFrame?.shareOfEcho, 0.7, 'shareOfEcho'],
    ['wire, 400 commands a frame', wire?.batched?.commandsPerSecond, 2_000_000, 'perSecond'],
    ['wire, one in flight', wire?.oneInFlight?.shareOfEcho, 0.7, 'shareOfEcho'],
    ['ring', ring?.recordsPerSecond, 40_000_000, 'perSecond'],
    ['core', core?.commandsPerSecond, 3_000_000, 'perSecond'],
  ];
  return rows.flatMap(([name, figure, atLeast, unit]) =>
    figure === undefined ? [] : [{ name, figure, atLeast, unit, met: figure >= atLeast }],
  );
}

/** A figure beside what it must not exceed. */
export interface Limit {
  readonly name: string;
  readonly figure: number;
  readonly atMost: number;
  readonly unit: 'ms';
  readonly met: boolean;
}

/** The limits of all parts that were run. */
export function limitsOf({ expiry }: Report): Limit[] {
  const rows: [string, number | undefined, number][] = [
    ['expiry under load, p99', expiry?.lateMs.p99, 50],
    ['expiry of very many, slice', expiry?.million.longestSliceMs, 5],
  ];
  return rows.flatMap(([name, figure, atMost]) =>
    figure === undefined ? [] : [{ name, figure, atMost, unit: 'ms', met: figure <= atMost }],
  );
}

/** The report for people: a table of figures, then the targets. */
export function renderReport(report: Report): string {
  const { machine, steal, others } = report;
  const lines = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.kernel}, Node ${machine.node}`,
    `Load before: ${machine.loadAverage}. CPU taken meanwhile by the host: ${steal ?? 'unknown'} %, by other processes: ${others ?? 'unknown'} %.`,
    '',
    ...table([['', 'per second', 'slowest', 'fastest', ''], ...figures(report)]),
    '',
    ...table([
      ['target', 'figure', 'asked for', ''],
      ...targetsOf(report).map(targetRow),
      ...limitsOf(report).map(limitRow),
    ]),
  ];
  if (!report.trusted) {
    lines.push(
      '',
      `* The host or other processes took more than ${MAX_TAKEN_PERCENT} % of the CPU: not to be trusted.`,
    );
  }
  return lines.join('\n');
}

const PATTERN_LABELS: Record<PatternName, string> = {
  onePerFrame: 'one command a frame',
  batched: '400 commands a frame',
  oneInFlight: 'one in flight',
};

function figures(report: Report): string[][] {
  const { codec, ring, core, echo, wire, expiry } = report;
  const rows: string[][] = [];
  if (codec) {
    rows.push(
      row('codec', codec.commandsPerSecond, codec.spread, codec, `${codec.timesMsgpackr} × msgpackr`),
    );
  }
  if (ring) rows.push(row('ring', ring.recordsPerSecond, ring.spread, ring));
  if (core) rows.push(row('core', core.commandsPerSecond, core.spread, core));
  for (const name of Object.keys(PATTERN_LABELS) as PatternName[]) {
    const ceiling = echo?.[name];
    const own = wire?.[name];
    if (!ceiling || !own) continue;
    rows.push(
      row(
        `echo, ${PATTERN_LABELS[name]}`,
        ceiling.commandsPerSecond,
        ceiling.spread,
        ceiling,
        latency(ceiling),
      ),
    );
    rows.push(row(`wire, ${PATTERN_LABELS[name]}`, own.commandsPerSecond, own.spread, own, wireNotes(own)));
  }
  if (expiry) rows.push(...expiryRows(expiry));
  return rows;
}

/** Milliseconds have no place among rates; they stand behind them. */
function expiryRows({ lateMs, million, trusted }: ExpiryResult & Watched): string[][] {
  const late = `late by p50 ${lateMs.p50} ms, p99 ${lateMs.p99} ms, at most ${lateMs.max} ms`;
  const at = `longest answer ${million.longestPauseMs} ms (just before: ${million.quietPauseMs} ms), longest slice ${million.longestSliceMs} ms`;
  const mark = trusted ? '' : ' *';
  return [
    [`expiry under load${mark}`, '', '', '', late],
    [
      `expiry of ${grouped(million.holds)} at once${mark}`,
      '',
      '',
      '',
      `${at}, all back in ${million.workedOffMs} ms`,
    ],
  ];
}

function row(
  label: string,
  rate: number,
  [slowest, fastest]: Spread,
  { trusted }: Watched,
  note = '',
): string[] {
  return [`${label}${trusted ? '' : ' *'}`, grouped(rate), grouped(slowest), grouped(fastest), note];
}

function wireNotes(rate: HoldfastRate): string {
  const notes = [`${percent(rate.shareOfEcho)} of echo`, latency(rate)];
  if (rate.refused > 0) {
    const by = Object.entries(rate.refusedBy).map(([status, count]) => `${grouped(count)} ${status}`);
    notes.push(`refused: ${by.join(', ')}`);
  }
  if (rate.unanswered > 0) notes.push(`unanswered: ${grouped(rate.unanswered)}`);
  return notes.filter((note) => note !== '').join('; ');
}

function latency({ latency }: Pick<HoldfastRate, 'latency'>): string {
  return latency === null ? '' : `p50 ${latency.p50} µs, p99 ${latency.p99} µs, p99.9 ${latency.p999} µs`;
}

function targetRow({ name, figure, atLeast, unit, met }: Target): string[] {
  const show = unit === 'shareOfEcho' ? (value: number) => `${percent(value)} of echo` : grouped;
  return [name, show(figure), show(atLeast), met ? 'met' : 'not met'];
}

function limitRow({ name, figure, atMost, unit, met }: Limit): string[] {
  return [name, `${figure} ${unit}`, `at most ${atMost} ${unit}`, met ? 'met' : 'not met'];
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Columns of equal width; the first and the last are aligned to the left, the figures between them to the right. */
function table(rows: readonly string[][]): string[] {
  const columns = rows[0].length;
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const place = (cell: string, column: number) =>
    column === 0 || column === columns - 1 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]);
  return rows.map((row) => row.map(place).join('  ').trimEnd());
}
