import { ExitCode, reportFailure } from './exit.ts';
import { program } from './program.ts';

async function main(argv: readonly string[]): Promise<number> {
  const json = argv.includes('--json');
  try {
    await program(json).parseAsync(argv);
    return Number(process.exitCode ?? ExitCode.OK);
  } catch (error) {
    return reportFailure(error, json);
  }
}

// A process that has its answer ends, whatever timers or sockets are still about.
process.exit(await main(process.argv));
