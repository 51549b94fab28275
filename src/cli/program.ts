import { Command } from 'commander';
import { version } from '../base/version.ts';
import { confirmCommand } from './confirm.ts';
import { demoCommand } from './demo.ts';
import { EXIT_CODE_HELP } from './exit.ts';
import { extendCommand } from './extend.ts';
import { holdCommand } from './hold.ts';
import { inspectCommand } from './inspect.ts';
import { journalCommand } from './journal.ts';
import { recoverCommand } from './recover.ts';
import { releaseCommand } from './release.ts';
import { returnCommand } from './return.ts';
import { serveCommand } from './serve.ts';
import { showHoldCommand } from './show-hold.ts';
import { stockCommand } from './stock.ts';
import { stressCommand } from './stress.ts';
import { tokenCommand } from './token.ts';
import { verifyCommand } from './verify.ts';

/**
 * The whole command line, as `holdfast --help` shows it. Whatever cannot be used is thrown as a CommanderError;
 * with `quiet` nothing is written about it.
 */
export function program(quiet = false): Command {
  const root = new Command('holdfast')
    .description('Keeps stock through a flash sale: time-limited holds that never oversell.')
    .version(version)
    .addHelpText('afterAll', EXIT_CODE_HELP)
    .addCommand(serveCommand())
    .addCommand(demoCommand())
    .addCommand(stressCommand())
    .addCommand(stockCommand())
    .addCommand(holdCommand())
    .addCommand(confirmCommand())
    .addCommand(releaseCommand())
    .addCommand(extendCommand())
    .addCommand(returnCommand())
    .addCommand(showHoldCommand())
    .addCommand(inspectCommand())
    .addCommand(tokenCommand())
    .addCommand(verifyCommand())
    .addCommand(journalCommand())
    .addCommand(recoverCommand());
  for (const command of withSubcommands(root)) {
    command.exitOverride().showHelpAfterError('(--help shows how)');
    if (quiet) command.configureOutput({ writeErr: () => {} });
  }
  return root;
}

/** A command and all below it. */
export function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}
