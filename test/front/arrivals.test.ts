import { describe, expect, it } from 'vitest';
import {
  Arrival,
  type ArrivalLimits,
  Arrivals,
  allocateArrivals,
  isLimited,
} from '../../src/front/arrivals.ts';

const LIMITS: ArrivalLimits = {
  connections: 100,
  connectionsPerAddress: 3,
  handshakes: 1000,
  handshakesPerAddress: 10,
  requests: 1000,
  requestsPerAddress: 10,
  badTokensPerAddress: 5,
};

/** Two fronts over one memory, at a time that the test sets. */
function setUp(limits: Partial<ArrivalLimits> = {}, startMs = 0) {
  const memory = allocateArrivals(1);
  const clock = { ms: startMs };
  const make = () => new Arrivals(memory, { ...LIMITS, ...limits }, () => clock.ms | 0);
  return { fronts: [make(), make()] as const, clock };
}

type Kind = 'arrive' | 'visit' | 'request';

/** How many of `count` that come, by default handshakes, are let in, and what refuses the first that is not. */
function come(
  fronts: readonly Arrivals[],
  count: number,
  lo = 1,
  hi = 2,
  kind: Kind = 'arrive',
): [number, number] {
  let first = Arrival.OK as number;
  let came = 0;
  for (let i = 0; i < count; i++) {
    const refusal = (fronts[i % fronts.length] as Arrivals)[kind](lo, hi);
    if (refusal === Arrival.OK) came++;
    else if (first === Arrival.OK) first = refusal;
  }
  return [came, first];
}

describe('an address', () => {
  it('has so many connections over all fronts, and may have others when some are gone', () => {
    const { fronts } = setUp();
    expect(come(fronts, 5)).toEqual([3, Arrival.ADDRESS_CONNECTIONS]);
    expect(come(fronts, 2, 9, 2)).toEqual([2, Arrival.OK]);
    fronts[1].leave(1, 2);
    expect(come(fronts, 2)).toEqual([1, Arrival.ADDRESS_CONNECTIONS]);
  });

  // Times at which words of 32 bits wrap, and at which four more bits of them do.
  it.each([0, 5_000_000, 2 ** 27 - 500, 2 ** 28 - 500, 2 ** 31 - 500])(
    'comes as often as in two seconds at once, and then at its rate, from ms %i on',
    (startMs) => {
      const { fronts, clock } = setUp({ connectionsPerAddress: 1000 }, startMs);
      expect(come(fronts, 30)).toEqual([20, Arrival.ADDRESS_HANDSHAKES]);
      expect(fronts[1].retryMs).toBe(100);
      clock.ms += 99;
      expect(come(fronts, 5)).toEqual([0, Arrival.ADDRESS_HANDSHAKES]);
      clock.ms += 1;
      expect(come(fronts, 5)).toEqual([1, Arrival.ADDRESS_HANDSHAKES]);
      clock.ms += 1000;
      expect(come(fronts, 30)).toEqual([10, Arrival.ADDRESS_HANDSHAKES]);
      clock.ms += 100_000;
      expect(come(fronts, 30)).toEqual([20, Arrival.ADDRESS_HANDSHAKES]);
    },
  );

  it('is refused in its turn when all together come too often', () => {
    const { fronts } = setUp({ handshakes: 50 });
    const came = Array.from({ length: 200 }, (_, i) => come(fronts, 1, i, i)[0]);
    expect(came.filter((one) => one === 1)).toHaveLength(100);
    expect(fronts[0].arrive(999, 1)).toBe(Arrival.HANDSHAKES);
  });

  it('is forgotten only without connections, and counted with all others where there is no room for it', () => {
    const { fronts } = setUp({ handshakes: 1_000_000 });
    // All of them in one set.
    const sets = 128;
    const addresses = Array.from({ length: 8 }, (_, i) => 5 + i * sets);
    for (const lo of addresses) expect(come(fronts, 3, lo)).toEqual([3, Arrival.OK]);
    expect(come(fronts, 8, 5 + 100 * sets)).toEqual([8, Arrival.OK]);
    for (const lo of addresses) expect(come(fronts, 1, lo)).toEqual([0, Arrival.ADDRESS_CONNECTIONS]);
    for (let i = 0; i < 3; i++) fronts[0].leave(5, 2);
    expect(come(fronts, 4, 5 + 100 * sets)).toEqual([3, Arrival.ADDRESS_CONNECTIONS]);
  });
});

