import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { readOthersTicks } from './processes.ts';
import { rounded } from './stats.ts';

/** What the figures were taken on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  /** Threads that ran or waited to run in the last minute, before the first benchmark: other work on the machine. */
  readonly loadAverage: number;
}

/** CPU time since the start of the machine, in ticks, over all cores. */
export interface CpuTicks {
  readonly steal: number;
  readonly total: number;
}

/** The same, and of it what processes took that do not belong to the benchmark. */
export interface CpuReading extends CpuTicks {
  readonly others: number;
}

export interface Watched {
  /** CPU time that the host gave to others meanwhile, in per cent of all; null where the system does not tell. */
  readonly steal: number | null;
  /** CPU time that other processes of this machine took meanwhile, in per cent of all; null likewise. */
  readonly others: number | null;
  /** False when either is above MAX_TAKEN_PERCENT or not known. */
  readonly trusted: boolean;
}

/** With more of the CPU taken than this, a figure says more about the machine than about the code. */
export const MAX_TAKEN_PERCENT = 5;

export function describeMachine(): Machine {
  const list = cpus();
  return {
    cpu: list[0]?.model.trim() ?? 'unknown',
    cores: list.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${process.platform} ${release()}`,
    node: process.version,
    loadAverage: rounded(loadavg()[0]),
  };
}

/** Runs a benchmark and adds to its result the steal meanwhile and whether it can be trusted. */
export async function watched<T extends object>(run: () => T | Promise<T>): Promise<T & Watched> {
  const before = readCpu();
  const result = await run();
  return { ...result, ...judge(before, readCpu()) };
}

/** What was taken between two readings; either may be null where the system does not tell. */
export function judge(before: CpuReading | null, after: CpuReading | null): Watched {
  if (before === null || after === null) return { steal: null, others: null, trusted: false };
  const total = after.total - before.total;
  const percent = (from: number, to: number) =>
    total <= 0 ? 0 : Math.max(0, rounded((100 * (to - from)) / total));
  const steal = percent(before.steal, after.steal);
  const others = percent(before.others, after.others);
  return { steal, others, trusted: Math.max(steal, others) <= MAX_TAKEN_PERCENT };
}

/** CPU ticks so far, or null where there is no /proc. */
export function readCpu(): CpuReading | null {
  const others = readOthersTicks();
  if (others === null) return null;
  try {
    const ticks = parseCpuTicks(readFileSync('/proc/stat', 'utf8'));
    return ticks === null ? null : { ...ticks, others };
  } catch {
    return null;
  }
}

/**
 * Reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, and behind them the
 * guests' time, which user and nice already contain. Null when the line is not of that form.
 */
export function parseCpuTicks(text: string): CpuTicks | null {
  const [label, ...fields] = text.split('\n', 1)[0].trim().split(/\s+/);
  const ticks = fields.slice(0, 8).map(Number);
  if (label !== 'cpu' || ticks.length < 8 || !ticks.every(Number.isFinite)) return null;
  return { steal: ticks[7], total: ticks.reduce((sum, value) => sum + value, 0) };
}
