/**
 * `npm run fuzz`: every fuzz target for a while, one after the other, and what they found. Before a release: `-- --seconds 3600`.
 * What makes a target fail is kept in its corpus, where the tests run it from then on. Exit code 1 when there was such an input.
 */
import { mkdirSync } from 'node:fs';
import { relative } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { corpusOf, fuzzTarget, TARGETS } from './jazzer.ts';

const SHOWN_CHARACTERS = 4000;

const wholeNumber = (text: string): number => {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It has to be a whole number from 1.');
  return Number(text);
};
const targetNamed = (text: string): string => {
  if (!TARGETS.some((name) => name === text))
    throw new InvalidArgumentError(`There are ${TARGETS.join(' and ')}.`);
  return text;
};

const program = new Command('npm run fuzz --')
  .description('Runs the fuzz targets under jazzer.js, each for its share of the time.')
  .option('--seconds <n>', 'how long, over all targets', wholeNumber, 60)
  .option('--target <name>', `only this one: ${TARGETS.join(' or ')}`, targetNamed)
  .option('--seed <n>', 'of the mutations', wholeNumber, Date.now() % 1_000_000_000)
  .parse();
const { seconds, target: only, seed } = program.opts<{ seconds: number; target?: string; seed: number }>();

const targets = TARGETS.filter((target) => only === undefined || target === only);
const each = Math.max(1, Math.round(seconds / targets.length));
for (const target of targets) {
  console.log(`${target}: ${each} s, seed ${seed}`);
  const corpus = corpusOf(target);
  mkdirSync(corpus, { recursive: true });
  const onProgress = (line: string): void => console.log(`  ${line}`);
  const result = await fuzzTarget({
    target,
    seconds: each,
    seed,
    corpus: [corpus],
    findings: corpus,
    onProgress,
  });
  const runs = result.runs.toLocaleString('en-US');
  if (result.finding === undefined) {
    console.log(`${target}: ${runs} inputs, ${result.features} features, nothing found`);
  } else {
    process.exitCode = 1;
    const file = relative(process.cwd(), result.finding);
    console.log(result.output.slice(-SHOWN_CHARACTERS));
    console.log(`${target}: FAILED, see above. The input is kept: ${file}`);
    console.log(`To run it again: npm test -- test/fuzz/corpus.test.ts -t ${file.split('/').at(-1)}`);
  }
}
