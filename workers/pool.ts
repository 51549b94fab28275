import { type Recovery, type RecoveryTask, recoverSegments } from '../src/storage/recovery.ts';
import { type SnapshotResult, type SnapshotTask, takeSnapshot } from '../src/storage/snapshot-task.ts';

/** The tasks of the pool's threads, by name. */
export function recover(task: RecoveryTask): Promise<Recovery> {
  return recoverSegments(task);
}

export function snapshot(task: SnapshotTask): Promise<SnapshotResult> {
  return takeSnapshot(task);
}
