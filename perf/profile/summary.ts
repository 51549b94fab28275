import type { ThreadCpuProfile } from '../../src/profile/profile-report.ts';
import { labelOf } from './frames.ts';
import { timeOf } from './stacks.ts';

export interface ThreadSummary {
  readonly name: string;
  readonly seconds: number;
  /** Share of the time in which the thread did something, or waited for its disk. */
  readonly busyPercent: number;
  /** By time in the function itself, most first; shares of the whole time. */
  readonly functions: readonly { readonly label: string; readonly selfPercent: number }[];
}

/** What each thread spent its time on, function by function. */
export function summarize(threads: readonly ThreadCpuProfile[]): ThreadSummary[] {
  return threads.map(({ name, profile }) => {
    const { stacks, idleUs, totalUs } = timeOf(profile);
    const percent = (us: number) => (totalUs === 0 ? 0 : (100 * us) / totalUs);
    const selfUs = new Map<string, number>();
    for (const { frames, us } of stacks) {
      const top = frames.at(-1);
      if (top !== undefined) selfUs.set(labelOf(top), (selfUs.get(labelOf(top)) ?? 0) + us);
    }
    const functions = [...selfUs]
      .sort((a, b) => b[1] - a[1])
      .map(([label, us]) => ({ label, selfPercent: percent(us) }));
    return { name, seconds: totalUs / 1e6, busyPercent: percent(totalUs - idleUs), functions };
  });
}

/** The same as text, with so many functions of each thread. */
export function summaryText(summaries: readonly ThreadSummary[], most: number): string {
  return summaries
    .map(({ name, busyPercent, functions }) =>
      [
        `${name}: ${busyPercent.toFixed(0)} % busy`,
        ...functions
          .slice(0, most)
          .map(({ label, selfPercent }) => `  ${selfPercent.toFixed(1).padStart(5)} %  ${label}`),
      ].join('\n'),
    )
    .join('\n\n');
}
