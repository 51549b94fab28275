import { readFileSync, writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { positive, wholeNumber } from '../flags.ts';
import { runMain } from '../run-main.ts';
import { insertTable, markdown } from './markdown.ts';
import { renderPeers, targetsOf } from './report.ts';
import type { PeersReport } from './result.ts';
import { SIDES, type SideName } from './sides.ts';
import { benchPeers, type PeersOptions } from './suite.ts';
import { plot } from './svg.ts';

interface Flags {
  json?: true;
  tiny?: true;
  only: SideName[];
  repeats: number;
  seconds: number;
  skus: number;
  ttl: number;
  storeIn?: string;
  from?: string;
  svg?: string;
  readme?: string;
}

const NAMES = Object.keys(SIDES) as SideName[];

const program = new Command('npm run bench:peers --')
  .description(
    'Measures Holdfast beside what people use today: Redis, PostgreSQL and a Map in Node, each with the same holds.',
  )
  .option('--json', 'print one JSON object in place of the table')
  .addOption(
    new Option('--only <sides>', `comma-separated sides: ${NAMES.join(', ')}`)
      .argParser(sides)
      .default(NAMES, 'all'),
  )
  .option('--repeats <count>', 'rounds in which every side has its turn', wholeNumber, 3)
  .option('--seconds <s>', 'measured time of one run', positive, 0.7)
  .option('--skus <count>', 'SKUs that holds are spread over', wholeNumber, 20_000)
  .option('--ttl <ms>', 'time to live of a hold', wholeNumber, 100)
  .option(
    '--store-in <directory>',
    'where to make a directory for what the servers write (default: where temporary files go, if that is on a disk)',
  )
  .option('--from <file>', 'measure nothing: take what an earlier run printed with --json')
  .option('--svg <file>', 'write a plot into this file')
  .option('--readme <file>', "replace the tables between this file's two comments that begin with `peers:`")
  .option('--tiny', 'everything so small that it takes seconds: shows that it runs, not how fast');

const flags = program.parse().opts<Flags>();
await runMain(async () => {
  const report = flags.from === undefined ? await benchPeers(optionsOf(flags)) : readReport(flags.from);
  if (flags.svg !== undefined) writeFileSync(flags.svg, plot(report));
  if (flags.readme !== undefined) {
    writeFileSync(flags.readme, insertTable(readFileSync(flags.readme, 'utf8'), markdown(report)));
  }
  console.log(flags.json ? JSON.stringify({ ...report, targets: targetsOf(report) }) : renderPeers(report));
});

function optionsOf({ tiny, only, repeats, seconds, skus, ttl, storeIn }: Flags): PeersOptions {
  return {
    sides: only,
    repeats: tiny ? 1 : repeats,
    seconds: tiny ? 0.1 : seconds,
    trySeconds: tiny ? 0.02 : 0.2,
    skus: tiny ? Math.min(skus, 800) : skus,
    ttlMs: tiny ? Math.min(ttl, 30) : ttl,
    tryAll: tiny !== true,
    under: storeIn,
    onProgress: (text) => console.error(text),
  };
}

function readReport(file: string): PeersReport {
  const report = JSON.parse(readFileSync(file, 'utf8')) as PeersReport;
  if (!Array.isArray(report.sides)) throw new Error(`${file} is not what bench:peers prints with --json.`);
  return report;
}

function sides(text: string): SideName[] {
  return text.split(',').map((name) => {
    const side = NAMES.find((side) => side === name.trim());
    if (side === undefined) throw new InvalidArgumentError(`The sides are ${NAMES.join(', ')}.`);
    return side;
  });
}
