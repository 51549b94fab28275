import { type Recovery, type RecoveryTask, recoverSegments } from '../src/storage/recovery.ts';
import { type SnapshotResult, type SnapshotTask, takeSnapshot } from '../src/storage/snapshot-task.ts';
import { StoreError, type StoreErrorCode } from '../src/storage/store.ts';

/** A StoreError on its way to another thread, where an error arrives without its class and code. */
export interface PoolFailure {
  readonly failure: { readonly code: StoreErrorCode; readonly message: string };
}

/** Does nothing: the thread is there. */
export function ready(): void {}

/** Restores segments. */
export function recover(task: RecoveryTask): Promise<Recovery | PoolFailure> {
  return passOn(recoverSegments(task));
}

/** Takes a snapshot. */
export function snapshot(task: SnapshotTask): Promise<SnapshotResult | PoolFailure> {
  return passOn(takeSnapshot(task));
}

async function passOn<T>(result: Promise<T>): Promise<T | PoolFailure> {
  try {
    return await result;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { failure: { code: error.code, message: error.message } };
  }
}
