import { spawn } from 'node:child_process';

/** As much of a command's output as an error message shows at most. */
const KEPT_CHARACTERS = 20_000;
const TERMINAL_INTERVAL_MS = 1_000;
const LOG_INTERVAL_MS = 10_000;

/**
 * Runs a command that takes a while: says what it is for, shows that it still works (a line that renews
 * itself on a terminal, a line every ten seconds in a log), and keeps its output to itself unless it fails.
 * `progress` may add a word about how far things are. Throws an Error with the output's end on failure.
 */
export async function runVisibly(
  title,
  command,
  args,
  { env = process.env, cwd = process.cwd(), progress = () => '' } = {},
) {
  const startedAt = Date.now();
  const terminal = process.stdout.isTTY;
  const line = () => `  ${seconds(startedAt)}${progress()}`;

  console.log(title);
  const child = spawn(command, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (chunk) => {
    output = (output + chunk).slice(-KEPT_CHARACTERS);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);

  // Who started us may be stopped by a signal that it does not pass on. Then nobody waits for this.
  const parent = process.ppid;
  const timer = setInterval(
    () => {
      if (process.ppid !== parent) child.kill('SIGTERM');
      if (terminal) process.stdout.write(`\r\x1b[K${line()}`);
      else console.log(line());
    },
    terminal ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS,
  );

  const problem = await new Promise((resolve) => {
    const call = [command, ...args].join(' ');
    child.on('error', (error) => resolve(`${call} could not be started: ${error.message}`));
    child.on('close', (code, signal) =>
      resolve(code === 0 ? undefined : `${call} ended with ${signal ?? `code ${code}`}`),
    );
  });
  clearInterval(timer);
  if (terminal) process.stdout.write('\r\x1b[K');
  if (problem !== undefined) throw new Error(`${output.trimEnd()}\n${problem}`.trimStart());
  console.log(`  done in ${seconds(startedAt)}${progress()}`);
}

function seconds(startedAt) {
  return `${Math.round((Date.now() - startedAt) / 1_000)} s`;
}
