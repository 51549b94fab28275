/**
 * Runs seeds of the simulation: `node_modules/.bin/node test/simulation/replay.ts [--durable] [--seed N] [--runs N] [--verbose]`. One
 * seed with --verbose prints every step. Ends with 1 at the first violation.
 */
import { parseArgs } from 'node:util';
import { simulateDurable } from './durable.ts';
import { simulate } from './simulator.ts';

const { values } = parseArgs({
  options: {
    durable: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1' },
    verbose: { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const options = values.verbose ? { print: (line: string) => console.log(line) } : {};
const counts = new Map<string, number>();
let commands = 0;
const started = performance.now();
for (let seed = first; seed < first + Number(values.runs); seed++) {
  const report = values.durable ? await simulateDurable(seed, options) : simulate(seed, options);
  commands += report.commands;
  for (const [what, times] of report.counts) counts.set(what, (counts.get(what) ?? 0) + times);
  if (report.violations.length === 0) continue;
  console.error(`seed ${seed}:`);
  for (const { kind, what } of report.violations) console.error(`  ${kind}: ${what}`);
  process.exitCode = 1;
  break;
}
const ms = performance.now() - started;
console.log(
  [...counts]
    .sort()
    .map(([what, times]) => `${what} ${times}`)
    .join(', '),
);
console.log(`${values.runs} runs, ${commands} commands, ${ms.toFixed(0)} ms`);
