import type { Scenario } from '../stress/scenario.ts';

export const flash: Scenario = {
  name: 'flash',
  summary: 'a million buyers for 10,000 units within seconds: 99 % are refused',
  shows: 'how fast those who get nothing are told so, and that no unit is promised twice',
  seconds: 20,
  warmUpSeconds: 0,
  skus: 1,
  popularity: 'uniform',
  unitsPerSku: 10_000,
  streams: [{ connections: 1000, framesInFlight: 5, commandsPerFrame: 1, ttlMs: 8000, holds: 1_000_000 }],
};
