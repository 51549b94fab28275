import { type Command, InvalidArgumentError, Option } from 'commander';
import { tablesOf } from '../runtime/setting-table.ts';
import { closePair, openPair } from '../storage/offline.ts';
import { type Point, PointError } from '../storage/offline-point.ts';
import { type RecoveredStore, recoverStore } from '../storage/offline-recover.ts';
import type { OfflinePair } from '../storage/offline-store.ts';
import { CliError, ExitCode } from './exit.ts';
import { counted, print, thousands } from './output.ts';
import { restoreProgress, withProgress } from './progress.ts';
import { parsePointOrEnd } from './recover-point.ts';
import { type StoreOptions, storeCommand, storeSettings } from './store-options.ts';

interface RecoverCliOptions extends StoreOptions {
  to: Point;
  into: string;
}

/** `holdfast recover`. */
export function recoverCommand(): Command {
  return storeCommand(
    'recover',
    'Restore a store, as it was at a point, into a new directory.',
    'Restore a store, as it was at a point, into a new directory. The store itself is only read, and may be damaged behind the point; no ' +
      'server may have it. The new store has a snapshot of each segment and an empty journal, and appears whole or not at all. It has an ' +
      'id of its own: snapshots kept apart belong to the old one, so name new ones. A store of snapshots only will do as well.',
    true,
  )
    .addOption(
      new Option(
        '--to <point>',
        'how far: <segment>:<lsn> (the other segments to the time of that event), a time (ISO 8601 with its zone, or ms), or end',
      )
        .argParser(parsePointOrEnd)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--into <address>', 'the new store: file:<directory>, which is empty or not there')
        .argParser(parseTarget)
        .makeOptionMandatory(),
    )
    .action(recover);
}

function parseTarget(text: string): string {
  if (/^file:./.test(text)) return text;
  throw new InvalidArgumentError(
    'It must be file:<directory>; a server moves it elsewhere with --snapshots.',
  );
}

async function recover(store: string | undefined, options: RecoverCliOptions): Promise<void> {
  const settings = storeSettings(store, options);
  const { to: point, into, json } = options;
  const pair = await openPair(settings.store, settings.snapshots, true);
  try {
    const { segments } = pair.journal.identity;
    const recovered = await withProgress(restoreProgress(process.stderr, json), segments, (progress) =>
      recoverStore(pair, { tables: tablesOf(settings), point, into, progress }),
    );
    print(json, toJson(pair, into, recovered), toText(pair, into, recovered));
  } catch (error) {
    if (error instanceof PointError) throw new CliError(ExitCode.USAGE, 'POINT', error.message);
    throw error;
  } finally {
    await closePair(pair);
  }
}

function toJson(pair: OfflinePair, into: string, { segments, cut }: RecoveredStore): unknown {
  return {
    store: pair.journal.label,
    into,
    to: cut === undefined ? 'end' : { ...cut },
    segments: segments.map(({ segment, lsn, timeMs, snapshotLsn, events, damaged }) => ({
      segment,
      lsn,
      timeMs,
      snapshotLsn,
      events,
      damaged,
    })),
  };
}

function toText(pair: OfflinePair, into: string, { segments, cut }: RecoveredStore): string {
  const used = segments.filter(({ lsn }) => lsn > 0);
  const to = cut === undefined ? 'the end' : new Date(cut.timeMs).toISOString();
  const at = cut?.lsn === undefined ? '' : `, segment ${cut.segment} to LSN ${thousands(cut.lsn)}`;
  const lines = [
    `${pair.journal.label} restored to ${to}${at} into ${into}`,
    ...used.map(
      ({ segment, lsn, timeMs, snapshotLsn, events }) =>
        `segment ${segment}: LSN ${thousands(lsn)} of ${new Date(timeMs).toISOString()}, from ${snapshotLsn === 0 ? 'no snapshot' : `the snapshot at LSN ${thousands(snapshotLsn)}`} and ${counted(events, 'event')}`,
    ),
    ...(used.length < segments.length
      ? [`${counted(segments.length - used.length, 'segment')} had nothing in it by then`]
      : []),
    ...segments.flatMap(({ damaged }) => damaged).map((message) => `Note: passed over ${message}`),
    'the invariant holds',
    `Go on from there: holdfast serve --store ${into}`,
  ];
  return lines.join('\n');
}
