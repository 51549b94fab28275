import { type MessagePort, Worker } from 'node:worker_threads';
import type { AdmissionRules } from '../admission/rules.ts';
import type { FrontEndHooks, FrontEndOptions } from '../front/front-end.ts';
import type { FrontReport, FrontRequest, MainAnswer } from '../front/front-thread.ts';
import type { TlsFiles } from '../front/listener.ts';
import type { Log } from '../log/events.ts';
import { ProfileBusyError } from '../profile/profile-report.ts';
import type { Doorbell } from '../ring/doorbell.ts';
import { FrontControl, frontControlOf, frontDoorbells } from '../shard/memory.ts';
import { threadUrl } from './thread-url.ts';

/** Time that the threads get to drop their sockets when the process ends at once. */
const END_MS = 1000;

/** A thread that does not answer by then hangs. */
const LATE_MS = 1000;

interface Running {
  readonly front: number;
  readonly thread: Worker;
  readonly control: Int32Array;
  readonly ended: Promise<void>;
}

export interface FrontThreadsHooks {
  /** A front cannot go on; the server must end. */
  onFailed: (reason: string) => void;
  profile: FrontEndHooks['profile'];
  rules: FrontEndHooks['rules'];
  /** Takes what the fronts have for the log. */
  log: Log;
  traced: FrontEndHooks['traced'];
}

/** The fronts other than the main thread's, as the main thread sees them. */
export class FrontThreads {
  private readonly options: FrontEndOptions;
  private readonly hooks: FrontThreadsHooks;
  private readonly running: Running[] = [];
  private readonly doorbells: readonly Doorbell[];
  private stopping = false;
  private readonly atExit = (): void => this.endAtOnce();

  constructor(options: FrontEndOptions, hooks: FrontThreadsHooks) {
    this.options = options;
    this.hooks = hooks;
    this.doorbells = frontDoorbells(options.memory).slice(1);
  }

  /** Starts a thread for each front but the first. Resolves to their socket servers' descriptors when they run. */
  async start(): Promise<number[]> {
    if (this.doorbells.length === 0) return [];
    process.once('exit', this.atExit);
    return await Promise.all(this.doorbells.map((_, i) => this.spawn(i + 1)));
  }

  /** Has every front look at its rings. */
  wake(): void {
    for (const doorbell of this.doorbells) doorbell.ring();
  }

  setRules(rules: AdmissionRules): void {
    for (const { thread } of this.running) ask(thread, { ask: 'rules', rules });
  }

  /**
   * Has every front give connections to come the certificate that is in the files now. Resolves to their socket servers' descriptors. Rejects
   * when one cannot, with the others as before for whoever deals out sockets.
   */
  async renew(tls: TlsFiles): Promise<number[]> {
    const told = await Promise.all(
      this.running.map(({ thread, ended }) => {
        const renewed = reported(thread, 'renewed');
        ask(thread, { ask: 'certificate', tls });
        return Promise.race([renewed, ended, after(LATE_MS)]);
      }),
    );
    return told.map((report, i) => {
      const { front } = this.running[i] as Running;
      const problem = report === undefined ? 'it does not answer' : report.problem;
      if (report === undefined || problem !== undefined) throw new Error(`front ${front}: ${problem}`);
      return report.descriptor;
    });
  }

  /** No more commands are taken. Resolves when those under way are answered, or after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    await Promise.all(
      this.running.map(({ thread, ended }) => {
        const drained = reported(thread, 'drained');
        ask(thread, { ask: 'drain', timeoutMs });
        return Promise.race([drained, ended, after(timeoutMs + LATE_MS)]);
      }),
    );
  }

  /** Closes every connection in order, and ends the threads. */
  async close(): Promise<void> {
    this.stopping = true;
    for (const { thread } of this.running) ask(thread, { ask: 'close' });
    await Promise.all(this.running.map(({ ended }) => ended));
    process.removeListener('exit', this.atExit);
  }

  private async spawn(front: number): Promise<number> {
    const thread = new Worker(threadUrl('front'), {
      name: `front-${front}`,
      workerData: { ...this.options, front } satisfies FrontEndOptions,
    });
    let ready = false;
    let failure: string | undefined;
    const failed = (detail: string): void => {
      // The first is the one to know of.
      if (failure !== undefined) return;
      failure = detail;
      if (ready && !this.stopping) this.hooks.onFailed(`front ${front} failed: ${detail}`);
    };
    thread.on('message', (report: FrontReport) => {
      if (report.tell === 'failed') failed(report.detail);
      else if (report.tell === 'log') this.hooks.log(report.event);
      else if (report.tell === 'traced') this.hooks.traced(report.trace);
      else if (report.tell === 'profile') void answer(report.answer, this.hooks.profile(report.request));
      else if (report.tell === 'rules') void answer(report.answer, this.hooks.rules[report.order]());
    });
    thread.once('error', (error) =>
      failed(error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
    const ended = new Promise<void>((resolve) => {
      thread.once('exit', (code) => {
        failed(`the thread ended with code ${code}`);
        resolve();
      });
    });
    const first = await Promise.race([reported(thread, 'ready'), ended]);
    if (first === undefined) throw new Error(`front ${front} did not start: ${failure}`);
    ready = true;
    this.running.push({ front, thread, control: frontControlOf(this.options.memory, front), ended });
    return first.descriptor;
  }

  /** When the process ends, it terminates its threads. That must not meet one with sockets, or it becomes an abort. */
  private endAtOnce(): void {
    for (const { thread } of this.running) ask(thread, { ask: 'end' });
    const deadline = performance.now() + END_MS;
    for (const { control } of this.running) {
      const left = Math.max(0, deadline - performance.now());
      if (Atomics.load(control, FrontControl.ENDED) === 0) Atomics.wait(control, FrontControl.ENDED, 0, left);
    }
  }
}

/** Answers a front that asked the main thread for something. */
async function answer<T>(port: MessagePort, asked: Promise<T>): Promise<void> {
  let message: MainAnswer<T>;
  try {
    message = { value: await asked };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    message = { busy: error instanceof ProfileBusyError, reason };
  }
  port.postMessage(message);
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

function ask(thread: Worker, request: FrontRequest): void {
  thread.postMessage(request);
}

function reported<Tell extends FrontReport['tell']>(
  thread: Worker,
  tell: Tell,
): Promise<Extract<FrontReport, { tell: Tell }>> {
  return new Promise((resolve) => {
    const take = (report: FrontReport): void => {
      if (report.tell !== tell) return;
      thread.off('message', take);
      resolve(report as Extract<FrontReport, { tell: Tell }>);
    };
    thread.on('message', take);
  });
}
