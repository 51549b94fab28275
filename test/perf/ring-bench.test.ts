import { expect, test } from 'vitest';
import { benchRing } from '../../perf/ring.ts';

test('the ring benchmark runs and verifies what it sent', async () => {
  const result = await benchRing({ records: 10_000, repeats: 2 });
  expect(result.verified).toBe(true);
  expect(result.spread[0]).toBeGreaterThan(0);
  expect(result.recordsPerSecond).toBeGreaterThanOrEqual(result.spread[0]);
  expect(result.recordsPerSecond).toBeLessThanOrEqual(result.spread[1]);
  expect(result.hopMicroseconds ?? 1).toBeGreaterThan(0);
});
