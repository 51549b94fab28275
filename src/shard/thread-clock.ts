import { monotonicMs } from '../base/clock.ts';
import { type StageMemory, ThreadTime, threadTimes } from './stage-memory.ts';

/** Asking the kernel costs a system call, and an object. */
const CPU_EVERY_US = 50_000;

/** How busy a thread is, as it says itself: a worker, or the storage thread. Whatever it does not account for is idle time. */
export class ThreadClock {
  private readonly times: Float64Array;
  /** Busy time since the CPU time was last read, and what was read then, µs. */
  private unreadUs = 0;
  private cpuUs = 0;

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
    this.unreadUs += tookMs * 1000;
    if (this.unreadUs >= CPU_EVERY_US) this.readCpu();
  }

  /** Waited for a disk or a network (see IoKind). */
  waited(tookMs: number, kind: number): void {
    this.times[ThreadTime.IO] = (this.times[ThreadTime.IO] as number) + tookMs * 1000;
    this.times[ThreadTime.IO_KIND] = kind;
  }

  private readCpu(): void {
    this.unreadUs = 0;
    const { user, system } = process.threadCpuUsage();
    this.times[ThreadTime.CPU] = (this.times[ThreadTime.CPU] as number) + user + system - this.cpuUs;
    this.cpuUs = user + system;
  }
}
