import { Command, Option } from 'commander';
import { version } from '../base/version.ts';
import type { RunningServer } from '../runtime/server.ts';
import { loadSettings, SETTINGS, type Settings } from '../runtime/settings.ts';
import type { RecoverySummary } from '../runtime/start-up.ts';
import { CliError, ExitCode } from './exit.ts';
import { DEFAULT_URL } from './options.ts';
import { counted } from './output.ts';
import { restoreProgress } from './progress.ts';
import { configOption, settingOption } from './setting-options.ts';

interface ServeOptions extends Record<string, unknown> {
  config?: string;
  json: boolean;
}

/** A repeated signal this soon is the same request: a terminal and a wrapper such as npm both deliver it. */
const SAME_KEY_PRESS_MS = 300;

/** `holdfast serve`: runs until SIGTERM or SIGINT. */
export function serveCommand(): Command {
  const command = new Command('serve')
    .summary('Start a server.')
    .description(
      'Start a server. Settings come from flags, then HOLDFAST_… variables, then the config file, then defaults.',
    )
    .addOption(configOption())
    .addOption(
      new Option(
        '--json',
        'when ready, print one line of JSON (url, http, admin, port, fronts, workers, segments, ack, store, promise, recovery, pid)',
      ).default(false, 'off'),
    );
  for (const setting of SETTINGS) {
    command.addOption(settingOption(setting));
  }
  return command.action(serve);
}

async function serve(options: ServeOptions): Promise<void> {
  const { config, json, ...flags } = options;
  const settings = loadSettings({ flags, env: process.env, configPath: config });
  const stopRequested = nextSignal();
  const server = await start(settings, config, json);
  process.stdout.write(json ? `${readyJson(server)}\n` : readyText(server));
  const signal = await stopRequested;
  if (!json) process.stdout.write(`\n${signal}: finishing what is under way. Once more to stop at once.\n`);
  await server.stop();
}

/** Resolves with the first signal that asks to stop; a second one ends the process on the spot. */
function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    let firstAt = 0;
    let first = '';
    const onSignal = (signal: 'SIGINT' | 'SIGTERM', exitCode: number) => {
      const now = performance.now();
      if (firstAt === 0) {
        firstAt = now;
        first = signal;
        resolve(signal);
      } else if (signal !== first || now - firstAt > SAME_KEY_PRESS_MS) {
        process.exit(exitCode);
      }
    };
    process.on('SIGINT', () => onSignal('SIGINT', 130));
    process.on('SIGTERM', () => onSignal('SIGTERM', 143));
  });
}

async function start(
  settings: Settings,
  configPath: string | undefined,
  json: boolean,
): Promise<RunningServer> {
  // Loaded here so that the commands that only talk to a server do not load native code.
  const { OutOfMemoryError, startServer } = await import('../runtime/server.ts');
  // Lines are for a log, and so is what a program starts.
  const progress = restoreProgress(process.stderr, json);
  try {
    return await startServer(settings, { configPath, onProgress: (so) => progress.show(so) });
  } catch (error) {
    if (error instanceof OutOfMemoryError) throw new CliError(ExitCode.USAGE, 'MEMORY', error.message);
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE') throw error;
    throw new CliError(
      ExitCode.USAGE,
      'EADDRINUSE',
      `Port ${settings.port} of ${settings.host} cannot be had: another program listens there, or this user or ` +
        'machine may not use it. Stop that program, or take another port: --port 7071, or --port 0 for a free one.',
    );
  } finally {
    progress.stop();
  }
}

function readyJson(server: RunningServer): string {
  const { url, httpUrl, port, fronts, workers, segments, ack, store, snapshots, promise, recovery } = server;
  return JSON.stringify({
    url,
    http: httpUrl,
    admin: server.adminUrl ?? null,
    port,
    fronts,
    workers,
    segments,
    ack,
    store: store ?? null,
    snapshots: snapshots ?? null,
    promise,
    recovery: recovery ?? null,
    pid: process.pid,
  });
}

function readyText(server: RunningServer): string {
  const adminLine = server.adminUrl === undefined ? '' : `\n  Admin      ${server.adminUrl}`;
  const elsewhere = server.httpUrl === DEFAULT_URL ? '' : ` --url ${server.httpUrl}`;
  // Node strips no types inside node_modules, so a .ts file means a checkout, where npm scripts are at hand.
  // One token would make one holder of all buyers.
  const demoOptions = `${elsewhere}${server.authenticated ? ' --token-key signing-key.json' : ''}`;
  const demo = import.meta.filename.endsWith('.ts')
    ? `npm run demo${demoOptions === '' ? '' : ` --${demoOptions}`}`
    : `npx holdfast demo${demoOptions}`;
  const sizes = [
    counted(server.fronts, 'front'),
    counted(server.workers, 'worker'),
    counted(server.segments, 'segment'),
  ].join(', ');
  return `Holdfast ${version} is ready.

  WebSocket  ${server.url}
  HTTP       ${server.httpUrl}
  Runs       ${sizes}
  Ack        ${server.ack}: ${server.promise}
  Store      ${storeText(server)}
  Access     ${server.access}${adminLine}

Try next, in a second terminal${server.authenticated ? ', with what `holdfast token` prints in HOLDFAST_TOKEN, and the key that signs for the demo' : ''}:
  ${demo}
  curl -X PUT ${server.httpUrl}/v1/skus/sku-1 -d '{"total":100}'${server.authenticated ? ' -H "authorization: Bearer $HOLDFAST_TOKEN"' : ''}
  npx holdfast hold sku-1 2 --ttl 30s${elsewhere}

Ctrl-C stops it.
`;
}

/** Where the journal is, and what was found there. */
export function storeText({
  store,
  snapshots,
  recovery,
}: Pick<RunningServer, 'store' | 'recovery'> & Partial<Pick<RunningServer, 'snapshots'>>): string {
  if (store === undefined || recovery === undefined) return 'none: everything is gone when the process ends';
  const apart = snapshots === undefined ? '' : `, snapshots in ${snapshots}`;
  return [
    `${store}${apart}, ${restoredText(recovery)}`,
    ...recovery.remarks.map((remark) => `Note: ${remark}`),
  ].join(INDENT);
}

function restoredText({ fresh, fromSnapshots, events, tookMs }: RecoverySummary): string {
  if (fresh) return 'new';
  const parts = [
    ...(fromSnapshots === 0 ? [] : [counted(fromSnapshots, 'snapshot')]),
    ...(events === 0 ? [] : [counted(events, 'event')]),
  ];
  const seconds = (tookMs / 1000).toFixed(2);
  return parts.length === 0 ? 'nothing in it yet' : `restored from ${parts.join(' and ')} in ${seconds} s`;
}

/** Lines up with the values of the block. */
const INDENT = '\n             ';
