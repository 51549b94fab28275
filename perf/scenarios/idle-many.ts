import { PLENTY, type Scenario } from '../stress/scenario.ts';

export const idleMany: Scenario = {
  name: 'idle-many',
  summary: '10,000 connections, of which only a few say anything',
  shows: 'that those who wait cost those who buy nothing',
  seconds: 8,
  warmUpSeconds: 2,
  skus: 1000,
  popularity: 'uniform',
  unitsPerSku: PLENTY,
  streams: [
    { connections: 50, ratePerSecond: 20_000, commandsPerFrame: 1, ttlMs: 200 },
    { connections: 9950, ratePerSecond: 100, commandsPerFrame: 1, ttlMs: 200, background: true },
  ],
};
