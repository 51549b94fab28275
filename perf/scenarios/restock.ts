import type { Scenario } from '../stress/scenario.ts';

export const restock: Scenario = {
  name: 'restock',
  summary: 'sold out at once, then stock comes in the middle of the rush',
  shows: 'refusals before and after, and that the new units are sold once each',
  seconds: 8,
  warmUpSeconds: 2,
  skus: 20,
  popularity: 'uniform',
  unitsPerSku: 500,
  streams: [
    {
      connections: 100,
      ratePerSecond: 30_000,
      commandsPerFrame: 1,
      ttlMs: 1500,
      checkout: { confirm: 1, release: 0, thinkMs: [10, 300] },
    },
  ],
  restock: { at: 0.5, units: 500 },
};
