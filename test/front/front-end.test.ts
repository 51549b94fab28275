import { afterEach, expect, it } from 'vitest';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import { allocateRates } from '../../src/admission/rate-limits.ts';
import { defaultRules } from '../../src/admission/rules.ts';
import { anchorClock } from '../../src/base/clock.ts';
import { allocateArrivals } from '../../src/front/arrivals.ts';
import { FrontEnd } from '../../src/front/front-end.ts';
import { SocketCount } from '../../src/front/socket-count.ts';
import { Control, durableWord, storageControlOf } from '../../src/shard/memory.ts';
import { Mode } from '../../src/shard/records.ts';
import { Shard } from '../../src/shard/shard.ts';
import { frameOf, HOLDER, makeMemory, RecordingSink, skuIn, work } from './fixtures.ts';

const FRONTS = 2;
let ends: FrontEnd[] = [];

afterEach(() => {
  for (const end of ends) end.destroy();
});

it('every front sees by itself that the store stands still, and that it goes on', async () => {
  const memory = makeMemory({ fronts: FRONTS, events: { ringBytes: 65_536, gated: true } });
  if (memory.storage === undefined) throw new Error('there is a store');
  const control = storageControlOf(memory.storage);
  const options = {
    memory,
    anchor: anchorClock(),
    borrow: false,
    gate: true,
    rules: defaultRules(false),
    rates: allocateRates(64, 64, 1),
    secret: new Uint8Array(32),
    ack: 'sync',
    maxHoldLifeMs: 60_000,
    maxConnections: 10,
    maxBackpressureBytes: 65_536,
    storeStallMs: 100,
    metricsSkus: 0,
    auth: undefined,
    authDeadlineMs: 5000,
    allowedOrigins: [],
    tls: undefined,
    adminApart: false,
    idleTimeoutMs: 120_000,
    trustedProxies: [],
    arrivals: allocateArrivals(10),
    arrivalLimits: {
      connections: 10,
      connectionsPerAddress: 10,
      handshakes: 10,
      handshakesPerAddress: 10,
      requests: 10,
      requestsPerAddress: 10,
      badTokensPerAddress: 10,
    },
    tracesPerSecond: 0,
    logLevel: 'silent',
  } as const;
  const hooks = {
    onFault: () => {},
    log: () => {},
    traced: () => {},
    profile: () => Promise.reject(new Error('nobody asks')),
    rules: {
      report: () => Promise.reject(new Error('nobody asks')),
      reload: () => Promise.reject(new Error('nobody asks')),
    },
  };
  ends = Array.from({ length: FRONTS }, (_, front) => new FrontEnd({ ...options, front }, hooks));
  const refusing = () => ends.map(({ front }) => front.router.refusingChanges);
  const [{ front }] = ends;
  const sink = new RecordingSink();
  const connection = front.connections.add(sink, HOLDER.lo, HOLDER.hi);
  front.onFrame(connection, frameOf([Op.STOCK, 1, skuIn(0, 4), StockMode.TOTAL, 5]), Mode.BINARY);
  front.endTurn();
  const shard = new Shard(memory, 0);
  work(shard);
  expect(refusing()).toEqual([false, false]);
  await expect.poll(refusing).toEqual([true, true]);
  expect(sink.messages).toEqual([]);
  Atomics.store(control, durableWord(0), shard.control[Control.EVENT_POSITION]);
  await expect.poll(refusing).toEqual([false, false]);
  await expect.poll(() => sink.messages).toEqual([[1, Status.OK, 5, 0, 0, 5]]);
});

it('of the last place among connections one front gets it, and gives it back', () => {
  const memory = makeMemory({ fronts: FRONTS });
  const [one, other] = [new SocketCount(memory, 0), new SocketCount(memory, 1)];
  expect([one.add(3), other.add(3), one.add(3)]).toEqual([true, true, true]);
  expect([one.add(3), other.add(3)]).toEqual([false, false]);
  one.remove();
  expect([other.add(3), one.add(3)]).toEqual([true, false]);
});
