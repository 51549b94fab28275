import type { StageReport } from '../../src/shard/stage-report.ts';
import { Place } from '../durable/place.ts';
import { Asker } from '../load/asker.ts';
import { ServerProcess } from '../server-process.ts';
import { holdfastServer } from '../wire.ts';

/** The server that a run is against. */
export interface Target {
  readonly port: number;
  readonly workers: number;
  readonly fronts: number;
  readonly ack: string;
  readonly store: string | null;
  /** Rejects when it ends while it is needed; only of one that was started for the run. */
  readonly failure: Promise<never>;
  stop(): Promise<void>;
}

/** The server's own sums over all SKUs. */
export interface Sums {
  readonly held: number;
  readonly sold: number;
  readonly violations: number;
}

const ANSWER_MS = 20_000;
const MOST_HELD_UP = Promise.withResolvers<never>().promise;

/** Starts a server on a free port, with its store in a temporary directory unless the options for `holdfast serve` say otherwise. */
export async function startTarget(
  serve: readonly string[],
  nodeFlags: readonly string[] = [],
): Promise<Target> {
  const place = new Place();
  try {
    const server = await ServerProcess.start('Holdfast server', [
      ...nodeFlags,
      ...holdfastServer('--store', `file:${place.next()}`, ...serve),
    ]);
    const { port, workers = 0, fronts = 1, ack = '', store = null } = await server.ready;
    return {
      ...{ port, workers, fronts, ack, store },
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
export async function findTarget(port: number): Promise<Target> {
  const asker = await Asker.connect(port, 'stress').catch((error: Error) => {
    throw new Error(
      `No Holdfast server answers on port ${port}: ${error.message}. Start one, or leave --url and --port away.`,
    );
  });
  asker.close();
  const stages = await readStages({ port });
  return {
    port,
    workers: stages?.workers.length ?? 0,
    fronts: stages?.fronts ?? 0,
    ack: asker.ack,
    store: null,
    failure: MOST_HELD_UP,
    stop: async () => {},
  };
}

/** Rejects when the server does not answer, or segments are out of service, whose books nobody could check. */
export async function readBooks({ port }: Pick<Target, 'port'>): Promise<Sums> {
  const { held, sold, violations, fenced } = await get<Sums & { fenced: number }>(port, '/v1/inspect');
  if (fenced > 0) throw new Error(`${fenced} segments of the server are out of service`);
  return { held, sold, violations };
}

/** The server's stage clocks; undefined when it has none, or is too busy to say. */
export async function readStages({ port }: Pick<Target, 'port'>): Promise<StageReport | undefined> {
  try {
    return await get<StageReport>(port, '/v1/stages');
  } catch {
    return undefined;
  }
}

async function get<T>(port: number, path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(ANSWER_MS) });
  if (!response.ok) throw new Error(`GET ${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}
