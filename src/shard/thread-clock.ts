import { monotonicMs } from '../base/clock.ts';
import { type StageMemory, ThreadTime, threadTimes } from './stage-memory.ts';

/** How busy a thread is, as it says itself: a worker, or the storage thread. Whatever it does not account for is idle time. */
export class ThreadClock {
  private readonly times: Float64Array;

  /** @param thread see threadTimes(); a thread that takes the place of one that died carries on its account */
  constructor(memory: StageMemory, thread: number) {
    this.times = threadTimes(memory, thread);
    if (this.times[ThreadTime.STARTED] === 0) this.times[ThreadTime.STARTED] = monotonicMs() * 1000;
  }

  get waitedMs(): number {
    return (this.times[ThreadTime.IO] as number) / 1000;
  }

  busy(tookMs: number): void {
    this.times[ThreadTime.BUSY] = (this.times[ThreadTime.BUSY] as number) + tookMs * 1000;
  }

  /** Waited for a disk or a network (see IoKind). */
  waited(tookMs: number, kind: number): void {
    this.times[ThreadTime.IO] = (this.times[ThreadTime.IO] as number) + tookMs * 1000;
    this.times[ThreadTime.IO_KIND] = kind;
  }
}
