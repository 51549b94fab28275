import { PLENTY, type Scenario } from '../stress/scenario.ts';

export const expiryWave: Scenario = {
  name: 'expiry-wave',
  summary: 'half a million holds end at one instant, while others go on buying',
  shows: 'how long the others wait while the wave is worked off (the highest latencies)',
  seconds: 8,
  warmUpSeconds: 2,
  skus: 1000,
  popularity: 'uniform',
  unitsPerSku: PLENTY,
  streams: [
    { connections: 50, ratePerSecond: 10_000, commandsPerFrame: 1, ttlMs: 200 },
    {
      connections: 8,
      framesInFlight: 2,
      commandsPerFrame: 100,
      ttlMs: 0,
      endTogetherMs: 5000,
      holds: 500_000,
      background: true,
    },
  ],
};
