import { writeSync } from 'node:fs';
import { type MessagePort, Worker } from 'node:worker_threads';
import { EVENTS, type Log, type LogEvent } from '../log/events.ts';
import { type FrontSign, FrontWatch, type FrontWatchOptions } from './front-watch.ts';
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

const STDERR = 2;

/** The watchdog's own thread. */
export function watchdogThread(options: FrontWatchOptions, port: MessagePort): void {
  const watch = new FrontWatch(options, (sign) => {
    if (sign.sign !== 'lost') {
      port.postMessage(sign);
      return;
    }
    const { front, silentMs } = sign;
    const detail = `front ${front} has shown no sign of life for ${silentMs} ms; the process is killed`;
    // The main thread, which writes all other lines, may be the one that hangs.
    sayAtOnce({ event: 'ending', detail, exitCode: 128 + SIGKILL });
    process.kill(process.pid, 'SIGKILL');
  });
  setInterval(() => watch.look(), watch.everyMs);
}

const SIGKILL = 9;

function sayAtOnce({ event, ...fields }: Extract<LogEvent, { event: 'ending' }>): void {
  const { level, says } = EVENTS[event];
  const line = { level, time: new Date().toISOString(), event, ...fields, msg: says };
  try {
    writeSync(STDERR, `${JSON.stringify(line)}\n`);
  } catch {
    // Nobody reads, and the process must end all the same.
  }
}
