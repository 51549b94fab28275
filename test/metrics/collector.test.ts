import { expect, it } from 'vitest';
import { Collector } from '../../src/metrics/collector.ts';
import { add, FrontCell, frontCounters } from '../../src/shard/counters.ts';
import { readExposition, sumOf } from '../fixtures/exposition.ts';
import { makeMemory, NOW } from '../front/fixtures.ts';

const READINGS = { stock: [], forgotten: { evictions: 0, uncounted: 0 } };

it('leaves out what tells of a store where there is none', () => {
  const text = new Collector(makeMemory(), 'memory').render('prometheus', NOW, READINGS);
  const names = readExposition(text, 'prometheus').map(({ name }) => name);
  expect(names.filter((name) => /durable|store|journal|snapshot/.test(name))).toEqual([]);
  expect(text).not.toContain('thread="storage"');
});

it('adds up what belongs to all fronts, and tells apart what belongs to each', () => {
  const memory = makeMemory({ fronts: 3, workers: 2 });
  memory.fronts.forEach((_, front) => {
    const cells = frontCounters(memory.counters, front);
    add(cells, FrontCell.CLOSED_SLOW, 1 + front);
    add(cells, FrontCell.BYTES_IN, 10 ** front);
  });
  const text = new Collector(memory, 'memory').render('openmetrics', NOW, READINGS);
  const families = readExposition(text, 'openmetrics');
  expect(sumOf(families, 'holdfast_connections_closed_total', { reason: 'slow' })).toBe(6);
  expect(['0', '1', '2'].map((front) => sumOf(families, 'holdfast_received_bytes_total', { front }))).toEqual(
    [1, 10, 100],
  );
});

it('carries on with numbers that no int32 holds', () => {
  const memory = makeMemory();
  add(frontCounters(memory.counters, 0), FrontCell.BYTES_OUT, 2 ** 40);
  add(frontCounters(memory.counters, 0), FrontCell.BYTES_OUT, 1);
  const text = new Collector(memory, 'memory').render('prometheus', NOW, READINGS);
  expect(sumOf(readExposition(text, 'prometheus'), 'holdfast_sent_bytes_total')).toBe(2 ** 40 + 1);
});
