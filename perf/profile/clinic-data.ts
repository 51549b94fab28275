import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { CallFrame, ThreadCpuProfile } from '../../src/profile/profile-report.ts';
import { functionOf, placeOf } from './frames.ts';
import { timeOf } from './stacks.ts';

/** A frame as clinic reads it. */
export interface ClinicFrame {
  readonly name: string;
  readonly type: 'JS' | 'CPP' | 'WASM';
}

/**
 * Where clinic believes the project to lie. It takes a function for JavaScript only when `.js` occurs in its name and path, and
 * sorts the rest under the engine; and what has no absolute path it takes for Node's own. With `.js` as a folder, the
 * project's `.ts` files keep their names and are application code.
 */
const CLINIC_ROOT = '/.js/holdfast';
/** Time that one line of a data file stands for. */
const SAMPLE_US = 1000;

/**
 * Writes profiles as a data folder of clinic's, `PID.clinic-flame`, which `clinic flame --visualize-only` takes too: every thread is a
 * root of its own. Waiting is left out. Returns the folder's path.
 */
export function writeClinicData(
  threads: readonly ThreadCpuProfile[],
  directory: string,
  pid: number | string,
): string {
  const folder = join(directory, `${pid}.clinic-flame`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const write = (what: string, data: unknown) =>
    writeFileSync(join(folder, `${basename(folder)}-${what}`), JSON.stringify(data));
  write('samples', threads.flatMap(clinicSamples));
  write('inlinedfunctions', {});
  write('systeminfo', {
    mainDirectory: CLINIC_ROOT,
    pathSeparator: '/',
    nodeVersions: process.versions,
  });
  return folder;
}

/** The stacks of a thread, each as often as it lasted milliseconds, below a frame with the thread's name. */
export function clinicSamples({ name, profile }: ThreadCpuProfile): ClinicFrame[][] {
  const root: ClinicFrame = { name: `${name} ${CLINIC_ROOT}/thread:1:1`, type: 'JS' };
  const samples: ClinicFrame[][] = [];
  // What is left of one stack's time is given to the next, so that the sum is right.
  let leftUs = 0;
  for (const { frames, us } of timeOf(profile).stacks) {
    const stack = [root, ...frames.map(clinicFrame)];
    leftUs += us;
    for (; leftUs >= SAMPLE_US; leftUs -= SAMPLE_US) samples.push(stack);
  }
  return samples;
}

function clinicFrame(frame: CallFrame): ClinicFrame {
  const { origin, path } = placeOf(frame);
  // Brackets mean something to clinic in what has no place.
  const name = functionOf(frame);
  switch (origin) {
    case 'native':
      return { name: name.replace(/[[\]]/g, ''), type: 'CPP' };
    case 'wasm':
      return { name: name.replace(/[[\]]/g, ''), type: 'WASM' };
    case 'node':
      // Under this name clinic takes a function for part of the start, and hides all that called it.
      return {
        name: `${name.replace('(anonymous)', 'anonymous')} ${path}:${frame.lineNumber + 1}:${frame.columnNumber + 1}`,
        type: 'JS',
      };
    default:
      return {
        name: `${name} ${CLINIC_ROOT}/${path}:${frame.lineNumber + 1}:${frame.columnNumber + 1}`,
        type: 'JS',
      };
  }
}
