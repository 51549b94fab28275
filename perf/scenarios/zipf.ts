import { PLENTY, type Scenario } from '../stress/scenario.ts';

export const zipf: Scenario = {
  name: 'zipf',
  summary: 'a shop with a million SKUs, few of them in great demand',
  shows: 'the rate when caches help with the popular SKUs only',
  seconds: 10,
  warmUpSeconds: 2,
  skus: 1_000_000,
  popularity: 'zipf',
  unitsPerSku: PLENTY,
  streams: [{ connections: 100, framesInFlight: 50, commandsPerFrame: 1, ttlMs: 200 }],
};
