import { PLENTY, type Scenario } from '../stress/scenario.ts';

export const hot: Scenario = {
  name: 'hot',
  summary: 'everybody wants one SKU, of which there is enough',
  shows: 'the rate of one SKU, which one worker serves alone: more workers do not help here',
  seconds: 10,
  warmUpSeconds: 2,
  skus: 1,
  popularity: 'uniform',
  unitsPerSku: PLENTY,
  streams: [{ connections: 100, framesInFlight: 50, commandsPerFrame: 1, ttlMs: 200 }],
};
