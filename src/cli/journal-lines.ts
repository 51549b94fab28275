import type { DumpedEvent } from '../storage/dump.ts';

/** An event as a line for people: what is not known is left out. */
export function eventLine(event: DumpedEvent): string {
  const { timeMs, segment, lsn, type } = event;
  const place = `${segment}:${lsn}`;
  return `${new Date(timeMs).toISOString()}  ${place.padEnd(12)}  ${type.padEnd(9)}  ${detailsOf(event).join('  ')}`;
}

/** The same as a line of JSON. */
export function eventJson(event: DumpedEvent): string {
  return JSON.stringify({ time: new Date(event.timeMs).toISOString(), ...event });
}

function detailsOf(event: DumpedEvent): string[] {
  const { quantity, ttlMs, holder, key, total, maxPerHold, maxPerHolder, maxTtlMs } = event;
  const limits: [string, number | undefined][] = [
    ['per hold', maxPerHold],
    ['per holder', maxPerHolder],
    ['ttl ms', maxTtlMs],
  ];
  return [
    skuText(event),
    ...(event.slot === undefined ? [] : [holdText(event)]),
    ...(total === undefined ? [] : [`total ${total}`]),
    ...limits.filter(([, limit]) => (limit ?? 0) > 0).map(([what, limit]) => `at most ${limit} ${what}`),
    ...(quantity === undefined ? [] : [`quantity ${quantity}`]),
    ...(ttlMs === undefined ? [] : [`ttl ${ttlMs} ms`]),
    ...(holder === undefined ? [] : [`holder ${holder}`]),
    ...(key === undefined ? [] : [`key ${key ? 'yes' : 'no'}`]),
  ];
}

function skuText({ sku, skuNumber }: DumpedEvent): string {
  if (sku !== undefined) return printable(sku);
  return skuNumber === undefined ? 'SKU not known' : `SKU number ${skuNumber}`;
}

function holdText({ hold, slot, generationLow }: DumpedEvent): string {
  return hold === undefined ? `hold in slot ${slot}, generation …${generationLow}` : `hold ${hold}`;
}

/** Names are anybody's bytes: what could move a cursor, or be taken for something else, is shown escaped. */
function printable(name: string): string {
  if (!/[\p{C}\p{Z}"\\]/u.test(name)) return name;
  return JSON.stringify(name).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, codeOf);
}

function codeOf(character: string): string {
  return `\\u{${(character.codePointAt(0) as number).toString(16)}}`;
}
