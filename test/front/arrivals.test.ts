import { describe, expect, it } from 'vitest';
import {
  Arrival,
  type ArrivalLimits,
  Arrivals,
  allocateArrivals,
  isLimited,
} from '../../src/front/arrivals.ts';

const LIMITS: ArrivalLimits = { connectionsPerAddress: 3, handshakes: 1000, handshakesPerAddress: 10 };

/** Two fronts over one memory, at a time that the test sets. */
function setUp(limits: Partial<ArrivalLimits> = {}, startMs = 0) {
  const memory = allocateArrivals(1);
  const clock = { ms: startMs };
  const make = () => new Arrivals(memory, { ...LIMITS, ...limits }, () => clock.ms | 0);
  return { fronts: [make(), make()] as const, clock };
}

/** How many of `count` handshakes are let in, and what refuses the first that is not. */
function come(fronts: readonly Arrivals[], count: number, lo = 1, hi = 2): [number, number] {
  let first = Arrival.OK as number;
  let came = 0;
  for (let i = 0; i < count; i++) {
    const refusal = (fronts[i % fronts.length] as Arrivals).arrive(lo, hi);
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

it.each([
  ['127.0.0.1', false, false],
  ['::1', false, false],
  ['127.0.0.1', true, true],
  ['192.0.2.1', false, true],
])('limits hold for %s, asked for tokens: %s: %s', (address, authenticated, limited) => {
  expect(isLimited(address, authenticated)).toBe(limited);
});
