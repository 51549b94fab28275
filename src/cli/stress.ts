import { closeSync, existsSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { words } from '../../perf/flags.ts';
import type { Comparison } from '../../perf/stress/compare.ts';
import { MOST_COMMANDS_PER_FRAME, type Wishes } from '../../perf/stress/options.ts';
import type { StressResult } from '../../perf/stress/result.ts';
import { version } from '../base/version.ts';
import { CliError, ExitCode } from './exit.ts';
import { durationFrom, parseServerUrl, tokenOption, wholeFrom } from './options.ts';
import { readSigningKey, tokenKeyOption } from './signing-key.ts';

interface StressCliOptions extends Omit<Wishes, 'ttlMs'> {
  url?: number;
  token?: string;
  tokenKey?: string;
  port?: number;
  serve: string[];
  ttl?: number;
  threads: number;
  repeats: number;
  seed: number;
  list: boolean;
  compare: boolean;
  json: boolean | string;
  out?: string;
}

const MOST_SKUS = 10_000_000;

/** `holdfast stress`: scenarios of load on a server, and what came of them. The load itself is in perf/stress. */
export function stressCommand(): Command {
  const whole = (flags: string, text: string, min: number, max: number) =>
    new Option(flags, `${text} (${min} to ${max}; default: the scenario's)`).argParser(wholeFrom(min, max));
  return new Command('stress')
    .summary('Put a load on a server, measure it, and check its books.')
    .description(
      "Put a scenario's load on a server, tell what it took and how fast, and hold the clients' account against the server's books. " +
        'Without a name, every scenario runs. Exit code 1 when books are off, and when --compare finds anything worse. A server with authentication needs the scope admin and no ' +
        'limits of rates (rules holderRate, holderWindow, holderSkuWindow, skuWindow: off), or they are what is measured.',
    )
    .addArgument(
      new Argument('[scenario...]', 'which to run, see --list; with --compare, two files that --json wrote'),
    )
    .addOption(new Option('--list', 'tell which scenarios there are').default(false, 'off'))
    .addOption(
      new Option('--compare', 'tell what got better or worse from one file of results to another').default(
        false,
        'off',
      ),
    )
    .addOption(
      new Option(
        '--url <address>',
        'a server of this machine that runs (default: each run starts its own)',
      ).argParser(localPort),
    )
    .addOption(
      new Option('--port <number>', 'the same by its port (1 to 65535; default: each run starts its own)')
        .argParser(wholeFrom(1, 65_535))
        .conflicts('url'),
    )
    .addOption(tokenOption().conflicts('serve'))
    .addOption(tokenKeyOption().conflicts('serve'))
    .addOption(
      new Option('--serve <options>', "options for a run's own server, such as '--ack memory --workers 2'")
        .default([], 'none')
        .argParser(words)
        .conflicts(['url', 'port']),
    )
    .addOption(
      new Option('--seconds <number>', "length of a run (0.1 to 3600; default: the scenario's)").argParser(
        seconds,
      ),
    )
    .addOption(whole('--connections <number>', 'connections in all', 1, 100_000))
    .addOption(
      whole('--rate <number>', 'HOLDs offered a second, whatever is answered: an open loop', 1, 100_000_000),
    )
    .addOption(
      whole(
        '--in-flight <number>',
        'frames that each connection keeps under way: a closed loop, which asks again at once after a refusal',
        1,
        10_000,
      ).conflicts('rate'),
    )
    .addOption(whole('--commands-per-frame <number>', 'commands in a frame', 1, MOST_COMMANDS_PER_FRAME))
    .addOption(whole('--skus <number>', 'SKUs that are asked for', 1, MOST_SKUS))
    .addOption(
      new Option(
        '--ttl <duration>',
        "time to live of holds (1 to 3600000 ms, a bare number is ms; default: the scenario's)",
      ).argParser(durationFrom(1, 3_600_000)),
    )
    .addOption(
      new Option('--threads <number>', 'threads that make the load (1 to 64)')
        .default(1)
        .argParser(wholeFrom(1, 64)),
    )
    .addOption(
      new Option(
        '--repeats <number>',
        'runs of each scenario, of which the one with the median rate is told (1 to 99)',
      )
        .default(1)
        .argParser(wholeFrom(1, 99)),
    )
    .addOption(
      new Option('--seed <number>', 'for what is drawn by lot (0 to 4294967295)')
        .default(1)
        .argParser(wholeFrom(0, 2 ** 32 - 1)),
    )
    .addOption(
      new Option('--tiny', 'a fraction of a second with few of everything, to see that it works').default(
        false,
        'off',
      ),
    )
    .addOption(
      new Option(
        '--json [file]',
        'print one line of JSON for each scenario, or write it to a file; errors are JSON too, on stderr',
      ).default(false, 'off'),
    )
    .addOption(
      new Option(
        '--out <file>',
        'write a report with plots to a file: HTML that needs nothing else (default: none)',
      ),
    )
    .action(run);
}

async function run(names: string[], options: StressCliOptions): Promise<void> {
  if (options.compare) return compareFiles(names, options.json !== false);
  // Loaded here so that the other commands do not load a load generator.
  const { SCENARIOS } = await import('../../perf/scenarios/index.ts');
  const { listText, resultText } = await import('../../perf/stress/text.ts');
  if (options.list) {
    const list = SCENARIOS.map(({ name, summary, shows }) => ({ name, summary, shows }));
    process.stdout.write(`${options.json === false ? listText(SCENARIOS) : JSON.stringify(list)}\n`);
    return;
  }
  const scenarios =
    names.length === 0
      ? SCENARIOS
      : names.map((name) => SCENARIOS.find((scenario) => scenario.name === name) ?? unknown(name, SCENARIOS));
  if (SCENARIOS.some(({ name }) => name === options.json)) {
    throw usage(
      `--json ${options.json} names a file. Put --json behind the scenarios: holdfast stress ${options.json} --json`,
    );
  }
  const { runnable, stress } = await import('../../perf/stress/stress.ts');
  const { LiveView } = await import('../../perf/stress/live.ts');
  const { WishError } = await import('../../perf/stress/options.ts');
  // Ended by exit() rather than by the signal, so that a server of the run's own and its store go too.
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  const { token, tokenKey } = options;
  const pass =
    tokenKey === undefined
      ? { token, key: undefined }
      : { token: undefined, key: (await readSigningKey(tokenKey)).text };
  const { ttl, url, port = url, threads, seed, repeats, serve, out, json } = options;
  const wishes: Wishes = { ...options, ...(ttl !== undefined && { ttlMs: ttl }) };
  const asUsage = (error: unknown): unknown =>
    error instanceof WishError ? usage(error.message) : runFailure(error);
  // What cannot be had is said before the first run, not after an hour of others.
  try {
    for (const scenario of scenarios) runnable(scenario, wishes);
  } catch (error) {
    throw asUsage(error);
  }
  if (typeof json === 'string') expectWritable('results', json);
  if (out !== undefined) expectWritable('report', out);
  const results: StressResult[] = [];
  const live = new LiveView(process.stderr);
  for (const scenario of scenarios) {
    const result = await stress(scenario, {
      wishes,
      ...{ port, pass, threads, seed, repeats, serve, version },
      onLive: (state) => live.show(state),
      onRun: ({ seconds }, nth) => {
        live.clear();
        const which = repeats === 1 ? '' : `, run ${nth} of ${repeats}`;
        process.stderr.write(`${scenario.name}: ${seconds} s at most${which} …\n`);
      },
    }).catch((error: unknown) => {
      live.clear();
      throw asUsage(error);
    });
    live.clear();
    results.push(result);
    // Each as soon as it is there: a later one may fail.
    if (json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
    else process.stdout.write(`${resultText(result)}\n`);
    if (typeof json === 'string') writeResults(json, results);
    if (out !== undefined) await writeReport(out, results);
  }
  if (results.some(({ oversold, leaked, lost }) => oversold + leaked + lost > 0)) {
    process.exitCode = ExitCode.REFUSED;
  }
}

async function compareFiles(files: string[], json: boolean): Promise<void> {
  if (files.length !== 2)
    throw usage('--compare takes two files: holdfast stress --compare before.json after.json');
  const { compare, NotComparableError } = await import('../../perf/stress/compare.ts');
  const { readResults } = await import('../../perf/stress/stress.ts');
  const { comparisonText } = await import('../../perf/stress/text.ts');
  const [before, after] = files.map((file) => {
    try {
      return readResults(file);
    } catch (error) {
      throw usage(`${file} cannot be compared: ${(error as Error).message}.`);
    }
  }) as [StressResult[], StressResult[]];
  const comparisons: Comparison[] = [];
  for (const result of before) {
    const other = after.find(({ scenario }) => scenario === result.scenario);
    if (other === undefined && before.length > 1) continue;
    try {
      comparisons.push(compare(result, other ?? (after[0] as StressResult)));
    } catch (error) {
      throw error instanceof NotComparableError ? usage(error.message) : error;
    }
  }
  if (comparisons.length === 0) throw usage('The two files have no scenario in common.');
  for (const comparison of comparisons) {
    process.stdout.write(`${json ? JSON.stringify(comparison) : comparisonText(comparison)}\n`);
  }
  if (comparisons.some(({ changes }) => changes.some(({ verdict }) => verdict === 'worse'))) {
    process.exitCode = ExitCode.REFUSED;
  }
}

function writeResults(file: string, results: readonly StressResult[]): void {
  write('results', file, results.map((result) => `${JSON.stringify(result)}\n`).join(''));
}

async function writeReport(file: string, results: readonly StressResult[]): Promise<void> {
  const { renderPage } = await import('../../perf/stress/report/page.ts');
  write('report', file, renderPage(results));
}

/** Opens the file for writing, and leaves everything as it was. */
function expectWritable(what: string, file: string): void {
  orUnwritable(what, () => {
    const there = existsSync(file);
    closeSync(openSync(file, 'a'));
    if (!there) rmSync(file);
  });
}

function write(what: string, file: string, text: string): void {
  orUnwritable(what, () => writeFileSync(file, text));
}

function orUnwritable(what: string, touch: () => void): void {
  try {
    touch();
  } catch (error) {
    throw usage(`The ${what} cannot be written: ${(error as Error).message}.`);
  }
}

/** What a thread of the generator or the server's process said; of their own kind are only mistakes in this program. */
function runFailure(error: unknown): unknown {
  if (!(error instanceof Error) || ['TypeError', 'ReferenceError', 'RangeError'].includes(error.name))
    return error;
  return new CliError(ExitCode.NO_CONNECTION, 'RUN_FAILED', `The run came to no end. ${error.message}`);
}

function unknown(name: string, scenarios: readonly { readonly name: string }[]): never {
  const all = scenarios.map((scenario) => scenario.name).join(', ');
  throw usage(`There is no scenario "${name}". There are: ${all}.`);
}

function usage(message: string): CliError {
  return new CliError(ExitCode.USAGE, 'USAGE', message);
}

/** The load comes over loopback only: a stress run against another machine would be an attack on it. */
function localPort(text: string): number {
  const { http } = parseServerUrl(text);
  const { protocol, hostname, port } = new URL(http);
  if (protocol !== 'http:' || !['127.0.0.1', 'localhost'].includes(hostname)) {
    throw new InvalidArgumentError('A stress run is for a server of this machine: ws://127.0.0.1:7070.');
  }
  return Number(port === '' ? 80 : port);
}

function seconds(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 0.1 && value <= 3600))
    throw new InvalidArgumentError('It must be a number from 0.1 to 3600.');
  return value;
}
