import type { SkuBooks } from './http.ts';

/** Writes the result to stdout: as one line of JSON, or as text for people. */
export function print(json: boolean, value: unknown, text: string): void {
  process.stdout.write(`${json ? JSON.stringify(value) : text}\n`);
}

const number = new Intl.NumberFormat('en');

/** A number with thousands separators. */
export function thousands(value: number): string {
  return number.format(value);
}

/** `1 unit`, `2 units`. */
export function units(count: number): string {
  return count === 1 ? '1 unit' : `${thousands(count)} units`;
}

/** `1 event`, `2 events`. */
export function counted(count: number, what: string): string {
  return `${thousands(count)} ${what}${count === 1 ? '' : 's'}`;
}

/** A time in ms since the epoch with its distance from now: `2026-01-31T12:00:30.000Z (in 29.9 s)`. */
export function whenText(timeMs: number, nowMs: number = Date.now()): string {
  const seconds = (timeMs - nowMs) / 1000;
  const distance = seconds >= 0 ? `in ${seconds.toFixed(1)} s` : `${(-seconds).toFixed(1)} s ago`;
  return `${new Date(timeMs).toISOString()} (${distance})`;
}

/** A SKU's books in a few lines. */
export function skuText(books: SkuBooks): string {
  const { sku, available, held, sold, total } = books;
  const lines = [
    `${sku}: ${thousands(available)} available, ${thousands(held)} held, ${thousands(sold)} sold, ${thousands(total)} in total`,
  ];
  const limits: string[] = [];
  if (books.maxPerHold > 0) limits.push(`${units(books.maxPerHold)} per hold`);
  if (books.maxPerHolder > 0) limits.push(`${units(books.maxPerHolder)} per holder`);
  if (books.maxTtlMs > 0) limits.push(`${thousands(books.maxTtlMs)} ms to live`);
  lines.push(`limits: ${limits.length === 0 ? 'none' : `at most ${limits.join(', ')}`}`);
  if (books.earliestEnd > 0) lines.push(`the earliest hold ends ${whenText(books.earliestEnd)}`);
  return lines.join('\n');
}
