import type { AllocationNode, ThreadAllocationProfile } from '../../src/profile/profile-report.ts';
import { labelOf } from './frames.ts';

export interface ThreadAllocations {
  readonly name: string;
  /** Bytes in the window, extrapolated from samples. */
  readonly bytes: number;
  /** Over the commands that the thread ran, or for threads that run none, all commands of the window; null when there were none. */
  readonly bytesPerCommand: number | null;
  /** By bytes allocated in the function itself, most first. */
  readonly functions: readonly {
    readonly label: string;
    readonly bytes: number;
    readonly bytesPerCommand: number | null;
  }[];
}

/** What each thread allocated, function by function. */
export function summarizeAllocations(threads: readonly ThreadAllocationProfile[]): ThreadAllocations[] {
  const all = threads.reduce((sum, { commands }) => sum + (commands ?? 0), 0);
  return threads.map(({ name, profile, commands }) => {
    const per = (bytes: number) => perCommand(bytes, commands ?? all);
    const byLabel = new Map<string, number>();
    const walk = (node: AllocationNode): void => {
      if (node.selfSize > 0) {
        const label = labelOf(node.callFrame);
        byLabel.set(label, (byLabel.get(label) ?? 0) + node.selfSize);
      }
      for (const child of node.children) walk(child);
    };
    walk(profile.head);
    const functions = [...byLabel]
      .sort((a, b) => b[1] - a[1])
      .map(([label, bytes]) => ({ label, bytes, bytesPerCommand: per(bytes) }));
    const bytes = functions.reduce((sum, one) => sum + one.bytes, 0);
    return { name, bytes, bytesPerCommand: per(bytes), functions };
  });
}

/** The same as text, with so many functions of each thread. */
export function allocationsText(threads: readonly ThreadAllocations[], most: number): string {
  const text = (bytes: number, per: number | null) =>
    per === null ? `${(bytes / 1024).toFixed(0)} KiB` : `${per.toFixed(3)} bytes a command`;
  return threads
    .map(({ name, bytes, bytesPerCommand, functions }) =>
      [
        `${name}: ${text(bytes, bytesPerCommand)}`,
        ...functions
          .slice(0, most)
          .map((one) => `  ${text(one.bytes, one.bytesPerCommand).padStart(24)}  ${one.label}`),
      ].join('\n'),
    )
    .join('\n\n');
}

export function perCommand(bytes: number, commands: number): number | null {
  return commands > 0 ? bytes / commands : null;
}
