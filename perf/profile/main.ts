import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { MAX_PROFILE_SECONDS, type ProfileKind } from '../../src/profile/profile-report.ts';
import { wholeNumber, words } from '../flags.ts';
import { runMain } from '../run-main.ts';
import { SCENARIOS } from '../scenarios/index.ts';
import { MOST_COMMANDS_PER_FRAME } from '../stress/options.ts';
import { allocationsText, summarizeAllocations } from './allocations.ts';
import { askForProfile } from './ask.ts';
import { drawFlameGraph, installClinic } from './clinic.ts';
import { writeClinicData } from './clinic-data.ts';
import { diagnose, diagnosisText } from './doctor.ts';
import { summarize, summaryText } from './summary.ts';
import { underLoad } from './under-load.ts';

interface Flags {
  live?: true;
  url?: string;
  port?: number;
  token?: string;
  doctor?: true;
  allocations?: true;
  seconds: number;
  out: string;
  html: boolean;
  json?: true;
  top: number;
  detailed?: true;
  serve: string[];
  connections?: number;
  rate?: number;
  inFlight?: number;
  commandsPerFrame?: number;
  skus?: number;
  ttl?: number;
  tiny?: true;
}

/** Most of what will be compiled is compiled by then, and allocates no more. Garbage of the load is what comes then. */
const BEFORE_HEALTH_MS = 4000;

/** What is about the server that is started, and what is played. */
const OF_THE_LOAD: readonly (keyof Flags)[] = [
  'detailed',
  'serve',
  'connections',
  'rate',
  'inFlight',
  'commandsPerFrame',
  'skus',
  'ttl',
];

/** With --json, as many functions of each thread as anybody may want. */
const JSON_FUNCTIONS = 50;

const names = SCENARIOS.map(({ name }) => name);
const program = new Command('npm run profile --')
  .description(
    'Profiles every thread of a server: where the time goes as a flame graph (HTML) and as text, how healthy the threads are (--doctor), ' +
      'or where they allocate (--allocations). Starts a server and plays a scenario, or looks at one that runs (--live).',
  )
  .argument('[scenario]', `what to play: ${names.join(', ')}`, 'hot')
  .option('--live', 'a server of this machine that runs; nothing is played, and it goes on serving')
  .option('--url <address>', 'its address (default: http://127.0.0.1:7070)')
  .option('--port <number>', 'the same by its port', wholeNumber)
  .addOption(
    new Option('--token <token>', 'for one with authentication: of the scope admin').env('HOLDFAST_TOKEN'),
  )
  .option(
    '--doctor',
    'delays of the event loop, collections of garbage and CPU of every thread, and what to do about them',
  )
  .option('--allocations', 'where every thread allocates, and how many bytes a command')
  .option('--seconds <s>', `how long to look, at most ${MAX_PROFILE_SECONDS}`, windowSeconds, 5)
  .option('--out <directory>', 'where to put files', 'profiles')
  .option('--no-html', 'only .cpuprofile files and text, no flame graph: nothing has to be installed')
  .option('--json', 'print one JSON object in place of text')
  .option('--top <count>', 'functions of each thread in the text', wholeNumber, 12)
  .option(
    '--detailed',
    'have the server compile every function by itself: slower, but none hides in the one that calls it',
  )
  .addOption(
    new Option('--serve <options>', 'further options for `holdfast serve`, in one argument')
      .argParser(words)
      .default([], 'none'),
  )
  .option('--connections <count>', "connections in all (default: the scenario's)", wholeNumber)
  .option('--rate <count>', 'HOLDs offered a second, whatever is answered: an open loop', wholeNumber)
  .option('--in-flight <count>', 'frames that each connection keeps under way: a closed loop', wholeNumber)
  .option(
    '--commands-per-frame <count>',
    `commands in a frame, at most ${MOST_COMMANDS_PER_FRAME}`,
    wholeNumber,
  )
  .option('--skus <count>', 'SKUs that are asked for', wholeNumber)
  .option('--ttl <ms>', 'time to live of holds', wholeNumber)
  .option('--tiny', 'half a second: shows that it runs');

program.parse();
const flags = program.opts<Flags>();
await runMain(async () => {
  await profile(program.processedArgs[0] as string, flags);
});

async function profile(scenario: string, flags: Flags): Promise<void> {
  const { doctor, allocations } = flags;
  if (isLive(flags)) refuseLoad();
  if (doctor && allocations) throw new Error('--doctor and --allocations are two looks: take one at a time.');
  if (doctor) await showHealth(scenario, flags);
  else if (allocations) await showAllocations(scenario, flags);
  else await showFlames(scenario, flags);
}

async function showFlames(scenario: string, { html, out, top, json, ...flags }: Flags): Promise<void> {
  // What draws is there before anything is measured, so that a missing network shows at once.
  if (html) await installClinic();
  const { report, label, load } = await take('cpu', scenario, flags);
  const summaries = summarize(report.threads);
  const directory = makeDirectory(out, label);
  for (const { name, profile } of report.threads) {
    writeFileSync(join(directory, `${name}.cpuprofile`), JSON.stringify(profile));
  }
  writeFileSync(join(directory, 'summary.txt'), `${summaryText(summaries, JSON_FUNCTIONS)}\n`);
  const graph = join(directory, 'flame.html');
  if (html) await drawFlameGraph(writeClinicData(report.threads, directory, 'holdfast'), graph);
  if (json) {
    const threads = summaries.map((one) => ({ ...one, functions: one.functions.slice(0, JSON_FUNCTIONS) }));
    console.log(JSON.stringify({ ...load, directory, flameGraph: html ? graph : null, threads }));
    return;
  }
  console.log(`${summaryText(summaries, top)}\n`);
  if (html) console.log(`Flame graph: ${relative(process.cwd(), graph)}, to be opened in a browser`);
  console.log(`Profiles for Chrome DevTools: ${relative(process.cwd(), directory)}/*.cpuprofile`);
}

