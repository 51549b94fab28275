import { expect, it } from 'vitest';
import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { Gate } from '../../src/admission/gate.ts';
import { defaultRules } from '../../src/admission/rules.ts';
import { noteGate } from '../../src/front/gate-readings.ts';
import { FrontCell } from '../../src/shard/counters.ts';

const WORKER = 1;
const SEGMENT = 3;

function setUp(on: boolean) {
  const rules = defaultRules(false);
  const gate = new Gate({
    workers: 2,
    segments: 8,
    fronts: 1,
    rules: on ? rules : { ...rules, breakers: 'off', depth: 'off', concurrency: 'off' },
    on,
    refused: new Float64Array(16),
  });
  const cells = new Float64Array(FrontCell.CELLS);
  const read = () => {
    noteGate(gate, cells);
    return {
      skuGroups: [...cells.subarray(FrontCell.SKU_GROUPS, FrontCell.SKU_GROUPS + 3)],
      most: cells[FrontCell.MOST + WORKER],
      underWay: cells[FrontCell.UNDER_WAY + WORKER],
    };
  };
  return { gate, read };
}

it('tells the open breakers, the limit and what is under way', () => {
  const { gate, read } = setUp(true);
  gate.tick(1000);
  gate.entered(WORKER);
  for (let i = 0; i < 500; i++) gate.note(WORKER, SEGMENT, Op.HOLD, Status.UNAVAILABLE, 0, 0, false);
  expect(read()).toMatchObject({ skuGroups: [1, 0, 1], underWay: 1 });
  expect(read().most).toBe(gate.most[WORKER]);
});

it('tells nothing of what the rules do without', () => {
  expect(setUp(false).read()).toEqual({ skuGroups: [0, 0, 0], most: Number.POSITIVE_INFINITY, underWay: 0 });
});