describe('connections that are no WebSockets', () => {
  it('are counted apart from those that are, by address and in all, until they end', () => {
    const { fronts } = setUp({ connections: 7 });
    expect(come(fronts, 5, 1, 2, 'visit')).toEqual([3, Arrival.ADDRESS_VISITS]);
    expect(come(fronts, 5)).toEqual([3, Arrival.ADDRESS_CONNECTIONS]);
    expect(come(fronts, 5, 2, 2, 'visit')).toEqual([3, Arrival.ADDRESS_VISITS]);
    expect(come(fronts, 5, 3, 2, 'visit')).toEqual([1, Arrival.VISITS]);
    for (const front of fronts) front.endVisit(1, 2);
    expect(come(fronts, 5, 1, 2, 'visit')).toEqual([2, Arrival.ADDRESS_VISITS]);
  });

  it('open no faster than handshakes and requests may come, by address and in all', () => {
    const { fronts, clock } = setUp({
      connections: 0,
      connectionsPerAddress: 0,
      handshakes: 20,
      requests: 10,
    });
    expect(come(fronts, 50, 1, 2, 'visit')).toEqual([40, Arrival.ADDRESS_OPENINGS]);
    expect(come(fronts, 50, 2, 2, 'visit')).toEqual([20, Arrival.OPENINGS]);
    clock.ms += 1000;
    expect(come(fronts, 50, 1, 2, 'visit')).toEqual([20, Arrival.ADDRESS_OPENINGS]);
  });
});

it('requests of an address come at their own rate, and all together too', () => {
  const { fronts, clock } = setUp({ requests: 16 });
  expect(come(fronts, 30, 1, 2, 'request')).toEqual([20, Arrival.ADDRESS_REQUESTS]);
  expect(come(fronts, 3)).toEqual([3, Arrival.OK]);
  expect(come(fronts, 30, 2, 2, 'request')).toEqual([12, Arrival.REQUESTS]);
  clock.ms += 1000;
  expect(come(fronts, 30, 1, 2, 'request')).toEqual([10, Arrival.ADDRESS_REQUESTS]);
});

describe('tokens that do not do', () => {
  it('are looked at until there are too many of an address, and then at their rate', () => {
    const { fronts, clock } = setUp();
    const [one, other] = fronts;
    const tries = (most: number) => {
      for (let i = 0; i < most; i++) {
        if (!one.mayTry(1, 2)) return i;
        other.failed(1, 2);
      }
      return most;
    };
    expect(tries(20)).toBe(10);
    expect([one.mayTry(1, 2), one.retryMs]).toEqual([false, 200]);
    expect(one.mayTry(2, 2)).toBe(true);
    clock.ms += 1000;
    expect(tries(20)).toBe(5);
  });

  it('keep others waiting no longer for having come all at once', () => {
    const { fronts, clock } = setUp();
    for (let i = 0; i < 1000; i++) fronts[0].failed(1, 2);
    expect([fronts[0].mayTry(1, 2), fronts[0].retryMs]).toEqual([false, 2200]);
    clock.ms += 2200;
    expect(fronts[0].mayTry(1, 2)).toBe(true);
  });

  it('do not count those that do', () => {
    const { fronts } = setUp();
    for (let i = 0; i < 1000; i++) expect(fronts[0].mayTry(1, 2)).toBe(true);
  });
});

it('a WebSocket that was not counted for its address is told so, and takes nobody away', () => {
  const { fronts } = setUp({ connectionsPerAddress: 1 });
  const [front] = fronts;
  for (let i = 0; i < 8; i++)
    expect([front.arrive(5 + i * 128, 2), front.counted]).toEqual([Arrival.OK, true]);
  expect([front.arrive(5 + 8 * 128, 2), front.counted]).toEqual([Arrival.OK, false]);
});

it.each([
  ['127.0.0.1', false, false],
  ['::1', false, false],
  ['127.0.0.1', true, true],
  ['192.0.2.1', false, true],
])('limits hold for %s, asked for tokens: %s: %s', (address, authenticated, limited) => {
  expect(isLimited(address, authenticated)).toBe(limited);
});
