import { PLENTY, type Scenario } from '../stress/scenario.ts';

export const overload: Scenario = {
  name: 'overload',
  summary: 'ten times as many commands as the server takes',
  shows: 'what is still served, how fast, and that the rest is refused or counted as unanswered',
  seconds: 6,
  warmUpSeconds: 2,
  skus: 1000,
  popularity: 'uniform',
  unitsPerSku: PLENTY,
  streams: [{ connections: 200, framesInFlight: 4, commandsPerFrame: 20, ttlMs: 200 }],
  timesCapacity: 10,
};
