import { readFileSync } from 'node:fs';
import { MAX_FRAME_BYTES } from '../../protocol/limits.ts';
import type { Scenario, Stream } from './scenario.ts';

/** What the command line may change about a scenario. Times are ms. */
export interface Wishes {
  /** Measured time; the warm-up comes before it. */
  readonly seconds?: number;
  /** Over all of the scenario's groups of clients, which keep their proportion. */
  readonly connections?: number;
  /** These four are of the first group, which is the one that is measured. */
  readonly rate?: number;
  readonly inFlight?: number;
  readonly commandsPerFrame?: number;
  readonly ttlMs?: number;
  readonly skus?: number;
  /** A fraction of a second with few of everything: to see that it works, not how fast. */
  readonly tiny?: boolean;
}

/** A scenario cannot be run as it is wished for. The message is for the user. */
export class WishError extends Error {}

const TINY = { seconds: 0.4, warmUpSeconds: 0, connections: 12, rate: 1500, holds: 400, skus: 50, units: 40 };
/** So many frames of one connection under way at most in a tiny run. */
const TINY_FRAMES = 4;
/** A HOLD of a stress run at its longest: header, request id, name, quantity and time to live. */
const HOLD_BYTES = 44;
export const MOST_COMMANDS_PER_FRAME = Math.floor(MAX_FRAME_BYTES / HOLD_BYTES);
/** A thread of the generator keeps track of so many commands under way, with room to spare. */
const MOST_UNDER_WAY = 400_000;
/** Files that a process has open beside its connections: store, threads, libraries. */
const OTHER_FILES = 100;

/** The scenario with what the user wants of it. Throws WishError where wishes contradict each other. */
export function tailored(scenario: Scenario, wishes: Wishes): Scenario {
  const { rate, inFlight } = wishes;
  if (rate !== undefined && inFlight !== undefined) {
    throw new WishError(
      '--rate asks for an open loop and --in-flight for a closed one: give one of the two.',
    );
  }
  const { seconds, warmUpSeconds } = lengthOf(scenario, wishes);
  const longer = seconds / scenario.seconds;
  const { timesCapacity: _, ...plain } = scenario;
  const base = wishes.tiny ? shrunk(scenario) : scenario;
  const [main, ...others] = base.streams.map((stream) => timed(stream, longer)) as [Stream, ...Stream[]];
  const connections = spreadConnections(base.streams, wishes.connections);
  const streams = [wished(main, wishes), ...others].map((stream, i) => ({
    ...stream,
    connections: connections[i] as number,
  }));
  for (const stream of streams) expectRoom(stream);
  return {
    ...(rate === undefined ? base : plain),
    ...{ seconds, warmUpSeconds },
    skus: wishes.skus ?? base.skus,
    unitsPerSku: base.unitsPerSku,
    ...(base.restock && { restock: base.restock }),
    streams,
  };
}

/**
 * Throws WishError when the scenario has more connections than a process may open files. Node has raised its limit as far as it may when
 * this is asked, and a server that it starts gets the same.
 */
export function expectDescriptors(scenario: Scenario, limit: number = openFilesLimit()): void {
  const connections = scenario.streams.reduce((sum, stream) => sum + stream.connections, 0);
  const needed = connections + OTHER_FILES;
  if (needed <= limit) return;
  const fewer = Math.max(1, limit - OTHER_FILES);
  throw new WishError(
    `${scenario.name} makes ${connections} connections, and a process may have ${limit} files open here. ` +
      `Raise the limit in this shell (ulimit -n ${needed}; as root, or in /etc/security/limits.conf), or take --connections ${fewer}.`,
  );
}

