import type { Clock } from '../base/clock.ts';
import { Doorbell } from '../ring/doorbell.ts';
import { IdleStrategy } from '../ring/idle.ts';
import { add, ThreadCell } from './counters.ts';
import { strike } from './faults.ts';
import { Control, type EngineMemory, frontDoorbells, Lease } from './memory.ts';
import { Shard } from './shard.ts';
import { ThreadClock } from './thread-clock.ts';
import { ThreadHealth } from './thread-health.ts';

/** Commands between two looks at the clock and two publications. */
export const COMMAND_BATCH = 256;
/**
 * With more commands waiting, a sleeping front is woken only when this many replies are there: it then sends each client
 * many at once, where early wake-ups would have it send a few, at one system call each.
 */
const ANNOUNCE = 1024;
/** Holds that are ended in one go. Some 0.3 µs each, so commands wait for less than a millisecond. */
export const EXPIRY_BATCH = 1024;
/** How long an expiry may have to wait when nothing else happens, and how often it is looked for when much does. */
const EXPIRY_SLEEP_MS = 8;
const EXPIRY_EVERY_MS = 2;
/**
 * A worker with nothing to do looks this often: at its heartbeat, and whether the front, standing in for it, placed a hold that will
 * expire before long.
 */
const IDLE_SLEEP_MS = 32;
const LEASE_SLEEP_MS = 1;

/** The life of a worker thread. Returns when the control block says STOP and nothing waits any more. */
export function runWorker(memory: EngineMemory, worker: number, clock: Clock, spins: number): void {
  const shard = new Shard(memory, worker);
  const { control } = shard;
  const own = memory.workers[worker];
  if (own === undefined) throw new RangeError(`there is no worker ${worker}`);
  const doorbell = new Doorbell(own.sab, own.doorbell);
  const fronts = frontDoorbells(memory);
  const idle = new IdleStrategy(doorbell, { spins, maxSleepMs: IDLE_SLEEP_MS });
  const stopping = (): boolean => Atomics.load(control, Control.STOP) !== 0;
  const ready = (): boolean => shard.waiting() || stopping();
  const never = (): boolean => false;
  const time = new ThreadClock(memory.stages, worker);
  const health = new ThreadHealth(memory.counters, `shard-${worker}`);
  const { cells } = health;
  let nextExpiry = 0;
  let unannounced = 0;

  for (;;) {
    control[Control.HEARTBEAT] = ((control[Control.HEARTBEAT] as number) + 1) | 0;
    strike(control, -1);
    if (!shard.acquire(Lease.WORKER)) {
      doorbell.sleep(LEASE_SLEEP_MS, never);
      continue;
    }
    const startedMs = performance.now();
    const now = clock();
    let work = shard.runCommands(now, COMMAND_BATCH);
    shard.publish();
    if (work > 0) {
      control[Control.COMMANDS] = ((control[Control.COMMANDS] as number) + work) | 0;
      add(cells, ThreadCell.COMMANDS, work);
    }
    unannounced += work;
    // Also a turn without work may end a row of full batches.
    if (unannounced > 0 && (work < COMMAND_BATCH || unannounced >= ANNOUNCE)) {
      unannounced = 0;
      for (let front = 0; front < fronts.length; front++) {
        if (shard.takeDeliverable(front)) (fronts[front] as Doorbell).ring();
      }
    }
    shard.copyAsked();
    if (now >= nextExpiry) {
      const done = shard.runExpiry(now, EXPIRY_BATCH);
      nextExpiry = done < EXPIRY_BATCH ? now + EXPIRY_EVERY_MS : now;
      add(cells, ThreadCell.EXPIRED, shard.expired);
      work += done;
    }
    const sleepMs = work > 0 ? 0 : shard.anyOpen() ? EXPIRY_SLEEP_MS : IDLE_SLEEP_MS;
    shard.release();
    if (work > 0) {
      const tookMs = performance.now() - startedMs;
      time.busy(tookMs);
      noteTurn(control, tookMs);
      health.heldUp(tookMs);
    }
    health.look(startedMs);
    if (work === 0 && stopping() && !shard.waiting()) return;
    idle.idle(work, ready, sleepMs);
  }
}

/** Between two turns commands wait, so the longest tells how long a pause a client may have felt. */
function noteTurn(control: Int32Array, tookMs: number): void {
  const tookUs = Math.ceil(tookMs * 1000);
  if (tookUs > (control[Control.LONGEST_TURN_US] as number)) control[Control.LONGEST_TURN_US] = tookUs;
}
