/** Durations and sizes as people write them: `500ms`, `30s`, `10m`, `2h`, `1d`; `64KiB`, `4MiB`, `1GiB`. */
const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const SIZE_BYTES: Readonly<Record<string, number>> = { b: 1, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30 };

/** Milliseconds of a duration, a bare number being milliseconds already; undefined when it is no duration. */
export function parseDuration(text: string): number | undefined {
  return parse(text, DURATION_MS);
}

/** Bytes of a size, a bare number being bytes already; undefined when it is no size. */
export function parseSize(text: string): number | undefined {
  return parse(text, SIZE_BYTES);
}

/** The shortest exact spelling of a duration in ms, such as `10m`. */
export function formatDuration(ms: number): string {
  return format(ms, DURATION_MS, (unit) => unit);
}

/** The shortest exact spelling of a size in bytes, such as `4MiB`. */
export function formatSize(bytes: number): string {
  return format(bytes, SIZE_BYTES, (unit) => unit.toUpperCase().replace('I', 'i'));
}

function parse(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  if (match === null) return undefined;
  const name = (match[2] as string).toLowerCase();
  const factor = name === '' ? 1 : units[name];
  if (factor === undefined) return undefined;
  // 1.005s is 1005 ms, although 1.005 * 1000 is a little less in floating point.
  const value = Number((Number(match[1]) * factor).toFixed(6));
  return Number.isSafeInteger(value) ? value : undefined;
}

function format(
  value: number,
  units: Readonly<Record<string, number>>,
  spell: (unit: string) => string,
): string {
  let text = '0';
  for (const [unit, factor] of Object.entries(units)) {
    if (value !== 0 && value % factor === 0) text = `${value / factor}${spell(unit)}`;
  }
  return text;
}
