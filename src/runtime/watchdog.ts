import { Worker } from 'node:worker_threads';
import type { FrontSign, FrontWatchOptions } from '../front/front-watch.ts';
import type { Log } from '../log/events.ts';
import { threadUrl } from './thread-url.ts';

/**
 * Watches the fronts from a thread of its own, since the first of them is the main thread, which nobody else watches. A front cannot be ended
 * without the process, for uWebSockets.js cannot lose a thread that has sockets. So one that is lost ends all, for whoever runs the server to
 * start it again.
 */
export class Watchdog {
  private readonly thread: Worker;

  constructor(options: FrontWatchOptions, log: Log) {
    this.thread = new Worker(threadUrl('watchdog'), { name: 'watchdog', workerData: options });
    this.thread.on('message', ({ sign, front, silentMs }: FrontSign) => {
      if (sign === 'back') log({ event: 'front-back', front, silentMs });
      else log({ event: 'front-silent', front, silentMs });
    });
    this.thread.unref();
  }

  async stop(): Promise<void> {
    await this.thread.terminate();
  }
}