/** How many files this process may have open; without a limit where the system does not tell. */
function openFilesLimit(): number {
  try {
    const soft = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** A run is never warmed up for longer than it is measured. */
function lengthOf(scenario: Scenario, wishes: Wishes): Pick<Scenario, 'seconds' | 'warmUpSeconds'> {
  const { seconds: measured, tiny } = wishes;
  if (measured === undefined) return tiny ? TINY : scenario;
  const warmUpSeconds = tiny ? 0 : Math.min(scenario.warmUpSeconds, measured);
  return { seconds: measured + warmUpSeconds, warmUpSeconds };
}

/** What lies at a fixed time of a stream keeps its place in a run of another length. */
function timed(stream: Stream, longer: number): Stream {
  return stream.endTogetherMs === undefined
    ? stream
    : { ...stream, endTogetherMs: Math.max(50, Math.round(stream.endTogetherMs * longer)) };
}

function wished(stream: Stream, { rate, inFlight, commandsPerFrame, ttlMs }: Wishes): Stream {
  const { framesInFlight, ratePerSecond, ...rest } = stream;
  const loop =
    rate !== undefined
      ? { ratePerSecond: rate }
      : inFlight !== undefined
        ? { framesInFlight: inFlight }
        : { framesInFlight, ratePerSecond };
  return {
    ...rest,
    ...(loop.framesInFlight !== undefined && { framesInFlight: loop.framesInFlight }),
    ...(loop.ratePerSecond !== undefined && { ratePerSecond: loop.ratePerSecond }),
    ...(commandsPerFrame !== undefined && { commandsPerFrame }),
    ...(ttlMs !== undefined && { ttlMs }),
  };
}

function spreadConnections(streams: readonly Stream[], total: number | undefined): number[] {
  const all = streams.reduce((sum, { connections }) => sum + connections, 0);
  if (total === undefined) return streams.map(({ connections }) => connections);
  if (total < streams.length) {
    throw new WishError(
      `--connections ${total} is too few: the scenario has ${streams.length} groups of clients.`,
    );
  }
  return streams.map(({ connections }) => Math.max(1, Math.floor((connections * total) / all)));
}

function expectRoom({ connections, framesInFlight = 0, commandsPerFrame }: Stream): void {
  const underWay = connections * framesInFlight * commandsPerFrame;
  if (underWay <= MOST_UNDER_WAY) return;
  const text = (count: number) => count.toLocaleString('en-US');
  throw new WishError(
    `${text(connections)} connections with ${framesInFlight} frames of ${commandsPerFrame} each are ${text(underWay)} commands under way; ` +
      `there can be ${text(MOST_UNDER_WAY)}. Take fewer --connections, --in-flight or --commands-per-frame.`,
  );
}

/** A scenario of the same kind that is over in a moment. */
function shrunk(scenario: Scenario): Scenario {
  const { restock } = scenario;
  // Where stock runs out, it has to run out here too.
  const sellsOut = scenario.unitsPerSku * scenario.skus <= 1_000_000;
  return {
    ...scenario,
    skus: sellsOut ? Math.min(scenario.skus, 2) : Math.min(scenario.skus, TINY.skus),
    unitsPerSku: sellsOut ? TINY.units : scenario.unitsPerSku,
    ...(restock && { restock: { ...restock, units: TINY.units } }),
    streams: scenario.streams.map((stream) => ({
      ...stream,
      connections: Math.min(stream.connections, TINY.connections),
      ttlMs: Math.min(stream.ttlMs, 300),
      ...(stream.framesInFlight !== undefined && {
        framesInFlight: Math.min(stream.framesInFlight, TINY_FRAMES),
      }),
      ...(stream.ratePerSecond !== undefined && { ratePerSecond: Math.min(stream.ratePerSecond, TINY.rate) }),
      ...(stream.holds !== undefined && { holds: TINY.holds }),
      ...(stream.cutsPerSecond !== undefined && { cutsPerSecond: Math.min(stream.cutsPerSecond, 50) }),
      ...(stream.checkout !== undefined && { checkout: { ...stream.checkout, thinkMs: [5, 50] as const } }),
    })),
  };
}
