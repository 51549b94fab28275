import type { Command } from 'commander';
import { requestJson } from './http.ts';
import { type HolderOptions, holderCommand, holdIdArgument } from './options.ts';
import { print, units, whenText } from './output.ts';

interface HoldBooks {
  id: number;
  state: string;
  sku: string;
  /** Units held now. */
  quantity: number;
  sold: number;
  returned: number;
  /** Server time of the deadline, or of the end. */
  endsAt: number;
}

/** `holdfast show-hold`. */
export function showHoldCommand(): Command {
  return holderCommand('show-hold', 'Show the state of a hold.')
    .addArgument(holdIdArgument())
    .action(async (id: number, options: HolderOptions) => {
      const books = await requestJson<HoldBooks>(options.url, {
        path: `/v1/holds/${id}`,
        headers: options.url.token === undefined ? { 'x-holdfast-holder': options.holder } : {},
        timeoutMs: options.timeout,
      });
      print(options.json, books, holdText(books));
    });
}

function holdText({ id, state, sku, quantity, sold, returned, endsAt }: HoldBooks): string {
  const lines = [`hold ${id}: ${units(quantity)} of ${sku}, ${state.toLowerCase()}`];
  if (sold > 0 || returned > 0) lines.push(`${units(sold)} sold, ${units(returned)} returned`);
  lines.push(`${state.toLowerCase() === 'held' ? 'ends' : 'ended'} ${whenText(endsAt)}`);
  return lines.join('\n');
}
