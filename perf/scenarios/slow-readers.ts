import { PLENTY, type Scenario } from '../stress/scenario.ts';

export const slowReaders: Scenario = {
  name: 'slow-readers',
  summary: 'some clients send and never read; the others must not notice',
  shows: 'the latency of the others, and that the server closes whom it cannot send to',
  seconds: 8,
  warmUpSeconds: 2,
  skus: 1000,
  popularity: 'uniform',
  unitsPerSku: PLENTY,
  streams: [
    { connections: 50, ratePerSecond: 20_000, commandsPerFrame: 1, ttlMs: 200 },
    {
      connections: 4,
      ratePerSecond: 200_000,
      commandsPerFrame: 50,
      ttlMs: 200,
      deaf: true,
      background: true,
    },
  ],
};
