import { describe, expect, it } from 'vitest';
import { MAX_IN_FLIGHT } from '../../protocol/limits.ts';
import { OP_SHAPES, Op } from '../../protocol/ops.ts';
import { Layer, Status } from '../../protocol/status.ts';
import {
  type Admitted,
  BUSY_RETRY_MS,
  type Gate,
  type GateOptions,
  SETTLING,
} from '../../src/admission/gate.ts';
import { allocateRates } from '../../src/admission/rate-limits.ts';
import { type AdmissionRules, defaultRules } from '../../src/admission/rules.ts';
import { makeGate } from '../fixtures/gate.ts';

const RULES = defaultRules(false);
const TICK_MS = 100;

function client(fields: Partial<Admitted> = {}): Admitted {
  return {
    holderLo: 1,
    holderHi: 2,
    addressLo: 3,
    addressHi: 4,
    anonymous: true,
    vip: false,
    inFlight: 0,
    ...fields,
  };
}

/** A gate with some rules of its own. */
function gateBy(rules: Partial<AdmissionRules>, options: Partial<GateOptions> = {}): Gate {
  return makeGate({ rules: { ...RULES, ...rules }, ...options });
}

function ask(gate: Gate, op: number = Op.HOLD, segment = 0, who = client(), worker = 0): number {
  return gate.admit(who, op, 0, 0, segment, worker);
}

/** Puts commands under way to a worker. */
function fill(gate: Gate, count: number, worker = 0): void {
  for (let i = 0; i < count; i++) gate.entered(worker);
}

const settling = SETTLING.map((op) => [OP_SHAPES[op]?.name, op] as const);
const NOT_ROUTED: readonly number[] = [0, Op.TIME, Op.AUTH];
const limited = OP_SHAPES.filter(({ op }) => !SETTLING.includes(op) && !NOT_ROUTED.includes(op)).map(
  ({ name, op }) => [name, op] as const,
);

describe('a gate through which little goes', () => {
  it.each([...settling, ...limited])('admits %s', (_, op) => {
    const gate = makeGate();
    expect([ask(gate, op), gate.probe]).toEqual([0, false]);
    expect(gate.refused.every((count) => count === 0)).toBe(true);
  });
});

describe('commands under way on one connection', () => {
  it.each([...settling, ...limited])('stop %s too', (_, op) => {
    const gate = gateBy({ depth: { perConnection: 3, perWorker: 100 } });
    expect(ask(gate, op, 0, client({ inFlight: 2 }))).toBe(0);
    expect(ask(gate, op, 0, client({ inFlight: 3 }))).toBe(Layer.CONNECTION);
    expect([gate.retryMs, gate.refused[Layer.CONNECTION]]).toEqual([BUSY_RETRY_MS, 1]);
  });

  it.each([
    ['the rules limit no depth', gateBy({ depth: 'off' })],
    ['the gate is off', gateBy({ depth: { perConnection: 3, perWorker: 3 } }, { on: false })],
  ])('are as many as the protocol allows when %s', (_, gate) => {
    expect(ask(gate, Op.HOLD, 0, client({ inFlight: MAX_IN_FLIGHT - 1 }))).toBe(0);
    expect(ask(gate, Op.HOLD, 0, client({ inFlight: MAX_IN_FLIGHT }))).toBe(Layer.CONNECTION);
  });
});

