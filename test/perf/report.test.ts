import { describe, expect, it } from 'vitest';
import { renderReport } from '../../perf/report.ts';
import type { Report } from '../../perf/suite.ts';
import { targetsOf } from '../../perf/targets.ts';
import { type HoldfastRate, PATTERNS, type Rate } from '../../perf/wire.ts';

describe('the report', () => {
  it('holds every figure against its target', () => {
    const rows = targetsOf(report()).map(({ name, figure, met }) => [name, figure, met]);
    expect(rows).toEqual([
      ['wire, one command a frame', 0.69, false],
      ['wire, 400 commands a frame', 2_000_000, true],
      ['wire, one in flight', 0.9, true],
      ['ring', 49_999_999, false],
    ]);
  });

  it('has no target for what was not run', () => {
    const { machine, steal, others, trusted } = report();
    expect(targetsOf({ machine, steal, others, trusted })).toEqual([]);
  });

  it('is a table with the targets beside the figures', () => {
    const lines = renderReport(report()).split('\n');
    expect(lines[0]).toBe('A CPU, 2 cores, 8 GiB, linux 6, Node v22');
    expect(lines).toContainEqual(
      expect.stringMatching(/^wire, one command a frame +690,000 .* 69 % of echo$/),
    );
    expect(lines).toContainEqual(
      expect.stringMatching(/^wire, one command a frame +69 % of echo +70 % of echo {2}not met$/),
    );
    expect(lines).toContainEqual(
      expect.stringMatching(/^wire, 400 commands a frame +2,000,000 +2,000,000 {2}met$/),
    );
    expect(lines).toContainEqual(expect.stringMatching(/^wire, one in flight .*p50 500 µs, p99 900 µs/));
  });

  it('says what was refused and what no answer came to', () => {
    const text = renderReport(report({ refused: 1200, refusedBy: { BUSY: 1200 }, unanswered: 7 }));
    expect(text).toContain('refused: 1,200 BUSY; unanswered: 7');
  });

  it('marks what cannot be trusted', () => {
    expect(renderReport(report())).not.toContain('*');
    const marked = renderReport(report({ steal: 12, trusted: false }));
    expect(marked).toMatch(/^wire, one command a frame \*/m);
    expect(marked).toContain('not to be trusted');
  });
});

function report(onePerFrame: Partial<HoldfastRate> & { steal?: number; trusted?: boolean } = {}): Report {
  const watched = { steal: 0, others: 0, trusted: true };
  const latency = { p50: 500, p90: 800, p99: 900, p999: 1000, max: 2000 };
  const echo = (commandsPerSecond: number): Rate => ({
    commandsPerSecond,
    spread: [commandsPerSecond, commandsPerSecond],
    latency: null,
  });
  const wire = (name: keyof typeof PATTERNS, commandsPerSecond: number, shareOfEcho: number) => {
    const counts = { refused: 0, refusedBy: {}, unanswered: 0 };
    return { ...echo(commandsPerSecond), ...counts, load: PATTERNS[name], shareOfEcho, ...watched };
  };
  return {
    machine: { cpu: 'A CPU', cores: 2, memoryGiB: 8, kernel: 'linux 6', node: 'v22', loadAverage: 0.1 },
    steal: 0,
    others: 0,
    trusted: onePerFrame.trusted ?? true,
    ring: { recordsPerSecond: 49_999_999, spread: [1, 2], verified: true, ...watched },
    echo: {
      onePerFrame: { ...echo(1_000_000), ...watched },
      batched: { ...echo(50_000_000), ...watched },
      oneInFlight: { ...echo(100_000), latency, ...watched },
    },
    wire: {
      onePerFrame: { ...wire('onePerFrame', 690_000, 0.69), ...onePerFrame },
      batched: wire('batched', 2_000_000, 0.04),
      oneInFlight: { ...wire('oneInFlight', 90_000, 0.9), latency },
      books: { violations: 0, available: 1, held: 0, sold: 0, total: 1 },
    },
  };
}
