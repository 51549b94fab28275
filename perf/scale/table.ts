import { MAX_TAKEN_PERCENT } from '../machine.ts';
import { grouped, percent, table } from '../text-table.ts';
import type { Measured, OnMachine, ScaleRun } from './measure.ts';
import { type Cost, type Limit, THREADS } from './model.ts';
import type { Check, FrameOutlook, Outlook } from './predict.ts';

export type ScaleResult = OnMachine & Measured & Outlook;

/** The result for people: what was measured, what a command costs, what that predicts, and how far it was off here. */
export function renderScale(result: ScaleResult): string {
  const { machine, steal, others, disk, runs, costs, generator, checks, frames } = result;
  const lines = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.kernel}, Node ${machine.node}`,
    `Load before: ${machine.loadAverage}. CPU taken meanwhile by the host: ${steal ?? 'unknown'} %, by other processes: ${others ?? 'unknown'} %.`,
    `Holds at ack=sync on ${disk.fileSystem}, one sync ${disk.syncUs} µs; the load generator is on the same cores.`,
    '',
    ...table([['measured', 'holds/s', 'slowest', 'fastest', 'to the first', ''], ...runs.map(runRow)]),
    '',
    ...table([
      ['CPU time, µs', 'a command', 'a frame'],
      ...THREADS.map((thread) => costRow(thread, costs[thread])),
      costRow('load generator', generator),
    ]),
    '',
    ...table([
      ['predicted for this machine', 'holds/s', 'measured', 'off by', 'limit'],
      ...checks.map(checkRow),
    ]),
    ...frames.flatMap((frame) => ['', ...frameLines(frame)]),
  ];
  if (!result.trusted) {
    const why = disk.real
      ? `The host or other processes took more than ${MAX_TAKEN_PERCENT} % of the CPU`
      : 'The stores were in memory, where a sync costs nothing';
    lines.push('', `${why}: not to be trusted.`);
  }
  return lines.join('\n');
}

function runRow({
  workers,
  commandsPerFrame,
  commandsPerSecond,
  spread,
  timesFirst,
  limit,
  refused,
  unanswered,
}: ScaleRun): string[] {
  const notes = [limit];
  if (refused > 0) notes.push(`refused: ${grouped(refused)}`);
  if (unanswered > 0) notes.push(`unanswered: ${grouped(unanswered)}`);
  return [
    shape(workers, commandsPerFrame),
    grouped(commandsPerSecond),
    ...spread.map(grouped),
    `${timesFirst.toFixed(2)} ×`,
    notes.join('; '),
  ];
}

function costRow(name: string, { perCommandUs, perFrameUs }: Cost): string[] {
  return [name, perCommandUs.toFixed(3), perFrameUs.toFixed(3)];
}

function checkRow({
  workers,
  commandsPerFrame,
  predictedPerSecond,
  measuredPerSecond,
  error,
  limit,
}: Check): string[] {
  const off = `${error < 0 ? '−' : '+'}${percent(Math.abs(error))}`;
  return [
    shape(workers, commandsPerFrame),
    grouped(predictedPerSecond),
    grouped(measuredPerSecond),
    off,
    LIMITS[limit],
  ];
}

function frameLines({ commandsPerFrame, cores, turns }: FrameOutlook): string[] {
  const rows = cores.map((of) => [
    `${of.cores} cores`,
    grouped(of.commandsPerSecond),
    `${of.fronts} + ${of.workers} + 1`,
    grouped(of.oneFrontPerSecond),
    grouped(of.hotPerSecond),
    LIMITS[of.limit],
  ]);
  const from = (cores: number | null) =>
    cores === null ? 'never, up to 64 cores' : `from ${cores} cores on`;
  const title = `predicted, ${inFrames(commandsPerFrame)}`;
  return [
    ...table([
      [title, 'holds/s', 'fronts + workers + storage', 'with one front', 'hot SKU', 'limit'],
      ...rows,
    ]),
    `One front is the limit ${from(turns.oneFrontIsLimit)}; --fronts pays ${from(turns.frontsPay)}; the storage thread is the limit ${from(turns.storageIsLimit)}.`,
  ];
}

const LIMITS: Readonly<Record<Limit, string>> = {
  front: 'fronts',
  shard: 'workers',
  storage: 'storage thread',
  generator: 'load generator',
  cores: 'all cores together',
};

function shape(workers: number, commandsPerFrame: number): string {
  return `${workers} ${workers === 1 ? 'worker' : 'workers'}, ${inFrames(commandsPerFrame)}`;
}

function inFrames(commandsPerFrame: number): string {
  return commandsPerFrame === 1 ? 'one a frame' : `${commandsPerFrame} a frame`;
}