describe('layers 2 and 3', () => {
  const rules: Partial<AdmissionRules> = {
    holderRate: { perSecond: 1, burst: 2 },
    addressRate: { perSecond: 10, burst: 3 },
    skuWindow: { windowMs: 1000, limit: 1000 },
  };
  const rated = (more: Partial<GateOptions> = {}): Gate =>
    gateBy(rules, { rates: allocateRates(64, 64, 7), ...more });
  const admitted = (gate: Gate, who: Admitted, op: number = Op.HOLD): number => {
    let count = 0;
    while (count < 100 && ask(gate, op, 0, who) === 0) count++;
    return count;
  };

  it.each(limited)('limit %s by the name, or by the address of who has none', (_, op) => {
    const gate = rated();
    expect(admitted(gate, client({ anonymous: false }), op)).toBe(2);
    expect(gate.refused[Layer.HOLDER_RATE]).toBe(1);
    expect(admitted(gate, client({ holderLo: 9 }), op)).toBe(3);
    expect(gate.refused[Layer.ADDRESS_RATE]).toBe(1);
    expect(admitted(gate, client({ holderLo: 8 }), op)).toBe(0);
    expect(admitted(gate, client({ anonymous: false, addressLo: 9, holderLo: 9 }), op)).toBe(2);
  });

  it('say when there is a token again, by the clock that was read last', () => {
    const gate = rated();
    gate.nowMs = 5000.5;
    const named = client({ anonymous: false });
    admitted(gate, named);
    expect(gate.retryMs).toBe(1000);
    gate.nowMs = 6000.5;
    expect(admitted(gate, named)).toBe(1);
  });

  it.each(settling)('let %s through', (_, op) => {
    const gate = rated();
    admitted(gate, client());
    expect(admitted(gate, client(), op)).toBe(100);
  });

  it('follow the rules, and limit nothing when the gate is off', () => {
    const gate = rated();
    gate.setRules(RULES);
    expect(admitted(gate, client())).toBe(100);
    gate.setRules({ ...RULES, ...rules });
    expect(admitted(gate, client())).toBe(3);
    expect(admitted(rated({ on: false }), client())).toBe(100);
  });

  it('are not asked for whom the load sends away, so that nobody loses by it what is its own', () => {
    const gate = rated({ rules: { ...RULES, ...rules, depth: { perConnection: 100, perWorker: 1 } } });
    fill(gate, 1);
    expect(Array.from({ length: 5 }, () => ask(gate))).toEqual(new Array(5).fill(Layer.WORKER_QUEUE));
    gate.answered(0, 1);
    expect(admitted(gate, client())).toBe(3);
    expect(gate.refused[Layer.ADDRESS_RATE]).toBe(1);
  });
});

describe('a gate is shut', () => {
  const depth = { perConnection: 4, perWorker: 2 };

  it('while every worker has all that it may, and no longer', () => {
    const gate = gateBy({ depth }, { workers: 2 });
    const seen = [gate.shut];
    fill(gate, 2, 0);
    seen.push(gate.shut);
    fill(gate, 2, 1);
    seen.push(gate.shut);
    gate.answered(1, 1);
    seen.push(gate.shut);
    fill(gate, 1, 1);
    seen.push(gate.shut);
    gate.setRules({ ...RULES, depth: { ...depth, perWorker: 3 } });
    seen.push(gate.shut);
    expect(seen).toEqual([false, false, true, false, true, false]);
  });

  it('for whoever has no claim and room on its connection', () => {
    const gate = gateBy({ depth });
    fill(gate, 2);
    expect([
      gate.refusesHolds(client()),
      gate.refusesHolds(client({ vip: true })),
      gate.refusesHolds(client({ inFlight: 4 })),
    ]).toEqual([true, false, false]);
  });

  it.each([
    ['that is off', gateBy({ depth }, { on: false })],
    ['without a depth or a limit', gateBy({ depth: 'off', concurrency: 'off' })],
  ])('never, of one %s', (_, gate) => {
    fill(gate, 100_000);
    expect(gate.shut).toBe(false);
  });

  it('and refuses what nobody has read for the same reason, with the same time to wait, and counts it for each worker in turn', () => {
    const gate = gateBy({ depth }, { workers: 2 });
    gate.tick(TICK_MS);
    for (const worker of [0, 1]) {
      fill(gate, 12, worker);
      gate.answered(worker, 10);
    }
    gate.tick(2 * TICK_MS);
    const layers = [0, 1].map(() => {
      const layer = gate.refuseHolds();
      gate.turnedAwayHolds(50);
      return layer;
    });
    expect([layers, gate.refused[Layer.WORKER_QUEUE]]).toEqual([new Array(2).fill(Layer.WORKER_QUEUE), 100]);
    const before = gate.retryMs;
    // A hundred a second, so 50 more take half a second more.
    for (const worker of [0, 1]) {
      fill(gate, 10, worker);
      gate.answered(worker, 10);
    }
    gate.tick(3 * TICK_MS);
    const waits = [0, 1].map((worker) => {
      ask(gate, Op.HOLD, 0, client(), worker);
      return gate.retryMs - before;
    });
    expect(waits).toEqual([500, 500]);
  });
});

