import type { MessagePort } from 'node:worker_threads';
import type { Pass } from '../load/pass.ts';
import type { Stream } from './scenario.ts';

/** One thread's share of a run. */
export interface Share {
  readonly port: number;
  readonly pass: Pass;
  readonly skuPrefix: string;
  readonly skus: number;
  readonly popularity: 'uniform' | 'zipf';
  readonly streams: readonly Stream[];
  /** Number of the thread, for names and seeds. */
  readonly thread: number;
  readonly seed: number;
  /** Length of the run, and longest wait for the last answers, ms. */
  readonly lengthMs: number;
  readonly drainMs: number;
  readonly periodMs: number;
  /** Server's time less Date.now(), ms. */
  readonly aheadMs: number;
  /** Server's time at about the start, and how far behind it the last deadline may lie, ms. */
  readonly originMs: number;
  readonly spanMs: number;
  /** Gets a 'ready' when all connections are open, then every Period; a message back starts the run. */
  readonly told: MessagePort;
}
