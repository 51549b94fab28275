import type { MessagePort } from 'node:worker_threads';
import { FrontControl, frontControlOf } from '../shard/memory.ts';
import { FrontEnd, type FrontEndOptions } from './front-end.ts';

/** What a front's thread is asked. */
export type FrontRequest =
  /** Take nothing new, and say when what is under way is answered. */
  | { ask: 'drain'; timeoutMs: number }
  /** Close every connection in order, and end. */
  | { ask: 'close' }
  /** Drop every connection, and be ready to be ended. */
  | { ask: 'end' };

/** What it tells. */
export type FrontReport =
  | { tell: 'ready'; descriptor: number }
  | { tell: 'drained' }
  /** A bug; the thread still runs, since its sockets must be gone before it ends. */
  | { tell: 'failed'; detail: string };

/** A socket that was on its way from the thread that listens arrives within this time. */
const LATE_SOCKET_MS = 5;

/**
 * The life of a front on a thread of its own. uWebSockets.js aborts the process when such a thread ends with sockets open, so it ends
 * by itself, when asked, and nobody terminates it before its control block says ENDED.
 */
export function frontThread(options: FrontEndOptions, port: MessagePort): void {
  const tell = (report: FrontReport): void => port.postMessage(report);
  process.on('uncaughtException', (error) => tell({ tell: 'failed', detail: error.stack ?? String(error) }));
  const end = new FrontEnd(options, (error) => {
    throw error;
  });
  const leave = (): void => {
    end.destroy();
    setTimeout(() => {
      end.destroy();
      // Handles are closed in the turn after the one in which that was asked for.
      setImmediate(() => setImmediate(sayEnded));
    }, LATE_SOCKET_MS);
  };
  const sayEnded = (): void => {
    const control = frontControlOf(options.memory, options.front);
    Atomics.store(control, FrontControl.ENDED, 1);
    Atomics.notify(control, FrontControl.ENDED);
    port.close();
  };
  port.on('message', (request: FrontRequest) => {
    if (request.ask === 'drain') void end.drain(request.timeoutMs).then(() => tell({ tell: 'drained' }));
    else if (request.ask === 'close') void end.close().then(leave);
    else leave();
  });
  tell({ tell: 'ready', descriptor: end.sockets.descriptor });
}
