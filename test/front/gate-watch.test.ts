import { beforeEach, expect, it } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { LAYER_COUNT, Layer } from '../../protocol/status.ts';
import { BreakerState, Breakers } from '../../src/admission/breakers.ts';
import { defaultRules, OFF } from '../../src/admission/rules.ts';
import { GateWatch } from '../../src/front/gate-watch.ts';
import type { LogEvent } from '../../src/log/events.ts';

const { breakers: rule } = defaultRules(false);
if (rule === OFF) throw new Error('breakers are on by default');

let gate: { refused: Float64Array; breakers: { skus: Breakers; ops: Breakers } | undefined };
let events: LogEvent[];
let watch: GateWatch;

beforeEach(() => {
  const breakers = { skus: new Breakers(8, rule), ops: new Breakers(12, rule) };
  gate = { refused: new Float64Array(LAYER_COUNT), breakers };
  events = [];
  watch = new GateWatch(gate, 1, (event) => events.push(event));
});

const look = (times: number): LogEvent[] => {
  for (let i = 0; i < times; i++) watch.look();
  return events.splice(0);
};

it('a breaker that changes its state is told once, with what it guards', () => {
  expect(look(5)).toEqual([]);
  const { skus, ops } = gate.breakers as { skus: Breakers; ops: Breakers };
  skus.states[5] = BreakerState.OPEN;
  ops.states[Op.HOLD] = BreakerState.OPEN;
  expect(look(3)).toEqual([
    { event: 'breaker', level: 'warn', front: 1, guards: 'segment', name: '5', state: 'open' },
    { event: 'breaker', level: 'warn', front: 1, guards: 'op', name: 'HOLD', state: 'open' },
  ]);
  skus.states[5] = BreakerState.HALF_OPEN;
  expect(look(1)).toMatchObject([{ level: 'info', name: '5', state: 'half-open' }]);
  skus.states[5] = BreakerState.CLOSED;
  expect(look(1)).toMatchObject([{ level: 'info', name: '5', state: 'closed' }]);
});

it('breakers that the rules switch off and on again begin closed', () => {
  const { breakers } = gate;
  (breakers as { skus: Breakers }).skus.states[5] = BreakerState.OPEN;
  expect(look(1).length).toBe(1);
  gate.breakers = undefined;
  expect(look(1)).toEqual([]);
  gate.breakers = breakers;
  expect(look(1)).toMatchObject([{ name: '5', state: 'open' }]);
});

it('what is refused is told once a second for each layer, with how many', () => {
  gate.refused[Layer.CONCURRENCY] = 1000;
  gate.refused[Layer.STORE] = 1;
  expect(look(9)).toEqual([]);
  expect(look(1)).toEqual([
    { event: 'commands-refused', front: 1, layer: 'CONCURRENCY', count: 1000 },
    { event: 'commands-refused', front: 1, layer: 'STORE', count: 1 },
  ]);
  gate.refused[Layer.CONCURRENCY] = 1005;
  expect(look(20)).toEqual([{ event: 'commands-refused', front: 1, layer: 'CONCURRENCY', count: 5 }]);
  expect(look(20)).toEqual([]);
});
