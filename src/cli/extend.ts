import type { Command } from 'commander';
import { type HolderOptions, holderCommand, holdIdArgument, ttlOption } from './options.ts';
import { print, whenText } from './output.ts';
import { withClient } from './socket.ts';

interface ExtendOptions extends HolderOptions {
  ttl: number;
}

/** `holdfast extend`. */
export function extendCommand(): Command {
  return holderCommand('extend', "Move a hold's deadline. It never becomes an earlier one.")
    .addArgument(holdIdArgument())
    .addOption(ttlOption('new time to live, counted from now'))
    .action(async (id: number, options: ExtendOptions) => {
      const { expiresAt, serverExpiresAt } = await withClient(options, (client) =>
        client.extend(id, options.ttl),
      );
      print(
        options.json,
        { id, expiresAt: serverExpiresAt },
        `hold ${id} lasts until ${whenText(expiresAt)}`,
      );
    });
}
