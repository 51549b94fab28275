/** Runs what a command does. What it throws is said in one line, and the exit code is 1. */
export async function runMain(run: () => Promise<void>): Promise<void> {
  // A signal ends the process by way of exit, so that the servers that were started end too.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
  try {
    await run();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
