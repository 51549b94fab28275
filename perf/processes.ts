import { readdirSync, readFileSync } from 'node:fs';

/** One process: its parent, and the CPU ticks that it and those of its children that have ended took so far. */
export interface ProcessTicks {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
}

/** CPU ticks so far of all processes that are neither this one nor descend from it, or null where there is no /proc. */
export function readOthersTicks(): number | null {
  const all = readProcesses();
  return all && ticksOutside(process.pid, all);
}

/** CPU ticks so far of a process and all that descend from it, or null where there is no /proc. */
export function readTreeTicks(pid: number): number | null {
  const all = readProcesses();
  return all && ticksOutside(NOBODY, all) - ticksOutside(pid, all);
}

/** A process id that none has. */
const NOBODY = -1;

function readProcesses(): ProcessTicks[] | null {
  try {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return pids.flatMap((pid) => readProcess(pid));
  } catch {
    return null;
  }
}

/**
 * Sum of the ticks of all processes outside the tree under `root`. When a process ends, what it took goes over to its
 * parent, so that the difference of two sums counts every tick once.
 */
export function ticksOutside(root: number, processes: readonly ProcessTicks[]): number {
  const parents = new Map(processes.map(({ pid, parent }) => [pid, parent]));
  const isInside = (pid: number) => {
    for (let at: number | undefined = pid; at !== undefined; at = parents.get(at)) {
      if (at === root) return true;
    }
    return false;
  };
  return processes.reduce((sum, { pid, ticks }) => (isInside(pid) ? sum : sum + ticks), 0);
}

/** Reads /proc/PID/stat; null when it is not of that form. A name may contain anything, also brackets and spaces. */
export function parseProcess(text: string): ProcessTicks | null {
  const pid = Number.parseInt(text, 10);
  const [, parent, ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // utime, stime, and the same of the children that were waited for.
  const ticks = fields.slice(9, 13).map(Number);
  const isWhole = ticks.length === 4 && ticks.every(Number.isFinite) && Number.isFinite(Number(parent));
  if (!Number.isFinite(pid) || !isWhole) return null;
  return { pid, parent: Number(parent), ticks: ticks.reduce((sum, value) => sum + value, 0) };
}

/** Empty for a process that has ended since it was listed. */
function readProcess(pid: string): ProcessTicks[] {
  try {
    return [parseProcess(readFileSync(`/proc/${pid}/stat`, 'utf8'))].filter((found) => found !== null);
  } catch {
    return [];
  }
}
