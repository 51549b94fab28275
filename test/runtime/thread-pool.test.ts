import { expect, test } from 'vitest';
import { threadPool } from '../../src/runtime/thread-pool.ts';

// A thread that is ended while it requires a module aborts the process, now and then.
test('the threads of a pool import their module and never require it', async () => {
  const pool = threadPool(new URL('./fixtures/how-loaded.ts', import.meta.url), {
    minThreads: 1,
    maxThreads: 1,
  });
  try {
    expect(await pool.run(undefined, { name: 'loadedBy' })).not.toMatch(/require|runSync/i);
  } finally {
    await pool.destroy();
  }
});
