import type { Command } from 'commander';
import { ExitCode } from './exit.ts';
import { requestJson } from './http.ts';
import { type ClientOptions, clientCommand } from './options.ts';
import { print, thousands } from './output.ts';

/** The sums over all segments that can be read, as GET /v1/inspect gives them. */
export interface Inspection {
  skus: number;
  openHolds: number;
  available: number;
  held: number;
  sold: number;
  total: number;
  keys: number;
  /** SKUs and tables for which the invariant does not hold. */
  violations: number;
  /** Segments out of service, whose books are not in the sums. */
  fenced: number;
}

/** `holdfast inspect`. */
export function inspectCommand(): Command {
  return clientCommand(
    'inspect',
    'Check available + held + sold = total for every SKU of the live server. Exit code 1 when it does not hold, or a segment is out of service.',
  ).action(async (options: ClientOptions) => {
    const inspection = await inspect(options);
    print(options.json, inspection, inspectionText(inspection));
    if (!holds(inspection)) process.exitCode = ExitCode.REFUSED;
  });
}

export function inspect(options: Pick<ClientOptions, 'url' | 'timeout'>): Promise<Inspection> {
  return requestJson<Inspection>(options.url, { path: '/v1/inspect', timeoutMs: options.timeout });
}

/** Whether the invariant holds in every segment, by the server's own check and by its sums. */
export function holds(inspection: Inspection): boolean {
  const { available, held, sold, total, violations, fenced } = inspection;
  return violations === 0 && fenced === 0 && available + held + sold === total;
}

function inspectionText(inspection: Inspection): string {
  const { skus, openHolds, available, held, sold, total, keys, violations, fenced } = inspection;
  const lines = [
    `${thousands(skus)} SKUs, ${thousands(openHolds)} open holds, ${thousands(keys)} idempotency keys`,
    `${thousands(available)} available + ${thousands(held)} held + ${thousands(sold)} sold = ${thousands(available + held + sold)}; total ${thousands(total)}`,
  ];
  if (fenced > 0) lines.push(`${thousands(fenced)} segments are fenced off and not in these sums`);
  lines.push(
    holds(inspection)
      ? 'the invariant holds'
      : violations === 0 && fenced > 0
        ? 'the invariant holds where it could be checked'
        : `THE INVARIANT IS VIOLATED: ${thousands(violations)} violations`,
  );
  return lines.join('\n');
}
