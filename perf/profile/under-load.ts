import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { tailored, type Wishes } from '../stress/options.ts';
import type { StressResult } from '../stress/result.ts';
import { runScenario } from '../stress/run.ts';
import type { Scenario } from '../stress/scenario.ts';
import { startTarget, type Target } from '../stress/target.ts';

export interface UnderLoadOptions {
  readonly scenario: Scenario;
  readonly wishes: Omit<Wishes, 'seconds'>;
  /** Further options for `holdfast serve`. */
  readonly serve: readonly string[];
  /** Length of what is done under the load. */
  readonly seconds: number;
  /** The load goes on for so long behind its warm-up before that; half a second unless given. */
  readonly beforeMs?: number;
  /** For the server's Node. */
  readonly nodeFlags?: readonly string[];
}

const BEFORE_MS = 500;
/** The load ends so long after what is done under it. */
const AFTER_MS = 500;

/**
 * Starts a server, plays a scenario, and does something once the scenario's warm-up is over. Rejects when the scenario's books are off,
 * since a profile of a server that errs is worth nothing.
 */
export async function underLoad<T>(
  options: UnderLoadOptions,
  work: (target: Target) => Promise<T>,
): Promise<{ done: T; load: StressResult }> {
  const { scenario, wishes, serve, seconds, beforeMs = BEFORE_MS, nodeFlags = [] } = options;
  const { version } = createRequire(import.meta.url)('holdfast/package.json') as { version: string };
  const wanted = tailored(scenario, { ...wishes, seconds: seconds + (beforeMs + AFTER_MS) / 1000 });
  const target = await startTarget(serve, nodeFlags);
  try {
    const warm = Promise.withResolvers<void>();
    const running = runScenario({
      scenario: wanted,
      target,
      threads: 1,
      seed: 1,
      skuPrefix: 'sku-',
      version,
      onLive: ({ elapsedMs }) => elapsedMs >= wanted.warmUpSeconds * 1000 && warm.resolve(),
    });
    const doing = warm.promise.then(() => sleep(beforeMs)).then(() => work(target));
    const [done, load] = await Promise.race([Promise.all([doing, running]), target.failure]);
    if (load.problems.length > 0) throw new Error(`The books are off:\n${load.problems.join('\n')}`);
    return { done, load };
  } finally {
    await target.stop();
  }
}
