import { Command, InvalidArgumentError, Option } from 'commander';
import { version } from '../src/base/version.ts';
import { positive, wholeNumber, words } from './flags.ts';
import { GATE_PATTERNS } from './gate/cost.ts';
import { OVERLOAD_TIMES, PROCESSOR, SLOW_STORE } from './gate/overload.ts';
import { renderReport } from './report.ts';
import { runMain } from './run-main.ts';
import { PARTS, type Part, patternsWriting, runSuite, type SuiteOptions } from './suite.ts';
import { limitsOf, targetsOf } from './targets.ts';
import { ENGINE, HOLDFAST_SERVER, PATTERNS, SALE_PATTERNS } from './wire.ts';

interface Flags {
  json?: true;
  tiny?: true;
  only: Part[];
  repeats: number;
  seconds: number;
  skus: number;
  ttl: number;
  framesPerWrite: number;
  serve: string[];
  storeIn?: string;
}

const program = new Command('npm run bench --')
  .description('Measures Holdfast on this machine and prints medians and spreads beside their targets.')
  .option('--json', 'print one JSON object in place of the table')
  .addOption(
    new Option('--only <parts>', `comma-separated parts: ${PARTS.join(', ')}`)
      .argParser(parts)
      .default([...PARTS], 'all'),
  )
  .option('--repeats <count>', 'measured runs of each benchmark', wholeNumber, 5)
  .option('--seconds <s>', 'measured time of one run over the wire', positive, 2)
  .option(
    '--skus <count>',
    'SKUs that the holds over the wire are spread over; 1 is one hot SKU',
    wholeNumber,
    20_000,
  )
  .option('--ttl <ms>', 'time to live of a hold over the wire', wholeNumber, 100)
  .option(
    '--frames-per-write <count>',
    'frames of one connection that may leave in one write',
    wholeNumber,
    50,
  )
  .addOption(
    new Option('--serve <options>', 'further options for `holdfast serve`, in one argument')
      .argParser(words)
      .default([], 'none'),
  )
  .option(
    '--store-in <directory>',
    'where the durable part makes a directory for its stores (default: where temporary files go, if that is on a disk)',
  )
  .option('--tiny', 'everything so small that it takes seconds: shows that it runs, not how fast');

const flags = program.parse().opts<Flags>();
await runMain(async () => {
  const report = await runSuite(suiteOptions(flags));
  const verdicts = { targets: targetsOf(report), limits: limitsOf(report) };
  console.log(flags.json ? JSON.stringify({ ...report, ...verdicts }) : renderReport(report));
});

function suiteOptions(flags: Flags): SuiteOptions {
  const tiny = flags.tiny === true;
  const repeats = tiny ? 1 : flags.repeats;
  const seconds = tiny ? 0.2 : flags.seconds;
  return {
    parts: flags.only,
    repeats,
    seconds,
    skus: tiny ? Math.min(flags.skus, 1000) : flags.skus,
    ttlMs: flags.ttl,
    patterns: patternsWriting(PATTERNS, flags.framesPerWrite),
    server: [...HOLDFAST_SERVER, ...ENGINE, ...flags.serve],
    guarded: [...HOLDFAST_SERVER, ...flags.serve],
    ringRecords: Math.round(20_000_000 * seconds),
    core: {
      skus: tiny ? 10_000 : 1_000_000,
      openHolds: tiny ? 10_000 : 10_000_000,
      commands: Math.round(1_000_000 * seconds),
      repeats,
    },
    codecCommands: 4096,
    storm: tiny
      ? { connections: 300, seconds: 0.3, storms: 2 }
      : { connections: 10_000, seconds: 5, storms: 3 },
    fairness: tiny
      ? { hoarders: 5, connectionsEach: 3, buyers: 20, seconds: 1 }
      : { hoarders: 100, connectionsEach: 10, buyers: 1000, seconds: 9 },
    expiry: { probes: tiny ? 20 : 300, holds: tiny ? 5000 : 1_000_000, repeats: Math.min(repeats, 3) },
    durable: {
      patterns: patternsWriting({ ...PATTERNS, ...SALE_PATTERNS }, flags.framesPerWrite),
      serve: [...ENGINE, ...flags.serve],
      under: flags.storeIn,
      steady: { ratePerSecond: tiny ? 2000 : 20_000, connections: 100, openHolds: tiny ? 1000 : 100_000 },
      startSkus: tiny ? 10_000 : 1_000_000,
    },
    gate: { patterns: patternsWriting(GATE_PATTERNS, flags.framesPerWrite), serve: flags.serve },
    overload: {
      ...{ seconds: tiny ? 0.5 : 1.5 * seconds, times: OVERLOAD_TIMES, warmUpSeconds: tiny ? 0.25 : 1.5 },
      ...{ setUps: [SLOW_STORE, PROCESSOR], serve: flags.serve, version },
    },
    onProgress: (text) => console.error(text),
  };
}

function parts(text: string): Part[] {
  return text.split(',').map((name) => {
    const part = PARTS.find((part) => part === name.trim());
    if (part === undefined) throw new InvalidArgumentError(`The parts are ${PARTS.join(', ')}.`);
    return part;
  });
}
