import { expect, test } from 'vitest';
import { Pool } from '../../src/runtime/pool.ts';
import type { RecoveryTask } from '../../src/storage/recovery.ts';

// Without the pool's own care the late answer is an uncaught exception, which fails this run and ended the server.
test('an answer that comes while the pool is being destroyed does no harm', async () => {
  const pool = new Pool(1);
  const first = pool.recover({} as RecoveryTask);
  const second = pool.recover({} as RecoveryTask);
  const given = expect(second).rejects.toThrow('Terminating worker thread');
  const destroyed = first.catch(() => {
    // The thread has the second task by now, and answers it while this one stands still.
    const until = performance.now() + 100;
    while (performance.now() < until);
    return pool.destroy();
  });
  await expect(destroyed).resolves.toBeUndefined();
  await given;
});
