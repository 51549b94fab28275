import type { Report } from './simulator.ts';

/** A run's violations, each with the command that shows how it came to it. `flags` are those of replay.ts. */
export function complaints({ seed, violations }: Report, flags = ''): string[] {
  const replay = `node_modules/.bin/node test/simulation/replay.ts ${flags}--seed ${seed} --verbose`;
  return violations.map(({ kind, what }) => `seed ${seed}: ${kind}: ${what}\n  replay: ${replay}`);
}
