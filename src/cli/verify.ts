import type { Command } from 'commander';
import { type Settings, tablesOf } from '../runtime/setting-table.ts';
import { closePair, openPair } from '../storage/offline.ts';
import type { OfflinePair } from '../storage/offline-store.ts';
import { type Verification, verifyStore } from '../storage/offline-verify.ts';
import { StoreError } from '../storage/store.ts';
import { ExitCode } from './exit.ts';
import { counted, print, thousands } from './output.ts';
import { restoreProgress, withProgress } from './progress.ts';
import { type StoreOptions, storeCommand, storeSettings } from './store-options.ts';

/** `holdfast verify`. */
export function verifyCommand(): Command {
  return storeCommand(
    'verify',
    'Check a store that no server has: journal, snapshots, books.',
    'Check a store that no server has, and change nothing in it: walks the whole journal, decodes every snapshot, restores every segment ' +
      'from its newest snapshot and from the one before it, and checks that both lead to the same books and that the invariant holds. ' +
      'A store that a server has is refused, since what is written meanwhile would look like damage. ' +
      'Exit code 0 when all is well, 1 when something is damaged, 2 when there is no store.',
    true,
  ).action(verify);
}

async function verify(store: string | undefined, options: StoreOptions): Promise<void> {
  const settings = storeSettings(store, options);
  try {
    const pair = await openPair(settings.store, settings.snapshots, true);
    try {
      const verification = await verifyPair(pair, settings, options.json);
      print(options.json, toJson(pair, verification), toText(pair, verification));
      if (verification.findings.length > 0) process.exitCode = ExitCode.REFUSED;
    } finally {
      await closePair(pair);
    }
  } catch (error) {
    // Damage by which a store is not even known is still what was looked for.
    if (!(error instanceof StoreError && error.code === 'CORRUPT')) throw error;
    print(
      options.json,
      { good: false, findings: [{ message: error.message }] },
      `DAMAGED: ${error.message}\n1 finding`,
    );
    process.exitCode = ExitCode.REFUSED;
  }
}

function verifyPair(pair: OfflinePair, settings: Settings, json: boolean): Promise<Verification> {
  // Each segment is restored from its newest snapshot, and from the one before it.
  const restored = 2 * pair.journal.identity.segments;
  return withProgress(restoreProgress(process.stderr, json), restored, (progress) =>
    verifyStore(pair, { tables: tablesOf(settings), progress }),
  );
}

function toJson(
  pair: OfflinePair,
  { check, survey, segments, books, remarks, findings }: Verification,
): unknown {
  return {
    good: findings.length === 0,
    store: pair.journal.label,
    snapshots: pair.snapshots.label,
    id: pair.journal.identity.id,
    journal: {
      files: check?.files ?? null,
      bytes: check?.bytes ?? null,
      events: survey.events,
      firstMs: survey.firstMs,
      lastMs: survey.lastMs,
      torn: check?.torn ?? null,
    },
    books,
    segments: segments.map(({ segment, lsn, timeMs, snapshots, journal }) => ({
      segment,
      lsn: lsn ?? null,
      timeMs: timeMs ?? null,
      snapshots,
      journal: { events: journal.events, firstLsn: journal.firstLsn, lastLsn: journal.lastLsn },
    })),
    remarks,
    findings,
  };
}

function toText(pair: OfflinePair, verification: Verification): string {
  const { check, segments, books, remarks, findings } = verification;
  const { journal, snapshots } = pair;
  const elsewhere = snapshots === journal ? '' : ` in ${snapshots.label}`;
  const all = segments.flatMap((segment) => segment.snapshots);
  const good = all.filter((snapshot) => snapshot.good);
  const bytes = all.reduce((sum, snapshot) => sum + snapshot.bytes, 0);
  const lines = [
    `${journal.label}: store ${journal.identity.id}, ${counted(segments.length, 'segment')}`,
    `journal: ${journalText(verification)}`,
    `snapshots: ${counted(all.length, 'snapshot')} of ${counted(segments.filter((one) => one.snapshots.length > 0).length, 'segment')}${elsewhere}, ${thousands(bytes)} bytes, ${thousands(good.length)} good`,
    `books: ${counted(books.skus, 'SKU')}, ${counted(books.openHolds, 'open hold')}; ${thousands(books.available)} available + ${thousands(books.held)} held + ${thousands(books.sold)} sold = ${thousands(books.total)}`,
    ...(check?.torn === undefined ? [] : [`A start cuts off: ${check.torn}`]),
    ...remarks.map((remark) => `Note: ${remark}`),
    ...findings.map((finding) => `DAMAGED: ${finding.message}`),
    findings.length === 0 ? 'the store is good' : `${counted(findings.length, 'finding')}`,
  ];
  return lines.join('\n');
}

function journalText({ check, survey, segments }: Verification): string {
  const files = check?.files === undefined ? '' : `${counted(check.files, 'file')}, `;
  const bytes = check === undefined ? 'damaged, ' : `${thousands(check.bytes)} bytes, `;
  if (survey.events === 0) return `${files}${bytes}no events`;
  const lsns = segments.filter(({ journal }) => journal.events > 0).map(({ journal }) => journal);
  const range = `LSN ${thousands(Math.min(...lsns.map(({ firstLsn }) => firstLsn)))} to ${thousands(Math.max(...lsns.map(({ lastLsn }) => lastLsn)))}`;
  const times = `${new Date(survey.firstMs).toISOString()} to ${new Date(survey.lastMs).toISOString()}`;
  return `${files}${bytes}${counted(survey.events, 'event')}, ${range}, ${times}`;
}
