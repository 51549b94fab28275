import { PLENTY, type Scenario } from '../stress/scenario.ts';

export const reconnectStorm: Scenario = {
  name: 'reconnect-storm',
  summary: 'connections break and come back all the time, with commands under way',
  shows: 'that what a broken connection had under way is in the books once or not at all',
  seconds: 8,
  warmUpSeconds: 2,
  skus: 1000,
  popularity: 'uniform',
  unitsPerSku: PLENTY,
  streams: [
    {
      connections: 500,
      ratePerSecond: 20_000,
      commandsPerFrame: 1,
      ttlMs: 1000,
      checkout: { confirm: 0.5, release: 0.25, thinkMs: [20, 200] },
      cutsPerSecond: 500,
    },
  ],
};
