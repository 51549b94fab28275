import { expect, it } from 'vitest';
import { EVENTS, type LogEvent } from '../../src/log/events.ts';
import { countedEvents, countingLog } from '../../src/metrics/event-counts.ts';
import { allocateCounters, serverCounters } from '../../src/shard/counters.ts';

it('counts what is logged, whatever becomes of it, and lines that stand for several by their count', () => {
  const memory = allocateCounters(1, 1);
  const passed: LogEvent[] = [];
  const log = countingLog(memory, (event) => void passed.push(event));
  log({ event: 'worker-died', worker: 1 });
  log({ event: 'worker-died', worker: 0 });
  log({ event: 'slow-client', count: 7 });
  const counts = Object.fromEntries(countedEvents(serverCounters(memory)));
  expect(Object.keys(counts)).toEqual(Object.keys(EVENTS));
  const expected = Object.fromEntries(Object.keys(EVENTS).map((name) => [name, 0]));
  expect(counts).toEqual({ ...expected, 'worker-died': 2, 'slow-client': 7 });
  expect(passed.map(({ event }) => event)).toEqual(['worker-died', 'worker-died', 'slow-client']);
});
