import { type CoreBenchResult, FEW_SKUS } from './core.ts';
import type { FairnessResult } from './crowd/fairness.ts';
import type { StormResult } from './crowd/storm.ts';
import type { DurableResult } from './durable/durable.ts';
import type { SteadyLatency } from './durable/steady.ts';
import type { ExpiryResult } from './expiry.ts';
import type { Overload } from './gate/overload.ts';
import { MAX_TAKEN_PERCENT, type Watched } from './machine.ts';
import type { Spread } from './stats.ts';
import type { Report } from './suite.ts';
import { type Limit, limitsOf, overloadsOf, type Target, targetsOf } from './targets.ts';
import { grouped, percent, table } from './text-table.ts';
import type { HoldfastRate, PatternName } from './wire.ts';

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
  hot: '400 a frame, hot SKU',
  flash: '400 a frame, sold out',
};

function figures(report: Report): string[][] {
  const { codec, ring, core, expiry, durable, storm, fairness } = report;
  const rows: string[][] = [];
  if (codec) {
    rows.push(
      row('codec', codec.commandsPerSecond, codec.spread, codec, `${codec.timesMsgpackr} × msgpackr`),
    );
  }
  if (ring) rows.push(row('ring', ring.recordsPerSecond, ring.spread, ring));
  if (core) rows.push(row('core', core.commandsPerSecond, core.spread, core, coreNotes(core)));
  rows.push(...wireRows('wire', report));
  if (expiry) rows.push(...expiryRows(expiry));
  if (storm) rows.push(stormRow(storm));
  if (fairness) rows.push(fairnessRow(fairness));
  if (durable) rows.push(...durableRows(durable));
  rows.push(...gateRows(report), ...overloadsOf(report).map(overloadRow));
  return rows;
}

function wireRows(
  label: string,
  { echo, wire }: Pick<Report, 'echo'> & Partial<Pick<DurableResult, 'wire'>>,
): string[][] {
  return (Object.keys(PATTERN_LABELS) as PatternName[]).flatMap((name) => {
    const ceiling = echo?.[name];
    const own = wire?.[name];
    if (!ceiling || !own) return [];
    const pattern = PATTERN_LABELS[name];
    return [
      row(`echo, ${pattern}`, ceiling.commandsPerSecond, ceiling.spread, ceiling, latency(ceiling)),
      row(`${label}, ${pattern}`, own.commandsPerSecond, own.spread, own, wireNotes(own)),
    ];
  });
}

function gateRows({ gate }: Report): string[][] {
  return Object.entries(gate?.patterns ?? {}).map(([name, cost]) => {
    const refused = Object.entries(cost.refusedBy).map(([status, count]) => `${grouped(count)} ${status}`);
    const notes = [`${percent(cost.shareOfUngated)} of ${grouped(cost.withoutGate)} without`, ...refused];
    return row(`gate, ${name}`, cost.withGate, cost.spread, gate as Watched, notes.join('; '));
  });
}

function overloadRow(figures: Overload & Pick<Watched, 'trusted'>): string[] {
  const { name, offeredPerSecond, acceptedPerSecond, sustainablePerSecond, unansweredShare, trusted } =
    figures;
  const { timesSent, beside } = figures;
  const notes = [
    `of ${grouped(offeredPerSecond)} offered, ${timesSent} × sent; sustainable ${grouped(sustainablePerSecond)}`,
    `accepted p50 ${figures.acceptedP50Ms} ms, p99 ${figures.acceptedP99Ms} ms`,
    `buyers beside it ${beside.acceptedPerSecond} of ${beside.offeredPerSecond}, p50 ${beside.acceptedP50Ms} ms, p99 ${beside.acceptedP99Ms} ms`,
    `refused ${grouped(figures.refusedPerSecond)}/s`,
    `${grouped(figures.settled)} confirms and releases, ${grouped(figures.settlingRefused)} refused`,
    ...(unansweredShare > 0.01 ? [`${percent(unansweredShare)} not answered in time`] : []),
    figures.bottleneck,
  ];
  return [`overload, ${name}${trusted ? '' : ' *'}`, grouped(acceptedPerSecond), '', '', notes.join('; ')];
}

