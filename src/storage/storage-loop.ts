import type { EngineMemory } from '../shard/memory.ts';
import { IoKind } from '../shard/stage-memory.ts';
import { ThreadClock } from '../shard/thread-clock.ts';
import { ThreadHealth } from '../shard/thread-health.ts';
import { GroupCommit } from './group-commit.ts';
import { type JournalWriter, StoreError } from './store.ts';

/** With nothing to do, the event loop gets its turn this often: for messages, and for a store's connections. */
const IDLE_SLEEP_MS = 20;
/** With much to do, it gets one after this many groups. */
const GROUPS_PER_TURN = 32;
/**
 * A group of so many bytes, some 180 holds, tells of a load under which replies wait in queues anyway. The next one then begins so long
 * after it at the soonest, and is larger: each group costs a sync and several wake-ups, which take the cores from the other threads.
 */
const PACED_BYTES = 8 << 10;
const PACE_MS = 1;
/** Between two attempts at a store that is full or away. */
const RETRY_MS = 100;

export interface StorageLoopOptions {
  memory: EngineMemory;
  writer: JournalWriter;
  /** A group could not be made durable for now; `problem` is undefined when it is over. */
  onTrouble: (problem: StoreError | undefined) => void;
}

/**
 * The life of the storage thread. Resolves when the control block says STOP and nothing waits; rejects when the store failed for
 * good.
 */
export async function runStorage({ memory, writer, onTrouble }: StorageLoopOptions): Promise<void> {
  const group = new GroupCommit(memory, writer);
  const time = new ThreadClock(memory.stages, memory.workers.length);
  const health = new ThreadHealth(memory.counters, 'storage');
  const ready = (): boolean => group.waiting() || group.stopping;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    const startedMs = performance.now();
    const waitedMs = time.waitedMs;
    health.look(startedMs);
    const bytes = group.gather();
    if (bytes === 0) {
      if (group.stopping) return;
      const rung = group.doorbell.sleep(IDLE_SLEEP_MS, ready);
      if (group.waiting()) continue;
      // Rung for a message, or for nothing.
      if (!rung) writer.mark?.();
      await turn();
      continue;
    }
    await commit(writer, time, onTrouble);
    group.publish();
    const tookMs = performance.now() - startedMs;
    health.heldUp(tookMs);
    time.busy(tookMs - (time.waitedMs - waitedMs));
    const pauseMs = PACE_MS - tookMs;
    if (bytes >= PACED_BYTES && pauseMs > 0) rest(pause, pauseMs);
    if (group.groups % GROUPS_PER_TURN === 0) await turn();
  }
}

/** Waits for so long, whatever comes. A function of its own, so that a profile can tell this time from work. */
function rest(pause: Int32Array, ms: number): void {
  Atomics.wait(pause, 0, 0, ms);
}

/** Makes the group durable, however long that takes while the store says that it may come to it. */
async function commit(
  writer: JournalWriter,
  time: ThreadClock,
  onTrouble: StorageLoopOptions['onTrouble'],
): Promise<void> {
  for (let troubled = false; ; ) {
    const syncedMs = writer.syncMs ?? 0;
    try {
      const pending = writer.commit();
      if (pending === undefined) time.waited((writer.syncMs ?? 0) - syncedMs, IoKind.DISK);
      else await timed(pending, time);
      if (troubled) onTrouble(undefined);
      return;
    } catch (error) {
      if (!(error instanceof StoreError && error.retryable)) throw error;
      if (!troubled) onTrouble(error);
      troubled = true;
      await timed(new Promise<void>((resolve) => setTimeout(resolve, RETRY_MS)), time);
    }
  }
}

/** Counts the time until a promise settles as waiting for the store. */
async function timed(pending: Promise<void>, time: ThreadClock): Promise<void> {
  const startedMs = performance.now();
  try {
    await pending;
  } finally {
    time.waited(performance.now() - startedMs, IoKind.NETWORK);
  }
}

/** Lets the event loop run once. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
