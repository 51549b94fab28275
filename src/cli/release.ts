import type { Command } from 'commander';
import { type HolderOptions, holderCommand, holdIdArgument, ofOption, quantityArgument } from './options.ts';
import { print, units } from './output.ts';
import { withClient } from './socket.ts';

interface ReleaseOptions extends HolderOptions {
  of?: number;
}

/** `holdfast release`. */
export function releaseCommand(): Command {
  return holderCommand('release', 'Give held units back.')
    .addArgument(holdIdArgument())
    .addArgument(quantityArgument('units to give back; all of them unless given'))
    .addOption(ofOption('held'))
    .action(async (id: number, quantity: number | undefined, options: ReleaseOptions) => {
      const held = await withClient(options, (client) => client.release(id, quantity, options.of));
      const text = held === 0 ? `hold ${id} is released` : `hold ${id} has ${units(held)} left`;
      print(options.json, { id, held }, text);
    });
}
