import { type StageInterval, stagesBetween } from '../../src/shard/stage-report.ts';
import type { LiveState } from './run.ts';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

const DRAW_EVERY_MS = 500;
const LINE_EVERY_MS = 5000;
const MOST_WORKERS = 8;
const BAR = 20;
const QUEUE_BAR = 20;
/** A terminal that does not say how wide it is. */
const USUAL_COLUMNS = 80;

const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const CLEAR_LINE = '\x1b[2K';
const CLEAR_BELOW = '\x1b[J';

type Out = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>;

/**
 * Shows how a run goes on: on a terminal some lines that are drawn over in place, elsewhere a line every few seconds. Call clear() when a run
 * ends, so that what is written next has a place; the cursor is back then, and at the process's exit at the latest.
 */
export class LiveView {
  private readonly out: Out;
  private readonly now: () => number;
  private drawn = 0;
  private lastMs = Number.NEGATIVE_INFINITY;
  private readonly restore = () => this.clear();

  /** @param now ms */
  constructor(out: Out, now: () => number = () => performance.now()) {
    this.out = out;
    this.now = now;
  }

  show(state: LiveState): void {
    const nowMs = this.now();
    if (nowMs - this.lastMs < (this.out.isTTY ? DRAW_EVERY_MS : LINE_EVERY_MS)) return;
    this.lastMs = nowMs;
    if (!this.out.isTTY) {
      this.out.write(`${plainLine(state)}\n`);
      return;
    }
    if (this.drawn === 0) process.once('exit', this.restore);
    const lines = liveLines(state, this.out.columns || USUAL_COLUMNS);
    // Written over line by line, and the rest of a longer view removed: a view that is cleared first flickers.
    const text = lines.map((line) => `${CLEAR_LINE}${line}\n`).join('');
    this.out.write(`${HIDE_CURSOR}${this.up()}${text}${CLEAR_BELOW}`);
    this.drawn = lines.length;
  }

  /** Removes the view. The next run's is drawn at once. */
  clear(): void {
    this.lastMs = Number.NEGATIVE_INFINITY;
    if (this.drawn === 0) return;
    process.removeListener('exit', this.restore);
    this.out.write(`${this.up()}${CLEAR_BELOW}${SHOW_CURSOR}`);
    this.drawn = 0;
  }

  private up(): string {
    return this.drawn === 0 ? '' : `\x1b[${this.drawn}A\r`;
  }
}

/** The view: lines of less than `columns` characters. */
export function liveLines(state: LiveState, columns: number): string[] {
  const { scenario, elapsedMs, lengthMs, periodMs } = state;
  const share = Math.min(1, elapsedMs / lengthMs);
  const bar = '━'.repeat(Math.round(share * BAR)).padEnd(BAR, '─');
  const left = Math.max(0, lengthMs - elapsedMs);
  const lines = [
    `${scenario}  ${bar}  ${inSeconds(elapsedMs)} of ${inSeconds(lengthMs)}, ${left > 0 ? `${inSeconds(left)} left` : 'waiting for the last answers'}`,
    `rate      ${rates(state).join('   ')}`,
    `latency   ${latencies(state).join('  ')}  (last ${inSeconds(periodMs)})`,
    ...stageLines(state),
  ];
  return lines.map((line) => (line.length < columns ? line : `${line.slice(0, Math.max(0, columns - 2))}…`));
}

/** The same in short, for a log. */
export function plainLine(state: LiveState): string {
  const { scenario, elapsedMs, lengthMs } = state;
  const between = intervalOf(state);
  const depths = between?.workers.map(({ waitingCommands }) => whole.format(waitingCommands));
  return [
    `${scenario} ${inSeconds(elapsedMs)} of ${inSeconds(lengthMs)}: ${rates(state).join(', ')}`,
    latencies(state).join(', '),
    ...(depths === undefined ? [] : [`waiting for workers ${depths.join(' ')}`]),
    ...(between === undefined ? [] : [threadShares(between)]),
  ].join('; ');
}

function rates({ point, periodMs }: LiveState): string[] {
  const rate = (count: number): string => `${whole.format((count * 1000) / periodMs)}/s`;
  return [
    `offered ${rate(point.offered)}`,
    `accepted ${rate(point.accepted)}`,
    `refused ${rate(point.refused)}`,
    `waiting ${whole.format(point.waiting)}`,
  ];
}

function latencies({ point: { latencyMs } }: LiveState): string[] {
  if (latencyMs === null) return ['no answer'];
  const { p50, p99, p999, max } = latencyMs;
  return [`p50 ${inMs(p50)}`, `p99 ${inMs(p99)}`, `p99.9 ${inMs(p999)}`, `max ${inMs(max)}`];
}

function stageLines(state: LiveState): string[] {
  const between = intervalOf(state);
  if (between === undefined) return [];
  const { workers } = between;
  const shown = workers.slice(0, MOST_WORKERS);
  const more = workers.slice(MOST_WORKERS);
  const longest = Math.max(1, ...workers.map(({ waitingCommands }) => waitingCommands));
  const lines = shown.map(({ worker, waitingCommands, commandRingFill, stages }) => {
    const bar = '█'.repeat(Math.round((QUEUE_BAR * waitingCommands) / longest)).padEnd(QUEUE_BAR);
    const wait = inMs(stages.queue.p99Us / 1000);
    return `worker ${String(worker).padEnd(2)} ${bar} ${whole.format(waitingCommands)} waiting, p99 ${wait}, ring ${inPercent(commandRingFill)} full`;
  });
  if (more.length > 0) {
    const most = Math.max(...more.map(({ waitingCommands }) => waitingCommands));
    lines.push(`and ${more.length} more workers with up to ${whole.format(most)} waiting`);
  }
  return [...lines, `threads   ${threadShares(between)}`, `limit     ${between.limit}`];
}

function threadShares({ threads }: StageInterval): string {
  return threads
    .map(({ name, busy, io, waitsFor }) => {
      const waits = io > 0 ? ` + ${inPercent(io)} ${waitsFor ?? 'I/O'}` : '';
      return `${name} ${inPercent(busy)}${waits}`;
    })
    .join('  ');
}

function intervalOf({ stages }: LiveState): StageInterval | undefined {
  return stages && stagesBetween(stages[0], stages[1]);
}

function inSeconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(ms < 10_000 ? 1 : 0))} s`;
}

function inMs(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : whole.format(ms)} ms`;
}

function inPercent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
