import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Processes, not threads: uWebSockets.js aborts the process when a thread ends with sockets open.
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    // What is polled for comes soon; on a busy machine a second is not always enough.
    expect: { poll: { timeout: 10_000 } },
    // A test that is left focused would hide all others.
    allowOnly: false,
  },
});
