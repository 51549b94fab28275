export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

export function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Columns of equal width; the first and the last are aligned to the left, the figures between them to the right. */
export function table(rows: readonly string[][]): string[] {
  const columns = rows[0].length;
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const place = (cell: string, column: number) =>
    column === 0 || column === columns - 1 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]);
  return rows.map((row) => row.map(place).join('  ').trimEnd());
}
