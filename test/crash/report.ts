import type { CrashReport } from './run.ts';
import { INVARIANTS } from './tally.ts';

/** Violations that are told in full. */
const MOST_TOLD = 5;

/** The report as one plain object. */
export function toJson(report: CrashReport): unknown {
  const { tally, recoveriesMs, restarts, tookMs, faults, missed, dataKept, seed, rounds, store, ack, flaw } =
    report;
  return {
    seed,
    kills: rounds,
    store,
    ack,
    ...(flaw !== undefined && { flaw }),
    seconds: Math.round(tookMs / 100) / 10,
    faultsFired: sum(faults),
    faults,
    missed,
    restarts,
    recoveryMs: { median: quantile(recoveriesMs, 0.5), max: quantile(recoveriesMs, 1) },
    commands: tally.commands,
    holdsAcknowledged: tally.holds,
    confirmsAcknowledged: tally.confirmed,
    unknown: {
      commands: tally.unknown,
      happened: tally.happened,
      notHappened: tally.notHappened,
      undecided: tally.undecided,
    },
    audits: tally.audits,
    holdsRead: tally.holdsAudited,
    keysSentAgain: tally.keysSentAgain,
    violations: tally.violated,
    violationsByInvariant: tally.byInvariant,
    firstViolations: tally.violations.slice(0, MOST_TOLD),
    ...(dataKept !== undefined && { dataKept }),
  };
}

/** One line while a run goes on. */
export function progressLine(done: number, rounds: number, { tally, faults, tookMs }: CrashReport): string {
  const rest = `${sum(faults)} faults, ${tally.holds} holds, ${tally.unknown} unknown outcomes, ${tally.violated} violations`;
  return `${done} of ${rounds} rounds in ${Math.round(tookMs / 1000)} s: ${rest}`;
}

/** The report for people. */
export function toText(report: CrashReport): string {
  const { tally, recoveriesMs } = report;
  const lines = [
    `Seed ${report.seed}, ${report.rounds} rounds, store ${report.store}, ack ${report.ack}${report.flaw === undefined ? '' : `, flaw ${report.flaw}`}: ${(report.tookMs / 1000).toFixed(1)} s`,
    '',
    `${sum(report.faults)} faults struck:`,
    ...table(report.faults),
    ...(sum(report.missed) > 0 ? ['planned, and did not come to pass:', ...table(report.missed)] : []),
    '',
    `${report.restarts} starts after them, ready after ${quantile(recoveriesMs, 0.5)} ms in the median, ${quantile(recoveriesMs, 1)} ms at most`,
    `${tally.commands} commands, ${tally.holds} holds acknowledged, ${tally.confirmed} confirms acknowledged`,
    `${tally.unknown} commands without an answer: ${tally.happened} had happened, ${tally.notHappened} had not, ${tally.undecided} made no difference or were not asked again`,
    `${tally.audits} audits read ${tally.holdsAudited} holds and sent ${tally.keysSentAgain} keys again`,
    '',
    `Violations: ${INVARIANTS.map((name) => `${name} ${tally.byInvariant[name]}`).join(', ')}`,
  ];
  for (const { invariant, what, log } of tally.violations.slice(0, MOST_TOLD)) {
    lines.push('', `${invariant}: ${what}`, ...log.map((line) => `    ${line}`));
  }
  if (report.dataKept !== undefined) lines.push('', `The data is kept in ${report.dataKept}`);
  return lines.join('\n');
}

function table(counts: Readonly<Record<string, number>>): string[] {
  return Object.entries(counts)
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([name, count]) => `${String(count).padStart(6)}  ${name}`);
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0);
}
