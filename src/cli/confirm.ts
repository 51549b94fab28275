import type { Command } from 'commander';
import { type HolderOptions, holderCommand, holdIdArgument, quantityArgument } from './options.ts';
import { print, units } from './output.ts';
import { withClient } from './socket.ts';

/** `holdfast confirm`. */
export function confirmCommand(): Command {
  return holderCommand('confirm', 'Sell what is held. Repeating it is safe.')
    .addArgument(holdIdArgument())
    .addArgument(quantityArgument('units to sell, the rest goes back; all of them unless given'))
    .action(async (id: number, quantity: number | undefined, options: HolderOptions) => {
      const sold = await withClient(options, (client) => client.confirm(id, quantity));
      print(options.json, { id, sold }, `hold ${id} is confirmed: ${units(sold)} sold`);
    });
}