function durableRows(durable: DurableResult & Watched): string[][] {
  const { disk, steady, journal, start, redis, whyNoRedis, trusted } = durable;
  const plain = (label: string, note: string) => [`${label}${trusted ? '' : ' *'}`, '', '', '', note];
  const sync = `${disk.fileSystem} on ${disk.device}, one sync ${disk.syncUs} µs (longest ${disk.longestSyncUs} µs)`;
  const rows = [
    plain('durable, disk', disk.real ? sync : `${sync}: in memory, so that these figures mean nothing`),
    ...wireRows('durable', durable),
  ];
  const rate = `${grouped(steady.ratePerSecond)}/s`;
  rows.push(plain(`echo, at ${rate}`, steadyNotes(steady.echo)));
  rows.push(
    plain(
      `durable, at ${rate}`,
      `${steadyNotes(steady.durable)}; p99 ${steady.p99TimesEcho}, p99.9 ${steady.p999TimesEcho} × echo`,
    ),
  );
  rows.push(plain('durable, with snapshots', steadyNotes(steady.whileSnapshotting)));
  for (const [name, { bytesPerHold, holds, events, eventsPerSecond, startMs, recoveryMs }] of [
    ['with keys', journal.keyed],
    ['without keys', journal.keyless],
  ] as const) {
    const note = `${grouped(events)} events in ${recoveryMs} ms, ready after ${startMs} ms; ${bytesPerHold} bytes a hold (of ${grouped(holds)})`;
    const [label, figure] = [`recovery, holds ${name}`, grouped(eventsPerSecond)];
    rows.push([`${label}${trusted ? '' : ' *'}`, figure, '', '', note]);
  }
  const parts = `recovery ${start.recoveryMs} ms, the rest ${start.otherMs} ms; ${grouped(start.snapshotBytes)} bytes of snapshots`;
  const what = `${grouped(start.skus)} SKUs, ${grouped(start.openHolds)} open holds`;
  rows.push(plain('start from snapshots', `${start.startMs} ms with ${what}: ${parts}`));
  if (redis === null) rows.push(plain('Redis', `not measured: ${whyNoRedis}`));
  for (const fsync of ['always', 'everysec'] as const) {
    const own = redis?.[fsync];
    if (own)
      rows.push(row(`Redis, appendfsync ${fsync}`, own.commandsPerSecond, own.spread, own, wireNotes(own)));
  }
  return rows;
}

function steadyNotes(steady: SteadyLatency): string {
  const refused = Object.entries(steady.refusedBy).map(
    ([status, count]) => `refused: ${grouped(count)} ${status}`,
  );
  const unanswered = steady.unanswered === 0 ? [] : [`unanswered: ${grouped(steady.unanswered)}`];
  return [latency({ latency: steady }), ...refused, ...unanswered].join('; ');
}

function coreNotes({ fewSkusPerSecond, slowdown, bytesPerOpenHold }: CoreBenchResult): string {
  return `with ${grouped(FEW_SKUS)} SKUs ${grouped(fewSkusPerSecond)}: ${percent(slowdown)} slower; ${bytesPerOpenHold} bytes an open hold`;
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
  const { keyed } = rate;
  const notes = [`${percent(rate.shareOfEcho)} of echo`, latency(rate)];
  if (keyed) {
    notes.push(`with keys ${grouped(keyed.commandsPerSecond)}, ${percent(keyed.shareOfKeyless)} of that`);
  }
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

function targetRow({ name, figure, atLeast, unit, met, note }: Target): string[] {
  const of = {
    perSecond: '',
    shareOfEcho: 'echo',
    shareOfKeyless: 'keyless',
    shareOfUngated: 'that without',
    shareOfPeak: 'peak',
  }[unit];
  const show = of === '' ? grouped : (value: number) => `${percent(value)} of ${of}`;
  const verdict = met ? 'met' : 'not met';
  const shown = figure === null ? 'none' : show(figure);
  return [name, shown, show(atLeast), note === undefined ? verdict : `${verdict} (${note})`];
}

function limitRow({ name, figure, atMost, unit, met }: Limit): string[] {
  const show = (value: number) => (unit === 'timesEcho' ? `${value} × echo` : `${value} ${unit}`);
  return [name, show(figure), `at most ${show(atMost)}`, met ? 'met' : 'not met'];
}

function stormRow({
  connections,
  seconds,
  storms,
  before,
  most,
  after,
  backMs,
  othersMs,
  trusted,
}: StormResult & Watched): string[] {
  const worst = Math.max(...storms.flatMap(({ first, again }) => [first.waitsMs.p99, again.waitsMs.p99]));
  const memory = [before, ...after].map(({ rssMb }) => rssMb).join(', ');
  const note =
    `${grouped(connections)} in ${seconds} s, ${2 * storms.length} times: served by p99 ${worst} ms, others by p99 ${othersMs.p99} ms; ` +
    `descriptors ${before.descriptors}, ${most.descriptors}, and back in ${backMs} ms; memory before and after each storm ${memory} MB, at most ${most.rssMb} MB`;
  return [`storm of connections${trusted ? '' : ' *'}`, '', '', '', note];
}

function fairnessRow({
  hoarders,
  connectionsEach,
  buyers,
  honest,
  hoarded,
  units,
  refusedByLayer,
  trusted,
  ...books
}: FairnessResult & Watched): string[] {
  const layers = Object.entries(refusedByLayer).map(([layer, count]) => `${grouped(count)} ${layer}`);
  const note =
    `${hoarders} hoarders, ${hoarders * connectionsEach} connections, ${grouped(hoarded.sentPerSecond)} HOLDs/s: ${hoarded.units} of ${grouped(units)} units, at most ${hoarded.most} each; ` +
    `${grouped(honest.served)} of ${grouped(buyers)} buyers served, p99 ${honest.waitsMs.p99} ms; refused: ${layers.join(', ')}; ` +
    `oversold ${books.oversold}, leaked ${books.leaked}, lost ${books.lost}`;
  return [`fairness${trusted ? '' : ' *'}`, '', '', '', note];
}
