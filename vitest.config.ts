import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Processes, not threads: uWebSockets.js aborts the process when a thread ends with sockets open.
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
    // What is polled for comes soon; on a busy machine a second is not always enough.
    expect: { poll: { timeout: 60_000 } },
    // Most of what they do is waiting: one file less than there are cores, as vitest has it, leaves half of two cores idle.
    maxWorkers: '100%',
    // Of one file.
    maxConcurrency: 20,
    // A test that is left focused would hide all others.
    allowOnly: false,
  },
});