async function showAllocations(scenario: string, { out, top, json, ...flags }: Flags): Promise<void> {
  const { report, label, load } = await take('allocations', scenario, flags);
  const directory = makeDirectory(out, label);
  for (const { name, profile } of report.threads) {
    writeFileSync(join(directory, `${name}.heapprofile`), JSON.stringify(profile));
  }
  const threads = summarizeAllocations(report.threads);
  if (json) {
    const short = threads.map((one) => ({ ...one, functions: one.functions.slice(0, JSON_FUNCTIONS) }));
    console.log(JSON.stringify({ ...load, directory, threads: short }));
    return;
  }
  console.log(`${allocationsText(threads, top)}\n`);
  console.log(`Profiles for Chrome DevTools (Memory): ${relative(process.cwd(), directory)}/*.heapprofile`);
}

async function showHealth(scenario: string, { json, ...flags }: Flags): Promise<void> {
  const { report, load } = await take('health', scenario, flags);
  const diagnosis = diagnose(report.threads);
  console.log(json ? JSON.stringify({ ...load, ...diagnosis }) : diagnosisText(diagnosis));
}

/** The profile, of a server that runs or of one under a scenario; how to call it; and what the load was. */
async function take<Kind extends ProfileKind>(
  kind: Kind,
  name: string,
  flags: Omit<Flags, 'html' | 'out' | 'top' | 'json'>,
) {
  const { url, port, token, serve, detailed, ttl, tiny, ...wishes } = flags;
  const seconds = tiny ? 0.5 : flags.seconds;
  if (isLive(flags)) {
    const address = (url ?? `http://127.0.0.1:${port ?? 7070}`).replace(/\/+$/, '');
    console.error(`Looking at ${address} for ${seconds} s.`);
    return { report: await askForProfile(address, kind, seconds, token), label: 'live', load: {} };
  }
  const scenario = SCENARIOS.find((one) => one.name === name);
  if (scenario === undefined) {
    throw new Error(`There is no scenario ${name}. There are: ${names.join(', ')}.`);
  }
  console.error(`Playing ${name} against a server of its own; looking for ${seconds} s.`);
  const { connections, rate, inFlight, commandsPerFrame, skus } = wishes;
  const { done, load } = await underLoad(
    {
      scenario,
      wishes: {
        ...(connections !== undefined && { connections }),
        ...(rate !== undefined && { rate }),
        ...(inFlight !== undefined && { inFlight }),
        ...(commandsPerFrame !== undefined && { commandsPerFrame }),
        ...(skus !== undefined && { skus }),
        ...(ttl !== undefined && { ttlMs: ttl }),
        ...(tiny && { tiny }),
      },
      serve,
      seconds,
      ...(kind === 'health' && !tiny && { beforeMs: BEFORE_HEALTH_MS }),
      ...(detailed && { nodeFlags: ['--no-turbo-inlining'] }),
    },
    (target) => askForProfile(`http://127.0.0.1:${target.port}`, kind, seconds),
  );
  const { acceptedPerSecond, refusedPerSecond, steal, others, trusted, ack, workers, fronts } = load;
  console.error(
    `${Math.round(acceptedPerSecond).toLocaleString('en-US')} accepted and ${Math.round(refusedPerSecond).toLocaleString('en-US')} refused a second, ack ${ack}` +
      (trusted ? '' : `; not to be trusted: ${steal} % steal, ${others} % taken by other processes`),
  );
  const told = {
    scenario: name,
    acceptedPerSecond,
    refusedPerSecond,
    ack,
    workers,
    fronts,
    steal,
    others,
    trusted,
  };
  return { report: done, label: name, load: told };
}

function isLive({ live, url, port }: Pick<Flags, 'live' | 'url' | 'port'>): boolean {
  return live === true || url !== undefined || port !== undefined;
}

/** Who asks for a load beside --live would take the figures for those of that load. */
function refuseLoad(): void {
  const given = program.options
    .filter((option) => OF_THE_LOAD.includes(option.attributeName() as keyof Flags))
    .filter((option) => program.getOptionValueSource(option.attributeName()) === 'cli')
    .map(({ long }) => long);
  const names = [...program.args, ...given].join(', ');
  if (names === '') return;
  throw new Error(
    `Nothing is played against a server that runs, so there is no use for ${names}: leave it away, or have a server of its own ` +
      'started, without --live, --url and --port. `npm run stress -- --url …` plays a load against one that runs.',
  );
}

function makeDirectory(out: string, label: string): string {
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(/[:T]/g, '-');
  const directory = join(out, `${label}-${stamp}`);
  mkdirSync(directory, { recursive: true });
  return directory;
}

function windowSeconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0.1 && value <= MAX_PROFILE_SECONDS)) {
    throw new InvalidArgumentError(`It must be 0.1 to ${MAX_PROFILE_SECONDS}.`);
  }
  return value;
}
