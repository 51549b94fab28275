import type { StageReport } from '../../src/shard/stage-report.ts';
import { Place } from '../durable/place.ts';
import { Asker } from '../load/asker.ts';
import { type Pass, tokenFor } from '../load/pass.ts';
import { ServerProcess } from '../server-process.ts';
import { holdfastServer } from '../wire.ts';

/** The server that a run is against. */
export interface Target {
  readonly port: number;
  readonly workers: number;
  readonly fronts: number;
  readonly ack: string;
  readonly store: string | null;
  readonly pass: Pass;
  /** Of the run itself, which stocks SKUs and reads books; undefined where the server asks for none. */
  readonly token: string | undefined;
  /** Rejects when it ends while it is needed; only of one that was started for the run. */
  readonly failure: Promise<never>;
  stop(): Promise<void>;
}

/** Where a server answers, and by which token. */
type Reached = Pick<Target, 'port' | 'token'>;

/** The server's own sums over all SKUs. */
export interface Sums {
  readonly held: number;
  readonly sold: number;
  readonly violations: number;
}

const ANSWER_MS = 60_000;
const MOST_HELD_UP = Promise.withResolvers<never>().promise;

/** Starts a server on a free port, with its store in a temporary directory unless the options for `holdfast serve` say otherwise. */
export async function startTarget(
  serve: readonly string[],
  nodeFlags: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Target> {
  const place = new Place();
  try {
    const store = `file:${place.next()}`;
    const args = [...nodeFlags, ...holdfastServer('--store', store, ...serve)];
    const server = await ServerProcess.start('Holdfast server', args, env);
    const { port, workers = 0, fronts = 1, ack = '', store: label = null } = await server.ready;
    return {
      ...{ port, workers, fronts, ack, store: label, pass: {}, token: undefined },
      failure: server.failure,
      stop: async () => {
        await server.stop().finally(() => place.remove());
      },
    };
  } catch (error) {
    place.remove();
    throw error;
  }
}

/** A server that runs already on this machine. Rejects when there is none. */
export async function findTarget(port: number, pass: Pass = {}): Promise<Target> {
  const token = await tokenFor(pass, 'stress', ['admin']);
  const asker = await Asker.connect(port, 'stress', token).catch((error: Error) => {
    throw new Error(
      `No Holdfast server answers on port ${port}: ${error.message}. Start one, or leave --url and --port away.`,
    );
  });
  asker.close();
  const stages = await readStages({ port, token });
  return {
    port,
    pass,
    token,
    workers: stages?.workers.length ?? 0,
    fronts: stages?.fronts ?? 0,
    ack: asker.ack,
    store: null,
    failure: MOST_HELD_UP,
    stop: async () => {},
  };
}

/** Rejects when the server does not answer, or segments are out of service, whose books nobody could check. */
export async function readBooks(target: Reached): Promise<Sums> {
  const { held, sold, violations, fenced } = await get<Sums & { fenced: number }>(target, '/v1/inspect');
  if (fenced > 0) throw new Error(`${fenced} segments of the server are out of service`);
  return { held, sold, violations };
}

/** The server's stage clocks; undefined when it has none, or is too busy to say. */
export async function readStages(target: Reached): Promise<StageReport | undefined> {
  try {
    return await get<StageReport>(target, '/v1/stages');
  } catch {
    return undefined;
  }
}

async function get<T>({ port, token }: Reached, path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (!response.ok) throw new Error(`GET ${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}
