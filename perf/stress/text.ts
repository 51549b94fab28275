import type { Change, Comparison } from './compare.ts';
import type { LatencyMs, StressResult } from './result.ts';
import type { Scenario } from './scenario.ts';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** A result in lines for people. */
export function resultText(result: StressResult): string {
  const { latencyMs, oversold, leaked, lost, runs, counts } = result;
  const { acceptedLatencyMs } = result;
  const refusals = Object.entries(result.refusedBy).map(
    ([status, count]) => `${whole.format(count)} ${status}`,
  );
  const others = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${whole.format(count)} ${words(name)}`);
  const since = result.mode === 'open' ? 'since each was due' : 'since each was sent';
  const lines: [string, string][] = [
    ['load', loadText(result)],
    ['server', serverText(result)],
    ['offered', `${whole.format(result.offeredPerSecond)}/s`],
    ['accepted', `${whole.format(result.acceptedPerSecond)}/s${spreadText(result)}`],
    [
      'refused',
      `${whole.format(result.refusedPerSecond)}/s${refusals.length === 0 ? '' : `: ${refusals.join(', ')}`}`,
    ],
    ['unanswered', whole.format(result.unanswered)],
    ['latency', `${latencyText(latencyMs)} ${since}`],
    ...(acceptedLatencyMs === null || refusals.length === 0
      ? []
      : [['of accepted', latencyText(acceptedLatencyMs)] as [string, string]]),
    ...(others.length === 0 ? [] : [['besides', others.join(', ')] as [string, string]]),
    ['limit', result.bottleneck],
    ['books', `oversold ${oversold}, leaked ${leaked}, lost ${lost}`],
    ...result.problems.map((problem): [string, string] => ['', `✘ ${problem}`]),
    ['machine', machineText(result)],
  ];
  const title = runs.length === 1 ? result.scenario : `${result.scenario}, median of ${runs.length} runs`;
  return [title, ...lines.map(([name, value]) => `  ${name.padEnd(11)} ${value}`)].join('\n');
}

/** What got better or worse, in lines for people. */
export function comparisonText({ scenario, changes, warnings }: Comparison): string {
  const rows = changes.map((change) => [
    change.measure,
    value(change, change.before),
    '→',
    value(change, change.after),
    change.changePercent === null ? '' : `${change.changePercent > 0 ? '+' : ''}${change.changePercent} %`,
    change.noisePercent === null ? '' : `± ${change.noisePercent} %`,
    change.verdict,
  ]);
  const widths = (rows[0] as string[]).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] as string).length)),
  );
  const table = rows.map((row) =>
    `  ${row
      .map((cell, column) =>
        column === 0 || column === row.length - 1
          ? cell.padEnd(widths[column] as number)
          : cell.padStart(widths[column] as number),
      )
      .join('  ')}`.trimEnd(),
  );
  return [scenario, ...table, ...warnings.map((warning) => `  ! ${warning}`)].join('\n');
}

/** All scenarios, for `--list`. */
export function listText(scenarios: readonly Scenario[]): string {
  const width = Math.max(...scenarios.map(({ name }) => name.length));
  return scenarios
    .map(
      ({ name, summary, shows }) =>
        `${name.padEnd(width)}  ${summary}\n${' '.repeat(width)}  Shows ${shows}.`,
    )
    .join('\n');
}

function latencyText({ p50, p90, p99, p999, p9999, max }: LatencyMs): string {
  return `p50 ${ms(p50)}, p90 ${ms(p90)}, p99 ${ms(p99)}, p99.9 ${ms(p999)}, p99.99 ${ms(p9999)}, max ${ms(max)} ms`;
}

export function loadText({ mode, connections, commandsPerFrame, seconds }: StressResult): string {
  const loop = mode === 'open' ? 'open loop (a fixed rate)' : 'closed loop (as fast as it is answered)';
  return `${loop}, ${whole.format(connections)} connections, ${commandsPerFrame} per frame, ${seconds} s`;
}

export function serverText({ version, ack, store, workers, fronts, cores }: StressResult): string {
  const kept = store === null ? '' : `, ${store}`;
  return `holdfast ${version}, ack=${ack}${kept}, workers ${workers}, fronts ${fronts}, cores ${cores}`;
}

/** Slowest and fastest of several runs. */
function spreadText({ runs }: StressResult): string {
  if (runs.length < 2) return '';
  const rates = runs.map(({ acceptedPerSecond }) => acceptedPerSecond);
  return ` (${whole.format(Math.min(...rates))} to ${whole.format(Math.max(...rates))})`;
}

export function machineText({ machine, steal, others, trusted }: StressResult): string {
  const share = (percent: number | null) => (percent === null ? 'unknown' : `${percent} %`);
  const warning = trusted ? '' : ': not to be trusted';
  return `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, Node ${machine.node}; steal ${share(steal)}, others ${share(others)}${warning}`;
}

function value({ unit }: Change, of: number | null): string {
  if (of === null) return '–';
  return unit === 'ms' ? `${ms(of)} ms` : unit === 'commands' ? whole.format(of) : `${whole.format(of)}/s`;
}

function ms(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** `slowReadersClosed` as `slow readers closed`. */
export function words(name: string): string {
  return name.replace(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`);
}
