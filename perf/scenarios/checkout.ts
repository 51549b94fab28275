import { PLENTY, type Scenario } from '../stress/scenario.ts';

export const checkout: Scenario = {
  name: 'checkout',
  summary: 'buyers hold, think, and then pay, give up or walk away',
  shows: 'latency of the whole mix at a steady rate; every payment is looked up in the books',
  seconds: 10,
  warmUpSeconds: 2,
  skus: 5000,
  popularity: 'zipf',
  unitsPerSku: PLENTY,
  streams: [
    {
      connections: 200,
      ratePerSecond: 20_000,
      commandsPerFrame: 1,
      ttlMs: 1500,
      checkout: { confirm: 0.6, release: 0.2, thinkMs: [50, 500] },
    },
  ],
};