describe('commands under way to one worker', () => {
  const depth = { perConnection: MAX_IN_FLIGHT, perWorker: 100 };

  it.each(limited)('stop %s', (_, op) => {
    const gate = gateBy({ depth });
    fill(gate, 99);
    expect(ask(gate, op)).toBe(0);
    fill(gate, 1);
    expect(ask(gate, op)).toBe(Layer.WORKER_QUEUE);
    expect(gate.retryMs).toBeGreaterThan(0);
    gate.answered(0, 1);
    expect(ask(gate, op)).toBe(0);
  });

  it.each(settling)('never stop %s', (_, op) => {
    const gate = gateBy({ depth });
    fill(gate, 10_000);
    expect(ask(gate, op)).toBe(0);
  });

  it('leave who has a claim a quarter more', () => {
    const gate = gateBy({ depth });
    fill(gate, 124);
    expect([ask(gate), ask(gate, Op.HOLD, 0, client({ vip: true }))]).toEqual([Layer.WORKER_QUEUE, 0]);
    fill(gate, 1);
    expect(ask(gate, Op.HOLD, 0, client({ vip: true }))).toBe(Layer.WORKER_QUEUE);
  });

  it('are counted for each worker, and divided among the fronts', () => {
    const gate = gateBy({ depth }, { workers: 2, fronts: 4 });
    fill(gate, 25, 1);
    expect([0, 1].map((worker) => ask(gate, Op.HOLD, 0, client(), worker))).toEqual([0, Layer.WORKER_QUEUE]);
  });

  it('are limited by no rule and by nothing when the gate is off', () => {
    for (const gate of [gateBy({ depth: 'off', concurrency: 'off' }), gateBy({ depth }, { on: false })]) {
      fill(gate, 1_000_000);
      expect(ask(gate)).toBe(0);
    }
  });
});

describe('how long a client that is refused had better wait', () => {
  const depth = { perConnection: MAX_IN_FLIGHT, perWorker: 1000 };

  /** A worker that answers 10,000 a second and has 1,000 under way. */
  function busyGate(): Gate {
    const gate = gateBy({ depth });
    gate.tick(1);
    for (let tick = 1; tick <= 20; tick++) {
      fill(gate, tick === 1 ? 2000 : 1000);
      gate.answered(0, 1000);
      gate.tick(1 + tick * TICK_MS);
    }
    return gate;
  }

  it('is as long as the worker takes for what is under way', () => {
    const gate = busyGate();
    expect([ask(gate), gate.retryMs]).toEqual([Layer.WORKER_QUEUE, 100]);
  });

  it('is longer by what all take who were sent away and will come again', () => {
    const gate = busyGate();
    for (let i = 0; i < 9000; i++) ask(gate);
    fill(gate, 1000);
    gate.answered(0, 1000);
    gate.tick(2101);
    ask(gate);
    expect(gate.retryMs).toBe(1000);
  });

  it('is said of a full ring too', () => {
    const gate = busyGate();
    expect([gate.ringFull(0), gate.retryMs, gate.refused[Layer.WORKER_QUEUE]]).toEqual([
      Layer.WORKER_QUEUE,
      100,
      1,
    ]);
  });
});

describe('the limit that is found by waiting', () => {
  /** Ten ticks in which every command waited so long, with 1,000 under way. */
  function afterWaits(gate: Gate, waitMs: number): Gate {
    fill(gate, 1000);
    for (let tick = 1; tick <= 10; tick++) {
      for (let i = 0; i < 200; i++) gate.note(0, 0, Op.HOLD, Status.OK, waitMs, waitMs, false);
      gate.tick(tick * TICK_MS);
    }
    return gate;
  }

  it('refuses holds when commands wait too long, and no command that settles', () => {
    const gate = afterWaits(makeGate(), 60);
    expect(gate.most[0]).toBeLessThan(1000);
    expect([ask(gate), gate.refused[Layer.CONCURRENCY]]).toEqual([Layer.CONCURRENCY, 1]);
    for (const op of SETTLING) expect(ask(gate, op)).toBe(0);
  });

  it('lets all pass when they do not', () => {
    expect(ask(afterWaits(makeGate(), 5))).toBe(0);
  });

  it('is not there where the rules do without, and comes and goes with them', () => {
    const gate = afterWaits(gateBy({ concurrency: 'off' }), 60);
    expect(ask(gate)).toBe(0);
    gate.setRules(RULES);
    expect(ask(afterWaits(gate, 60))).toBe(Layer.CONCURRENCY);
    gate.setRules({ ...RULES, concurrency: 'off' });
    expect(ask(gate)).toBe(0);
  });
});

