import { Argument, type Command, Option } from 'commander';
import {
  ANONYMOUS,
  DEFAULT_URL,
  type HolderOptions,
  holderCommand,
  quantityArgument,
  ttlOption,
} from './options.ts';
import { print, units, whenText } from './output.ts';
import { withClient } from './socket.ts';

interface HoldOptions extends HolderOptions {
  ttl: number;
  key?: string;
}

/** `holdfast hold`. */
export function holdCommand(): Command {
  return holderCommand('hold', 'Set units of a SKU aside until a deadline.')
    .addArgument(new Argument('<sku>', 'name of the SKU, 1 to 64 bytes'))
    .addArgument(quantityArgument('units to hold').default(1))
    .addOption(ttlOption('how long the units are held'))
    .addOption(
      new Option(
        '--key <text>',
        'idempotency key, 1 to 64 bytes: the same command with the same key holds once (default: a random one)',
      ),
    )
    .action(hold);
}

async function hold(sku: string, quantity: number, options: HoldOptions): Promise<void> {
  const { ttl, key, json, url } = options;
  await withClient(options, async (client) => {
    const placed = await client.hold({ sku, quantity, ttl, ...(key === undefined ? {} : { key }) });
    const { id, expiresAt, serverExpiresAt } = placed;
    const holder = client.holder ?? options.holder;
    const named = client.holder === undefined && holder !== ANONYMOUS;
    const same = `${named ? ` --holder ${holder}` : ''}${url.http === DEFAULT_URL ? '' : ` --url ${url.http}`}`;
    print(
      json,
      { id, sku, quantity, holder, expiresAt: serverExpiresAt },
      `hold ${id}: ${units(quantity)} of ${sku} until ${whenText(expiresAt)}\n` +
        `next: holdfast confirm ${id}${same}, or release, extend, show-hold`,
    );
  });
}
