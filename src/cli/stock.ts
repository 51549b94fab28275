import { Argument, Command, Option } from 'commander';
import { MAX_QUANTITY, MAX_TTL_MS } from '../../protocol/limits.ts';
import { readSku, requestJson, type SkuBooks } from './http.ts';
import { type ClientOptions, clientCommand, durationFrom, wholeFrom } from './options.ts';
import { print, skuText } from './output.ts';

interface CreateOptions extends ClientOptions {
  total: number;
  maxPerHold?: number;
  maxPerHolder?: number;
  maxTtl?: number;
}

/** `holdfast stock create | restock | show`. */
export function stockCommand(): Command {
  return new Command('stock')
    .description('Set up and look at the stock of a SKU.')
    .addCommand(createCommand())
    .addCommand(restockCommand())
    .addCommand(showCommand());
}

function createCommand(): Command {
  return clientCommand('create', "Create a SKU, or set an existing one's total and limits.")
    .addArgument(skuArgument())
    .addOption(
      new Option('--total <units>', `all units there are, held and sold ones included (0 to ${MAX_QUANTITY})`)
        .argParser(wholeFrom(0, MAX_QUANTITY))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option(
        '--max-per-hold <units>',
        'most units of one hold; 0 for no limit (default: as it is)',
      ).argParser(wholeFrom(0, MAX_QUANTITY)),
    )
    .addOption(
      new Option(
        '--max-per-holder <units>',
        'most units that one holder holds and has bought; 0 for no limit (default: as it is)',
      ).argParser(wholeFrom(0, MAX_QUANTITY)),
    )
    .addOption(
      new Option(
        '--max-ttl <duration>',
        'longest time to live of a hold, such as 10m; a bare number is ms; 0 for no limit (default: as it is)',
      ).argParser(durationFrom(0, MAX_TTL_MS)),
    )
    .action(async (sku: string, options: CreateOptions) => {
      const { total, maxPerHold, maxPerHolder, maxTtl } = options;
      const body = { total, maxPerHold, maxPerHolder, maxTtlMs: maxTtl };
      const path = skuPath(sku);
      await requestJson(options.url, { method: 'PUT', path, body, timeoutMs: options.timeout });
      await show(sku, options);
    });
}

function restockCommand(): Command {
  return clientCommand('restock', 'Add units to a SKU, or take available ones away.')
    .addArgument(skuArgument())
    .addArgument(
      new Argument('<delta>', `change of the total in units (-${MAX_QUANTITY} to ${MAX_QUANTITY})`).argParser(
        wholeFrom(-MAX_QUANTITY, MAX_QUANTITY),
      ),
    )
    .action(async (sku: string, delta: number, options: ClientOptions) => {
      const path = `${skuPath(sku)}/restock`;
      await requestJson(options.url, { method: 'POST', path, body: { delta }, timeoutMs: options.timeout });
      await show(sku, options);
    });
}

function showCommand(): Command {
  return clientCommand('show', "Show a SKU's books: available, held and sold units, its limits.")
    .addArgument(skuArgument())
    .action(show);
}

async function show(sku: string, options: ClientOptions): Promise<void> {
  const books: SkuBooks = await readSku(options.url, sku, options.timeout);
  print(options.json, books, skuText(books));
}

function skuArgument(): Argument {
  return new Argument('<sku>', 'name of the SKU, 1 to 64 bytes');
}

function skuPath(sku: string): string {
  return `/v1/skus/${encodeURIComponent(sku)}`;
}
