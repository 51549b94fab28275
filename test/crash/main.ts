import { randomInt } from 'node:crypto';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ACK_LEVELS, type AckLevel } from '../../protocol/ack.ts';
import { FLAWS, type Flaw } from '../../src/storage/failpoints.ts';
import { isStoreUrl } from '../../src/storage/store.ts';
import { noRedis } from '../fixtures/redis.ts';
import { buildServer } from './build.ts';
import { PLANTED, type Planted } from './plan.ts';
import { progressLine, toJson, toText } from './report.ts';
import { runCrash } from './run.ts';

interface Flags {
  kills: number;
  seed: number;
  store: string;
  ack: AckLevel;
  fronts: number;
  failpoint?: Planted | 'each';
  flaw?: Flaw;
  json?: true;
}

const ROUNDS_A_LINE = 10;

const program = new Command('npm run crash --')
  .description(
    'Kills a real server under load and starts it again, as often as asked, and holds what clients were told against what is there.',
  )
  .option(
    '--kills <count>',
    'ends of the server: by SIGKILL, at failpoints, now and then by SIGTERM',
    wholeNumber,
    20,
  )
  .option(
    '--seed <number>',
    'replays the intents and the faults of a run; drawn unless given',
    wholeNumber,
    randomInt(2 ** 31),
  )
  .option(
    '--store <store>',
    'file, redis (a redis-server of its own, which is killed and stopped too), or an address',
    store,
    'file',
  )
  .addOption(
    new Option('--ack <level>', 'when a change is acknowledged').choices(ACK_LEVELS.slice(1)).default('sync'),
  )
  .option('--fronts <count>', 'fronts of the server', wholeNumber, 1)
  .addOption(
    new Option(
      '--failpoint <name>',
      'dies at this one only, or at each of them once before the other rounds',
    ).choices(['each', ...PLANTED]),
  )
  .addOption(
    new Option('--flaw <name>', 'has the server make a mistake, which the judge must find').choices(FLAWS),
  )
  .option('--json', 'print one JSON object in place of the text');

// A signal ends the process by way of exit, so that the servers that were started end too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

const { kills, seed, store: url, ack, fronts, failpoint, flaw, json } = program.parse().opts<Flags>();
if (url === 'redis' && noRedis !== undefined) {
  console.error(noRedis);
  process.exit(1);
}
const server = buildServer();
process.once('exit', () => server.remove());
try {
  const report = await runCrash({
    main: server.main,
    kills,
    seed,
    store: url,
    ack,
    fronts,
    failpoint,
    flaw,
    onRound: (done, run) => showProgress(done, progressLine(done, kills, run)),
  });
  console.log(json ? JSON.stringify(toJson(report)) : toText(report));
  process.exitCode = report.tally.violated > 0 ? 1 : 0;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
}

/** On a terminal one line that changes; elsewhere a line now and then. */
function showProgress(done: number, line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${line}\x1b[K${done === kills ? '\n' : ''}`);
  else if (done % ROUNDS_A_LINE === 0 || done === kills) console.error(line);
}

function wholeNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

function store(text: string): string {
  if (text !== 'file' && text !== 'redis' && !isStoreUrl(text)) {
    throw new InvalidArgumentError('It must be file, redis, or an address such as file:/tmp/crash.');
  }
  return text;
}
