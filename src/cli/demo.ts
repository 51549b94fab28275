import { Command, Option } from 'commander';
import type { Access } from './demo/buyer.ts';
import { type OwnServer, startOwnServer } from './demo/own-server.ts';
import { type Progress, silentProgress, startProgress } from './demo/progress.ts';
import { runSale, type SaleOptions, type SaleResult } from './demo/sale.ts';
import { judge, type Verdict, verdictText } from './demo/verdict.ts';
import { CliError, ExitCode } from './exit.ts';
import { isReady } from './http.ts';
import { inspect } from './inspect.ts';
import { durationFrom, jsonOption, type ServerUrl, wholeFrom, withServer } from './options.ts';
import { print, thousands, units } from './output.ts';
import { tokenKeyOption, tokenMaker } from './signing-key.ts';

interface DemoOptions {
  url: ServerUrl;
  tokenKey?: string;
  json: boolean;
  buyers: number;
  atOnce: number;
  units?: number;
  limit: number;
}

const SKUS = 5;
/** So many buyers for one unit, unless --units says otherwise. */
const BUYERS_PER_UNIT = 8;
const READY_WITHIN_MS = 1000;
const ANSWER_WITHIN_MS = 10_000;
/** Tokens are still good when the sale is over and its books are read. */
const SETTLE_MS = 600_000;

/** `holdfast demo`: a flash sale over real connections, checked against the server's own books. */
export function demoCommand(): Command {
  return withServer(new Command('demo'))
    .summary("Run a flash sale and check it against the server's books.")
    .description(
      'Run a flash sale: thousands of buyers on connections of their own fight for far fewer units. Some confirm, ' +
        'some release, some walk away so that their holds expire and are sold again. Ends when all is sold, and ' +
        "holds the buyers' receipts against the server's books. Exit code 1 when anything is off. A server with authentication takes " +
        'each buyer by a token of his own with --token-key; with --token all are one holder, whose rate is limited.',
    )
    .addOption(
      new Option('--buyers <number>', 'buyers who come (1 to 100000)')
        .default(4000)
        .argParser(wholeFrom(1, 100_000)),
    )
    .addOption(
      new Option('--at-once <number>', 'connections at once (1 to 10000)')
        .default(500)
        .argParser(wholeFrom(1, 10_000)),
    )
    .addOption(
      new Option(
        '--units <number>',
        `units of each of the ${SKUS} SKUs (1 to 100000; default: one for every ${BUYERS_PER_UNIT} buyers, spread over the SKUs)`,
      ).argParser(wholeFrom(1, 100_000)),
    )
    .addOption(
      new Option(
        '--limit <duration>',
        'the sale ends after this, sold out or not (1s to 1h; a bare number is ms)',
      )
        .default(50_000, '50s')
        .argParser(durationFrom(1000, 3_600_000)),
    )
    .addOption(tokenKeyOption())
    .addOption(jsonOption())
    .action((options: DemoOptions, command: Command) =>
      demo(options, command.getOptionValueSource('url') !== 'default'),
    );
}

async function demo(options: DemoOptions, urlGiven: boolean): Promise<void> {
  const { json, buyers } = options;
  // Ended by exit() rather than by the signal, so that a server of the demo's own goes too.
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  const own = await findServer(options, urlGiven);
  const { url, accessOf } = own === undefined ? await accessTo(options) : { url: own.url, accessOf: byName };
  const unitsPerSku = options.units ?? Math.max(1, Math.ceil(buyers / BUYERS_PER_UNIT / SKUS));
  if (!json) process.stdout.write(openingText(url, own !== undefined, buyers, unitsPerSku));

  const progress: Progress = json ? silentProgress : startProgress(process.stdout, unitsPerSku * SKUS);
  // Also on the way out of an interrupted demo: the bar hides the cursor.
  process.once('exit', () => progress.stop());
  const result = await runSale({
    url,
    accessOf,
    buyers,
    atOnce: options.atOnce,
    unitsPerSku,
    limitMs: options.limit,
    timeoutMs: ANSWER_WITHIN_MS,
    onProgress: (books, tally) => progress.show(books, tally),
  });
  progress.stop();
  const { violations } = await inspect({ url, timeout: ANSWER_WITHIN_MS });
  const verdict = judge(result, violations);
  const stopped = (await own?.stop()) ?? true;
  print(json, summary(options, url, own, result, verdict), verdictText(result, verdict, buyers));
  if (!stopped) {
    const message = "The demo's own server did not stop in good order.";
    throw new CliError(ExitCode.REFUSED, 'NO_ORDERLY_STOP', message);
  }
  if (!verdict.ok) process.exitCode = ExitCode.REFUSED;
}

/** How the demo and its buyers get in: each with a token of his own, all with one, or by name where nobody is asked for one. */
async function accessTo({
  url,
  tokenKey,
  limit,
}: DemoOptions): Promise<Pick<SaleOptions, 'url' | 'accessOf'>> {
  if (tokenKey === undefined) {
    const { token } = url;
    return { url, accessOf: token === undefined ? byName : () => ({ token }) };
  }
  const make = await tokenMaker(tokenKey, limit + SETTLE_MS);
  const token = await make('demo', ['admin']);
  return { url: { ...url, token }, accessOf: (buyer) => ({ token: () => make(buyer, ['hold']) }) };
}

function byName(holder: string): Access {
  return { holder };
}

function openingText(url: ServerUrl, own: boolean, buyers: number, unitsPerSku: number): string {
  const where = own
    ? `No server runs, so the demo started its own at ${url.http}.`
    : `Using the server at ${url.http}.`;
  const what = `${thousands(buyers)} buyers want ${SKUS} SKUs of ${units(unitsPerSku)} each. Holds last 1 to 2 s.`;
  return `${where}\n${what}\n\n`;
}

/** A server of the demo's own, unless one runs. One that was asked for by name is not replaced in silence. */
async function findServer({ url }: DemoOptions, urlGiven: boolean): Promise<OwnServer | undefined> {
  if (await isReady(url, READY_WITHIN_MS)) return undefined;
  if (!urlGiven) return startOwnServer();
  throw new CliError(
    ExitCode.NO_CONNECTION,
    'NO_CONNECTION',
    `No server is ready at ${url.http}. Start one there, or leave --url away: then the demo starts one of its own.`,
  );
}

function summary(
  { buyers }: DemoOptions,
  url: ServerUrl,
  own: OwnServer | undefined,
  result: SaleResult,
  verdict: Verdict,
): Record<string, unknown> {
  const { tally, books, stocked, durationMs } = result;
  const { receipts: _receipts, connected: _connected, ...counts } = tally;
  const { ok, sold, receipts, oversold, leaked, checks } = verdict;
  return {
    ok,
    url: url.http,
    ownServer: own !== undefined,
    buyers,
    seconds: Math.round(durationMs / 100) / 10,
    stocked,
    sold,
    receipts,
    oversold,
    leaked,
    counts,
    checks,
    skus: books,
  };
}