describe('the circuit breakers', () => {
  const answer = (
    gate: Gate,
    count: number,
    segment: number,
    status: number,
    tookMs = 1,
    op: number = Op.HOLD,
  ) => {
    for (let i = 0; i < count; i++) gate.note(0, segment, op, status, 0, tookMs, gate.probe);
  };

  it.each([
    ['UNAVAILABLE', Status.UNAVAILABLE, 1, 10_000],
    ['UNKNOWN_OUTCOME', Status.UNKNOWN_OUTCOME, 1, 10_000],
    ['OK, but slowly', Status.OK, 1001, 5000],
  ])('give a group of SKUs a rest that answers %s, and only that one', (_, status, tookMs, restMs) => {
    const gate = makeGate();
    gate.tick(1000);
    answer(gate, 100, 3, status, tookMs);
    expect([ask(gate, Op.HOLD, 3), gate.retryMs]).toEqual([Layer.SKU_BREAKER, restMs]);
    expect(ask(gate, Op.HOLD, 4)).toBe(0);
    for (const op of [Op.READ, Op.INSPECT, ...SETTLING]) expect(ask(gate, op, 3)).toBe(0);
  });

  it.each([
    ['BUSY', Status.BUSY],
    ['SKU_CAPACITY', Status.SKU_CAPACITY],
    ['HOLD_CAPACITY', Status.HOLD_CAPACITY],
    ['KEY_CAPACITY', Status.KEY_CAPACITY],
    ['HOLDER_CAPACITY', Status.HOLDER_CAPACITY],
    ['SOLD_OUT', Status.SOLD_OUT],
    ['HELD_OUT', Status.HELD_OUT],
    ['HOLDER_LIMIT', Status.HOLDER_LIMIT],
    ['UNKNOWN_SKU', Status.UNKNOWN_SKU],
  ])('take no offence at %s', (_, status) => {
    const gate = makeGate();
    answer(gate, 10_000, 3, status);
    expect(ask(gate, Op.HOLD, 3)).toBe(0);
  });

  it('give an op a rest that fails everywhere, though no group of SKUs does', () => {
    const gate = makeGate({ segments: 64 });
    gate.tick(1000);
    for (let segment = 0; segment < 64; segment++) {
      answer(gate, 50, segment, Status.OK, 1, Op.CONFIRM);
      answer(gate, 10, segment, Status.OK, 2000);
    }
    expect([ask(gate, Op.HOLD), gate.retryMs]).toEqual([Layer.OP_BREAKER, 5000]);
    for (const op of [Op.STOCK, Op.READ, ...SETTLING]) expect(ask(gate, op)).toBe(0);
  });

  it('do not hold the failures of one group of SKUs against the op', () => {
    const gate = makeGate();
    gate.tick(1000);
    answer(gate, 100_000, 3, Status.UNAVAILABLE);
    expect([ask(gate, Op.HOLD, 3), ask(gate, Op.HOLD, 0)]).toEqual([Layer.SKU_BREAKER, 0]);
  });

  it('let probes through when the rest is over, have them timed, and close when they are well', () => {
    const gate = makeGate();
    gate.tick(1000);
    answer(gate, 100, 3, Status.UNAVAILABLE);
    gate.tick(11_000);
    let probes = 0;
    while (ask(gate, Op.HOLD, 3) === 0) {
      probes++;
      expect(gate.probe).toBe(true);
      gate.probe = false;
    }
    expect(probes).toBe(10);
    for (let i = 0; i < probes; i++) gate.note(0, 3, Op.HOLD, Status.OK, 0, 1, true);
    expect([ask(gate, Op.HOLD, 3), gate.probe]).toEqual([0, false]);
  });

  it('are not there where the rules do without, nor where the gate is off', () => {
    for (const gate of [gateBy({ breakers: 'off' }), makeGate({ on: false })]) {
      answer(gate, 1000, 3, Status.UNAVAILABLE);
      expect(ask(gate, Op.HOLD, 3)).toBe(0);
    }
  });
});
