import { once } from 'node:events';
import { Command, Option } from 'commander';
import { MAX_SEGMENTS } from '../../protocol/limits.ts';
import { type DumpBound, type DumpFilter, JournalDump } from '../storage/dump.ts';
import { closePair, openPair } from '../storage/offline.ts';
import { locate, type Point, PointError } from '../storage/offline-point.ts';
import type { OfflinePair } from '../storage/offline-store.ts';
import { StoreError } from '../storage/store.ts';
import { CliError, ExitCode } from './exit.ts';
import { eventJson, eventLine } from './journal-lines.ts';
import { wholeFrom } from './options.ts';
import { counted } from './output.ts';
import { parsePoint } from './recover-point.ts';
import { type StoreOptions, storeCommand, storeSettings } from './store-options.ts';

interface DumpOptions extends StoreOptions {
  from?: Point;
  to?: Point;
  sku?: string;
  segment?: number;
  hold?: number;
  limit?: number;
}

/** `holdfast journal dump`. */
export function journalCommand(): Command {
  return new Command('journal').description("Look into a store's journal.").addCommand(dumpCommand());
}

function dumpCommand(): Command {
  const point =
    '<segment>:<lsn> (the other segments by the time of that event), or a time (ISO 8601 with its zone, or ms)';
  return storeCommand(
    'dump',
    "Print the journal's events, oldest first.",
    "Print the journal's events, a line for each, in the order of the journal: of files as they were written, of Redis segment by segment. " +
      'Changes nothing, and may run beside a server: then it ends with what was written by now. With --json, a line of JSON for each event.',
    false,
  )
    .addOption(
      new Option('--from <point>', `the first event: ${point} (default: the first there is)`).argParser(
        parsePoint,
      ),
    )
    .addOption(
      new Option('--to <point>', `the last event: ${point} (default: the last there is)`).argParser(
        parsePoint,
      ),
    )
    .addOption(new Option('--sku <name>', 'only events of this SKU and of its holds (default: of all)'))
    .addOption(
      new Option(
        '--segment <number>',
        `only events of this segment, 0 to ${MAX_SEGMENTS - 1} (default: of all)`,
      ).argParser(wholeFrom(0, MAX_SEGMENTS - 1)),
    )
    .addOption(
      new Option('--hold <id>', 'only events of this hold (default: of all)').argParser(
        wholeFrom(1, Number.MAX_SAFE_INTEGER),
      ),
    )
    .addOption(
      new Option('--limit <number>', 'stop after so many events (default: none)').argParser(
        wholeFrom(1, Number.MAX_SAFE_INTEGER),
      ),
    )
    .action(dump);
}

async function dump(store: string | undefined, options: DumpOptions): Promise<void> {
  const settings = storeSettings(store, options);
  const pair = await openPair(settings.store, settings.snapshots, false);
  // Whoever reads has enough, as `head` does: that is no failure.
  const onError = (error: NodeJS.ErrnoException): void =>
    process.exit(error.code === 'EPIPE' ? ExitCode.OK : ExitCode.INTERNAL);
  process.stdout.on('error', onError);
  try {
    const events = new JournalDump(pair, await filterOf(pair, options));
    const all = await writeEvents(
      events,
      options.json ? eventJson : eventLine,
      options.limit ?? Number.POSITIVE_INFINITY,
    );
    if (events.unknown > 0) {
      process.stderr.write(
        `holdfast: left out ${counted(events.unknown, 'event')} of holds whose SKU is not known: neither journal nor snapshots go back to when they were placed.\n`,
      );
    }
    if (all) await sayWhyItEnds(pair, events);
  } finally {
    process.stdout.off('error', onError);
    await closePair(pair);
  }
}

async function filterOf(
  pair: OfflinePair,
  { from, to, sku, segment, hold }: DumpOptions,
): Promise<DumpFilter> {
  return {
    ...(from && { from: await boundOf(pair, from) }),
    ...(to && { to: await boundOf(pair, to) }),
    ...(sku !== undefined && { sku }),
    ...(segment !== undefined && { segment }),
    ...(hold !== undefined && { hold }),
  };
}

async function boundOf(pair: OfflinePair, point: Point): Promise<DumpBound> {
  if (point.kind === 'time') return { timeMs: point.timeMs };
  try {
    const { cut } = await locate(pair, point);
    return cut as DumpBound;
  } catch (error) {
    if (error instanceof PointError) throw new CliError(ExitCode.USAGE, 'POINT', error.message);
    throw error;
  }
}

/** Returns whether all events were written, and not only as many as are allowed. */
async function writeEvents(events: JournalDump, lineOf: typeof eventLine, limit: number): Promise<boolean> {
  let left = limit;
  for await (const some of events.events()) {
    const taken = some.slice(0, left);
    left -= taken.length;
    const text = taken.map((event) => `${lineOf(event)}\n`).join('');
    if (!process.stdout.write(text)) await once(process.stdout, 'drain');
    if (left === 0) return false;
  }
  return true;
}

/** The end may be where damage is. Beside a server that cannot be told. */
async function sayWhyItEnds({ journal }: OfflinePair, events: JournalDump): Promise<void> {
  if (events.problem !== undefined)
    throw new StoreError('CORRUPT', `${events.problem}. That is where this dump ends.`);
  const owner = await journal.owner();
  if (owner !== undefined) {
    process.stderr.write(
      `holdfast: ${journal.label} is in use by ${owner}; this is what was written by now.\n`,
    );
    return;
  }
  const { torn } = await journal.check();
  if (torn !== undefined) process.stderr.write(`holdfast: a start cuts off ${torn}\n`);
}
