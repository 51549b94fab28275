import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { CliError, ExitCode } from '../exit.ts';
import { parseServerUrl, type ServerUrl } from '../options.ts';

export interface OwnServer {
  readonly url: ServerUrl;
  /** Stops it in good order; resolves with whether it ended as it should. */
  stop(): Promise<boolean>;
}

const START_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 15_000;

/** Starts `holdfast serve` on a free port as a process of its own, so that buyers do not take its turns. */
export async function startOwnServer(): Promise<OwnServer> {
  // The sources are .ts and the built files .js: the entry lies one folder up with the extension of this file.
  const entry = join(import.meta.dirname, '..', `main${extname(import.meta.filename)}`);
  // What a demo sells must not get into the store of a real server that is started here.
  const nothingKept = ['--store', 'none', '--ack', 'memory'];
  const child = spawn(process.execPath, [entry, 'serve', '--port', '0', '--json', ...nothingKept], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group of its own: Ctrl-C is for the demo, which then stops its server.
    detached: true,
  });
  const killChild = () => {
    child.kill('SIGKILL');
  };
  process.once('exit', killChild);
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-4000);
  });
  const line = await firstLine(child);
  if (line === undefined) {
    killChild();
    throw new CliError(
      ExitCode.NO_CONNECTION,
      'NO_SERVER',
      `The demo's own server did not start.${complaint === '' ? '' : ` It said:\n${complaint.trimEnd()}`}`,
    );
  }
  return {
    url: parseServerUrl((JSON.parse(line) as { http: string }).http),
    stop: async () => {
      const ended =
        child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(killChild, STOP_WITHIN_MS);
      await ended;
      clearTimeout(timer);
      process.off('exit', killChild);
      return child.exitCode === 0;
    },
  };
}

/** The first line of stdout, or undefined when the process ends or takes too long before it. */
async function firstLine(child: ChildProcess): Promise<string | undefined> {
  const reader = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const timer = setTimeout(() => reader.close(), START_WITHIN_MS);
  try {
    for await (const line of reader) return line;
    return undefined;
  } finally {
    clearTimeout(timer);
    reader.close();
    // What it prints later is of no use, but a full pipe would stop it.
    child.stdout?.resume();
  }
}
