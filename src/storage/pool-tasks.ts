import { type Recovery, type RecoveryTask, recoverSegments } from './recovery.ts';
import { type SnapshotResult, type SnapshotTask, takeSnapshot } from './snapshot-task.ts';
import { StoreError, type StoreErrorCode } from './store.ts';

/** A StoreError on its way to another thread, where an error arrives without its class and code. */
interface PoolFailure {
  readonly failure: { readonly code: StoreErrorCode; readonly message: string };
}

/** Does nothing: the thread is there. */
export function ready(): void {}

/** Restores segments; for orThrow() in the thread that asked. */
export function recover(task: RecoveryTask): Promise<Recovery | PoolFailure> {
  return passOn(recoverSegments(task));
}

/** Takes a snapshot; for orThrow() in the thread that asked. */
export function snapshot(task: SnapshotTask): Promise<SnapshotResult | PoolFailure> {
  return passOn(takeSnapshot(task));
}

/** The result of a task, or its StoreError thrown. */
export function orThrow<T extends object>(result: T | PoolFailure): T {
  if (!('failure' in result)) return result;
  const { code, message } = result.failure;
  throw new StoreError(code, message);
}

async function passOn<T>(result: Promise<T>): Promise<T | PoolFailure> {
  try {
    return await result;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { failure: { code: error.code, message: error.message } };
  }
}
