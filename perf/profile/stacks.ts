import type { CallFrame, CpuProfile, CpuProfileNode } from '../../src/profile/profile-report.ts';

/** A stack that was seen, root first, and for how long. */
export interface Stack {
  readonly frames: readonly CallFrame[];
  readonly us: number;
}

export interface ThreadTime {
  readonly stacks: readonly Stack[];
  /** Time with nothing to do: the event loop waited, or the thread slept until rung. */
  readonly idleUs: number;
  readonly totalUs: number;
}

/** What the engine calls a thread that waits in its event loop. */
const IDLE = '(idle)';
/** The top of every profile, which is no function. */
const ROOT = '(root)';

/** The stacks of a profile with the time spent in each; each sample stands for the time up to the next. */
export function timeOf({ nodes, samples, timeDeltas }: CpuProfile): ThreadTime {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map<number, CpuProfileNode>();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const usById = new Map<number, number>();
  let totalUs = 0;
  samples.forEach((id, i) => {
    const us = Math.max(0, timeDeltas[i + 1] ?? 0);
    totalUs += us;
    usById.set(id, (usById.get(id) ?? 0) + us);
  });
  const stacks: Stack[] = [];
  let idleUs = 0;
  for (const [id, us] of usById) {
    const frames: CallFrame[] = [];
    for (let node = byId.get(id); node !== undefined; node = parents.get(node.id)) {
      if (node.callFrame.functionName !== ROOT) frames.unshift(node.callFrame);
    }
    if (isIdle(frames)) idleUs += us;
    else if (isProfiling(frames)) totalUs -= us;
    else if (frames.length > 0) stacks.push({ frames, us });
  }
  return { stacks, idleUs, totalUs };
}

/** Functions in which threads sleep by Atomics.wait, which the engine takes for work of the function that calls it. */
const SLEEPS: readonly { readonly name: string; readonly file: RegExp }[] = [
  { name: 'sleep', file: /\/ring\/doorbell\.[jt]s$/ },
  { name: 'rest', file: /\/storage\/storage-loop\.[jt]s$/ },
];

function isIdle(frames: readonly CallFrame[]): boolean {
  const top = frames.at(-1);
  if (top === undefined) return false;
  const caller = top.url === '' ? (frames.at(-2) ?? top) : top;
  return (
    top.functionName === IDLE ||
    SLEEPS.some(({ name, file }) => caller.functionName === name && file.test(caller.url))
  );
}

/** Taking the profile is no part of it. */
function isProfiling(frames: readonly CallFrame[]): boolean {
  return frames.some(({ url }) => /\/src\/profile\/[\w-]+\.[jt]s$/.test(url));
}
