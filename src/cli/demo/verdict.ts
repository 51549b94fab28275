import type { SkuBooks } from '../http.ts';
import { thousands } from '../output.ts';
import type { SaleResult } from './sale.ts';

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What was found, in words. */
  readonly found: string;
}

export interface Verdict {
  readonly ok: boolean;
  readonly sold: number;
  readonly receipts: number;
  readonly oversold: number;
  readonly leaked: number;
  readonly checks: readonly Check[];
}

/**
 * Holds the buyers' receipts against the server's books.
 *
 * Oversold: units for which there is a receipt or a sale but no stock. Leaked: units that are neither sold nor for
 * sale after every hold must have ended.
 */
export function judge(result: SaleResult, violations: number): Verdict {
  const { tally, books, stocked } = result;
  const sold = sum(books, ({ sold }) => sold);
  const available = sum(books, ({ available }) => available);
  const receipts = tally.units();
  const oversold = sum(books, (book) =>
    Math.max(0, book.sold - perSku(result), tally.units(book.sku) - perSku(result)),
  );
  const leaked = sum(books, (book) => Math.abs(perSku(result) - book.available - book.sold));
  const doubles =
    receipts === 0 ? 0 : tally.receipts.length - new Set(tally.receipts.map((r) => r.holdId)).size;
  const wrongSkus = books.filter((book) => tally.units(book.sku) !== book.sold).length;
  const checks = [
    check(
      'sold = stocked',
      sold === stocked && available === 0,
      `${thousands(sold)} of ${thousands(stocked)}`,
    ),
    check('oversold', oversold === 0, thousands(oversold)),
    check('leaked', leaked === 0, thousands(leaked)),
    check(
      "buyers' receipts = server's sold",
      wrongSkus === 0 && doubles === 0,
      `${thousands(receipts)} = ${thousands(sold)}${wrongSkus > 0 ? `, ${wrongSkus} SKUs differ` : ''}${doubles > 0 ? `, ${doubles} holds sold twice` : ''}`,
    ),
    check(
      'available + held + sold = total, read during the sale',
      result.unbalanced === 0,
      `${thousands(result.unbalanced)} of ${thousands(result.readings)} readings off`,
    ),
    check('sold past the deadline', tally.soldPastDeadline === 0, thousands(tally.soldPastDeadline)),
    check('violations found by inspect', violations === 0, thousands(violations)),
    check(
      'buyers who met an error',
      tally.failures === 0,
      tally.failures === 0 ? '0' : `${thousands(tally.failures)}, the first: ${tally.firstFailure}`,
    ),
  ];
  return { ok: checks.every(({ ok }) => ok), sold, receipts, oversold, leaked, checks };
}

/** The summary for people. */
export function verdictText(result: SaleResult, verdict: Verdict, buyers: number): string {
  const { tally, books, durationMs } = result;
  const seconds = durationMs / 1000;
  const rows = books.map((book) => [
    book.sku,
    ...[perSku(result), book.sold, tally.units(book.sku), book.held, book.available].map(thousands),
  ]);
  const again = tally.visits > buyers ? `, who came ${thousands(tally.visits)} times` : '';
  return [
    '',
    `${thousands(buyers)} buyers${again}, up to ${thousands(tally.mostConnected)} connected at once, ${seconds.toFixed(1)} s`,
    `holds: ${thousands(tally.placed)} placed = ${thousands(tally.confirmed)} confirmed (${thousands(tally.confirmedInPart)} in part) + ` +
      `${thousands(tally.released)} released + ${thousands(tally.walkedAway)} walked away from + ${thousands(tally.tooLate)} paid too late`,
    `expired and sold again: ${thousands(tally.unitsWalkedAway)} units; told that all is held ${thousands(tally.heldOut)} times, sold out ${thousands(tally.soldOut)} times`,
    '',
    ...table([['', 'stocked', 'sold', 'receipts', 'held', 'available'], ...rows]),
    '',
    ...verdict.checks.map(({ name, ok, found }) => `${ok ? '✔' : '✘'} ${name}: ${found}`),
    '',
    verdict.ok ? 'Every unit was sold once.' : 'SOMETHING IS OFF, see ✘ above.',
  ].join('\n');
}

function perSku({ stocked, books }: SaleResult): number {
  return stocked / books.length;
}

function check(name: string, ok: boolean, found: string): Check {
  return { name, ok, found };
}

function sum(books: readonly SkuBooks[], value: (book: SkuBooks) => number): number {
  return books.reduce((total, book) => total + value(book), 0);
}

/** Columns of equal width: the first flush left, numbers flush right. */
function table(rows: readonly string[][]): string[] {
  const widths = (rows[0] as string[]).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('   '),
  );
}
