import { Session } from 'node:inspector';

/** An answer takes no longer than this, unless a thread hangs in native code. */
const ANSWER_MS = 10_000;

export interface InspectedThread {
  readonly name: string;
  /** Asks the thread's inspector; rejects when it refuses, does not answer, or the thread ends before. */
  ask<T>(method: string, params?: object): Promise<T>;
}

interface Asked {
  readonly sessionId: string;
  settle(answer: Answer): void;
}

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

interface Attached {
  readonly sessionId: string;
  readonly workerInfo: { readonly title: string };
}

/**
 * Reaches the inspector of every thread of the process from the main thread: its own by a session, those of the workers through it.
 * The engine interrupts JavaScript to answer, so that a thread need not turn its event loop, and a wait in Atomics.wait goes on
 * afterwards. Nothing of this exists while nobody asks. A session from a thread that comes and goes would spare the main thread
 * the reading of answers, but Node 22 aborts when such a thread ends before the main thread has let go of its session.
 */
export class ThreadInspector {
  readonly threads: readonly InspectedThread[];
  private readonly session: Session;
  private readonly asked: Map<number, Asked>;

  private constructor(session: Session, asked: Map<number, Asked>, threads: readonly InspectedThread[]) {
    this.session = session;
    this.asked = asked;
    this.threads = threads;
  }

  /** Call it on the main thread. `mainName` is what that is called. */
  static async connect(mainName: string): Promise<ThreadInspector> {
    const session = new Session();
    session.connect();
    const asked = new Map<number, Asked>();
    const attached: Attached[] = [];
    session.on('NodeWorker.attachedToWorker', ({ params }) => attached.push(params));
    session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
      const answer = JSON.parse(params.message) as Answer;
      if (answer.id !== undefined) asked.get(answer.id)?.settle(answer);
    });
    session.on('NodeWorker.detachedFromWorker', ({ params }) => {
      for (const one of asked.values()) {
        if (one.sessionId === params.sessionId) one.settle({ error: { message: 'the thread ended' } });
      }
    });
    let lastId = 0;
    const main: InspectedThread = {
      name: mainName,
      ask: <T>(method: string, params?: object) =>
        within<T>(`${method} of ${mainName}`, (settle) => {
          session.post(method, params ?? {}, (error, result) =>
            settle(error === null ? { result } : { error }),
          );
        }),
    };
    // The answer comes behind an event for each thread that is there.
    await main.ask('NodeWorker.enable', { waitForDebuggerOnStart: false });
    const workers = attached.map(({ sessionId, workerInfo }): InspectedThread => {
      const name = nameIn(workerInfo.title);
      const ask = <T>(method: string, params: object = {}) => {
        lastId += 1;
        const own = lastId;
        return within<T>(`${method} of ${name}`, (settle) => {
          asked.set(own, { sessionId, settle });
          const message = JSON.stringify({ id: own, method, params });
          session.post('NodeWorker.sendMessageToWorker', { sessionId, message }, (error) => {
            if (error !== null) settle({ error });
          });
        }).finally(() => asked.delete(own));
      };
      return { name, ask };
    });
    workers.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
    return new ThreadInspector(session, asked, [main, ...workers]);
  }

  /** Whatever still runs in the threads is ended by it. */
  close(): void {
    this.session.disconnect();
    for (const one of this.asked.values()) one.settle({ error: { message: 'the inspector was closed' } });
  }
}

/** Node calls a thread `[worker 3] name`. */
function nameIn(title: string): string {
  const [, id = '', name = ''] = /^\[worker (\d+)\] ?(.*)$/.exec(title) ?? [];
  return name === '' ? `worker-${id}` : name;
}

function within<T>(what: string, ask: (settle: (answer: Answer) => void) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${what} gave no answer within ${ANSWER_MS} ms`)),
      ANSWER_MS,
    );
    ask(({ result, error }) => {
      clearTimeout(timer);
      if (error === undefined) resolve(result as T);
      else reject(new Error(`${what}: ${error.message}`));
    });
  });
}
