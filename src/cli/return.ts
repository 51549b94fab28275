import type { Command } from 'commander';
import { type HolderOptions, holderCommand, holdIdArgument, ofOption, quantityArgument } from './options.ts';
import { print, units } from './output.ts';
import { withClient } from './socket.ts';

interface ReturnOptions extends HolderOptions {
  of?: number;
}

/** `holdfast return`. */
export function returnCommand(): Command {
  return holderCommand('return', 'Take sold units back into stock.')
    .addArgument(holdIdArgument())
    .addArgument(quantityArgument('units to take back; all of them unless given'))
    .addOption(ofOption('sold'))
    .action(async (id: number, quantity: number | undefined, options: ReturnOptions) => {
      const sold = await withClient(options, (client) => client.returnStock(id, quantity, options.of));
      const text =
        sold === 0 ? `everything of hold ${id} is returned` : `hold ${id} has ${units(sold)} still sold`;
      print(options.json, { id, sold }, text);
    });
}
