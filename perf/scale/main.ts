import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { positive, wholeNumber, words } from '../flags.ts';
import { describeMachine } from '../machine.ts';
import { runMain } from '../run-main.ts';
import { measureScale } from './measure.ts';
import { outlookOf } from './predict.ts';
import { renderScale, type ScaleResult } from './table.ts';

interface Flags {
  json?: true;
  tiny?: true;
  workers: number[];
  repeats: number;
  seconds: number;
  skus: number;
  ttl: number;
  generators: number;
  serve: string[];
  storeIn?: string;
}

/** Machines that are predicted for. */
const CORES = [4, 8, 16, 32, 64];
const here = availableParallelism();

const program = new Command('npm run scale --')
  .description(
    'Measures the same holds with 1, 2, … workers as far as the cores of this machine go, and what a command costs each thread, and says what these costs predict for machines with more cores.',
  )
  .option('--json', 'print one JSON object in place of the tables')
  .addOption(
    new Option(
      '--workers <counts>',
      'comma-separated numbers of workers, each measured on a server of its own',
    )
      .argParser((text) => text.split(',').map(wholeNumber))
      .default(workersUpTo(here), workersUpTo(here).join(',')),
  )
  .option(
    '--repeats <count>',
    'rounds in which each server is measured once with each frame size',
    wholeNumber,
    3,
  )
  .option('--seconds <s>', 'measured time of one run', positive, 2)
  .option('--skus <count>', 'SKUs that the holds are spread over', wholeNumber, 20_000)
  .option('--ttl <ms>', 'time to live of a hold', wholeNumber, 100)
  .option('--generators <count>', 'threads that make the load', wholeNumber, Math.max(1, here >> 2))
  .addOption(
    new Option('--serve <options>', 'further options for `holdfast serve`, in one argument')
      .argParser(words)
      .default([], 'none'),
  )
  .option(
    '--store-in <directory>',
    'where to make a directory for the stores (default: where temporary files go, if that is on a disk)',
  )
  .option('--tiny', 'everything so small that it takes seconds: shows that it runs, not how fast');

const flags = program.parse().opts<Flags>();
await runMain(async () => {
  const result = await runScale(flags);
  console.log(flags.json ? JSON.stringify(result) : renderScale(result));
});

async function runScale({
  tiny,
  workers,
  generators,
  serve,
  storeIn,
  ...flags
}: Flags): Promise<ScaleResult> {
  const machine = describeMachine();
  const measured = await measureScale({
    workers,
    generators,
    serve,
    repeats: tiny ? 1 : flags.repeats,
    seconds: tiny ? 0.3 : flags.seconds,
    skus: tiny ? Math.min(flags.skus, 1000) : flags.skus,
    ttlMs: flags.ttl,
    under: storeIn,
    onProgress: (text) => console.error(text),
  });
  return { machine, ...measured, ...outlookOf(measured.runs, CORES, { cores: machine.cores, generators }) };
}

/** Powers of two and three times them, as far as the cores go; with one core less for the sockets where there are many, but at least two. */
function workersUpTo(cores: number): number[] {
  const all = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
  return all.filter((count) => count <= Math.max(2, cores - 1));
}
