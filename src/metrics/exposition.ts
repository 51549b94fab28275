import { type Family, sampleName } from './families.ts';

/** Prometheus' text format 0.0.4, or OpenMetrics 1.0, which says units and ends with a mark. */
export type Format = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/**
 * Text that Prometheus reads, written family by family. See "Exposition formats" in Prometheus' documentation and the OpenMetrics
 * specification, version 1.0.
 */
export class Exposition {
  private readonly format: Format;
  private text = '';
  private current: Family | undefined;
  private readonly told = new Set<string>();

  constructor(format: Format) {
    this.format = format;
  }

  /** One sample of a counter, a gauge or an info. @param labels values, in the order of the family's labels */
  add(family: Family, labels: readonly (string | number)[], value: number): void {
    this.begin(family);
    this.text += `${sampleName(family)}${braced(pairsOf(family, labels))} ${numeral(value)}\n`;
  }

  /**
   * One histogram. @param upper upper edge of each bucket but the last, ascending; @param counts of each bucket alone, one more than
   * there are edges
   */
  histogram(
    family: Family,
    labels: readonly (string | number)[],
    data: { readonly upper: readonly number[]; readonly counts: readonly number[]; readonly sum: number },
  ): void {
    this.begin(family);
    const pairs = pairsOf(family, labels);
    const head = `${family.name}_bucket{${pairs}${pairs === '' ? '' : ','}le="`;
    let count = 0;
    for (let bucket = 0; bucket < data.counts.length; bucket++) {
      count += data.counts[bucket] as number;
      this.text += `${head}${edge(data.upper[bucket])}"} ${numeral(count)}\n`;
    }
    this.text += `${family.name}_sum${braced(pairs)} ${numeral(data.sum)}\n`;
    this.text += `${family.name}_count${braced(pairs)} ${numeral(count)}\n`;
  }

  /** Everything, with the mark at its end where the format has one. */
  end(): string {
    return this.format === 'openmetrics' ? `${this.text}# EOF\n` : this.text;
  }

  /** Samples of one family stand together, below one head. */
  private begin(family: Family): void {
    if (this.current === family) return;
    if (this.told.has(family.name)) throw new Error(`samples of ${family.name} are not together`);
    this.told.add(family.name);
    this.current = family;
    const open = this.format === 'openmetrics';
    // OpenMetrics names the family, Prometheus its samples, and knows no infos.
    const name = open || family.type === 'histogram' ? family.name : sampleName(family);
    this.text += `# HELP ${name} ${open ? escapedLabel(family.help) : escapedHelp(family.help)}\n`;
    this.text += `# TYPE ${name} ${!open && family.type === 'info' ? 'gauge' : family.type}\n`;
    if (open && family.unit !== '') this.text += `# UNIT ${name} ${family.unit}\n`;
  }
}

/** The format that an Accept header asks for: OpenMetrics where it is named and liked no less than text, and else Prometheus'. */
export function formatFor(accept: string): Format {
  let open = 0;
  let plain = 0;
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const weight = Number(parameters.find((one) => one.startsWith('q='))?.slice(2) ?? 1);
    const version = parameters.find((one) => one.startsWith('version='))?.slice(8) ?? '1.0.0';
    if (type === 'application/openmetrics-text' && version.startsWith('1.')) open = Math.max(open, weight);
    if (type === 'text/plain') plain = Math.max(plain, weight);
  }
  return open > 0 && open >= plain ? 'openmetrics' : 'prometheus';
}

function pairsOf(family: Family, values: readonly (string | number)[]): string {
  if (values.length !== family.labels.length)
    throw new Error(`${family.name} has ${family.labels.length} labels, not ${values.length}`);
  return family.labels.map((name, i) => `${name}="${escapedLabel(String(values[i]))}"`).join(',');
}

function braced(pairs: string): string {
  return pairs === '' ? '' : `{${pairs}}`;
}

function escapedHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapedLabel(text: string): string {
  return /[\\\n"]/.test(text) ? escapedHelp(text).replaceAll('"', '\\"') : text;
}

function numeral(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

/** An edge as OpenMetrics wants it: always with a point. */
function edge(value: number | undefined): string {
  if (value === undefined) return '+Inf';
  return Number.isInteger(value) ? `${value}.0` : String(value);
}
