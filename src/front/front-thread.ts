import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { AdmissionRules } from '../admission/rules.ts';
import { type LogEvent, wantedAt } from '../log/events.ts';
import { Fold } from '../log/fold.ts';
import { ProfileBusyError, type ProfileRequest } from '../profile/profile-report.ts';
import { FrontControl, frontControlOf } from '../shard/memory.ts';
import type { CommandTrace } from '../trace/command-trace.ts';
import { FrontEnd, type FrontEndHooks, type FrontEndOptions, openAuthenticator } from './front-end.ts';
import type { TlsFiles } from './listener.ts';
import type { RulesDesk } from './rules-desk.ts';

/** What a front's thread is asked. */
export type FrontRequest =
  /** Go by these rules of admission from now on. */
  | { ask: 'rules'; rules: AdmissionRules }
  /** Give connections from now on the certificate that is in the files now, and say when that is done. */
  | { ask: 'certificate'; tls: TlsFiles }
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
  /** Who gets sockets from now on, also when it is the one from before for this problem. */
  | { tell: 'renewed'; descriptor: number; problem: string | undefined }
  /** Asked for a profile, which the main thread takes and sends to the port. */
  | { tell: 'profile'; request: ProfileRequest; answer: MessagePort }
  /** Asked for the rules of admission, which the main thread keeps. */
  | { tell: 'rules'; order: keyof RulesDesk; answer: MessagePort }
  /** Something for the log, which the main thread writes. */
  | { tell: 'log'; event: LogEvent }
  /** A command that was traced, of which the main thread makes spans. */
  | { tell: 'traced'; trace: CommandTrace }
  /** A bug; the thread still runs, since its sockets must be gone before it ends. */
  | { tell: 'failed'; detail: string };

/** What the main thread answers with; `busy`: try again later. */
export type MainAnswer<T> = { value: T } | { busy: boolean; reason: string };

/** A socket that was on its way from the thread that listens arrives within this time. */
const LATE_SOCKET_MS = 5;

/**
 * The life of a front on a thread of its own. uWebSockets.js aborts the process when such a thread ends with sockets open, so it ends
 * by itself, when asked, and nobody terminates it before its control block says ENDED.
 */
export async function frontThread(options: FrontEndOptions, port: MessagePort): Promise<void> {
  const tell = (report: FrontReport): void => port.postMessage(report);
  process.on('uncaughtException', (error) => tell({ tell: 'failed', detail: error.stack ?? String(error) }));
  // Folded here, so that a flood does not become one of messages to the main thread.
  const fold = new Fold((event) => tell({ tell: 'log', event }));
  const wanted = wantedAt(options.logLevel);
  const hooks: FrontEndHooks = {
    log: (event) => wanted(event) && fold.log(event),
    traced: (trace) => tell({ tell: 'traced', trace }),
    onFault: (error) => {
      throw error;
    },
    profile: (request) => ask(port, (answer) => ({ tell: 'profile', request, answer })),
    rules: {
      report: () => ask(port, (answer) => ({ tell: 'rules', order: 'report', answer })),
      reload: () => ask(port, (answer) => ({ tell: 'rules', order: 'reload', answer })),
    },
  };
  const end = new FrontEnd(options, hooks, await openAuthenticator(options.auth, fold.log));
  const leave = (): void => {
    end.destroy();
    setTimeout(() => {
      end.destroy();
      // Handles are closed in the turn after the one in which that was asked for.
      setImmediate(() => setImmediate(sayEnded));
    }, LATE_SOCKET_MS);
  };
  const renew = (tls: TlsFiles): void => {
    let problem: string | undefined;
    try {
      end.sockets.renew(tls);
    } catch (error) {
      problem = String(error);
    }
    tell({ tell: 'renewed', descriptor: end.sockets.descriptor, problem });
  };
  const sayEnded = (): void => {
    fold.flush();
    const control = frontControlOf(options.memory, options.front);
    Atomics.store(control, FrontControl.ENDED, 1);
    Atomics.notify(control, FrontControl.ENDED);
    port.close();
  };
  port.on('message', (request: FrontRequest) => {
    if (request.ask === 'drain') void end.drain(request.timeoutMs).then(() => tell({ tell: 'drained' }));
    else if (request.ask === 'rules') end.setRules(request.rules);
    else if (request.ask === 'certificate') renew(request.tls);
    else if (request.ask === 'close') void end.close().then(leave);
    else leave();
  });
  tell({ tell: 'ready', descriptor: end.sockets.descriptor });
}

/** Asks the main thread for something, and for an answer to a port of its own. */
function ask<T>(main: MessagePort, report: (answer: MessagePort) => FrontReport): Promise<T> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve, reject) => {
    port1.once('message', (answer: MainAnswer<T>) => {
      port1.close();
      if ('value' in answer) resolve(answer.value);
      else reject(answer.busy ? new ProfileBusyError(answer.reason) : new Error(answer.reason));
    });
    main.postMessage(report(port2), [port2]);
  });
}
