import { readdirSync, readFileSync } from 'node:fs';

/** What a process has of what can leak. */
export interface Resources {
  /** Memory that is its own or shared with its threads, as it is in RAM. */
  readonly rssMb: number;
  /** Open files, sockets among them. */
  readonly descriptors: number;
}

const PAGE_BYTES = 4096;

/** What a process has at the moment. Throws where there is no /proc, or no such process. */
export function resourcesOf(pid: number): Resources {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
  return {
    rssMb: Math.round((pages * PAGE_BYTES) / 2 ** 20),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}
