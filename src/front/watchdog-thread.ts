import { writeSync } from 'node:fs';
import type { MessagePort } from 'node:worker_threads';
import { EVENTS, type LogEvent } from '../log/events.ts';
import { FrontWatch, type FrontWatchOptions } from './front-watch.ts';

const STDERR = 2;

const SIGKILL = 9;

/** The watchdog's own thread: tells the port what it sees, and ends the process when a front is lost. */
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

function sayAtOnce({ event, ...fields }: Extract<LogEvent, { event: 'ending' }>): void {
  const { level, says } = EVENTS[event];
  const line = { level, time: new Date().toISOString(), event, ...fields, msg: says };
  try {
    writeSync(STDERR, `${JSON.stringify(line)}\n`);
  } catch {
    // Nobody reads, and the process must end all the same.
  }
}
