import { writeFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule, TestRunEndReason } from 'vitest/node';

/**
 * A vitest reporter that writes how many tests passed, failed and were skipped, as JSON, into the file that
 * HOLDFAST_TEST_COUNTS names. What fails outside of a test (a file that does not load, a hook, a stray
 * rejection) counts as one failure each, so that a run that went wrong never reads as clean.
 */
export default class TestCounts implements Reporter {
  onTestRunEnd(
    modules: ReadonlyArray<TestModule>,
    strayErrors: ReadonlyArray<SerializedError>,
    reason: TestRunEndReason,
  ): void {
    const counts = { passed: 0, failed: strayErrors.length, skipped: 0 };
    for (const module of modules) {
      counts.failed += module.errors().length;
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        // A test without an outcome was cut off, by a crash or a signal.
        counts[state === 'pending' ? 'failed' : state] += 1;
      }
    }
    if (reason !== 'passed' && counts.failed === 0) counts.failed = 1;
    const file = process.env.HOLDFAST_TEST_COUNTS;
    if (file !== undefined) writeFileSync(file, JSON.stringify(counts));
  }
}
