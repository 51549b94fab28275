import type { Piscina } from 'piscina';
import { orThrow } from '../storage/pool-tasks.ts';
import type { Recovery, RecoveryTask } from '../storage/recovery.ts';
import type { SnapshotResult, SnapshotTask } from '../storage/snapshot-task.ts';
import { threadPool } from './thread-pool.ts';
import { threadUrl } from './thread-url.ts';

/** Threads of the pool end when they had nothing to do for so long. */
const IDLE_MS = 10_000;

/** Threads for CPU-heavy work beside the workers: recovery of segments, encoding of snapshots. */
export class Pool {
  readonly threads: number;
  private readonly piscina: Piscina;

  constructor(threads: number) {
    this.threads = threads;
    this.piscina = threadPool(threadUrl('pool'), { minThreads: 0, maxThreads: threads, idleMs: IDLE_MS });
  }

  /** Starts all threads, so that they are there when there is work for them. */
  warm(): void {
    for (let thread = 0; thread < this.threads; thread++)
      void this.piscina.run(undefined, { name: 'ready' }).catch(() => {});
  }

  /** Throws StoreError. */
  async recover(task: RecoveryTask): Promise<Recovery> {
    return orThrow<Recovery>(await this.piscina.run(task, { name: 'recover' }));
  }

  /** Throws StoreError. */
  async snapshot(task: SnapshotTask): Promise<SnapshotResult> {
    return orThrow<SnapshotResult>(await this.piscina.run(task, { name: 'snapshot' }));
  }

  /** Ends all threads. Tasks under way reject. */
  destroy(): Promise<void> {
    // A thread may have answered just before it is ended. Piscina has given its task up by then, and reports the answer
    // as an error, which without a listener would end the process.
    this.piscina.on('error', () => {});
    return this.piscina.destroy();
  }
}
