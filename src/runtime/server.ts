import { anchorClock, clockFrom } from '../base/clock.ts';
import { segmentBytes } from '../core/layout.ts';
import { Front } from '../front/front.ts';
import { type AckLevel, Hello } from '../front/hello.ts';
import { HolderHash } from '../front/holder.ts';
import { SocketServer } from '../front/socket-server.ts';
import { allocateEngine, type EngineMemory, type EngineOptions } from '../shard/memory.ts';
import type { Settings } from './settings.ts';
import { Supervisor, type WorkerEvent } from './supervisor.ts';

/** A server that takes commands. */
export interface RunningServer {
  readonly host: string;
  readonly port: number;
  /** WebSocket address. */
  readonly url: string;
  /** HTTP address, without a path. */
  readonly httpUrl: string;
  readonly workers: number;
  readonly segments: number;
  readonly ack: AckLevel;
  /** For tests that plant faults, and for whoever measures: the memory shared with the workers. */
  readonly memory: EngineMemory;
  /** Stops in order: takes nothing new, finishes what is under way, closes connections with 1001, ends the workers. */
  stop(): Promise<void>;
}

export interface ServerHooks {
  /** Rare events, for a log. */
  log?: (event: WorkerEvent) => void;
  /** The server cannot go on. By default the process ends with code 70. */
  onHopeless?: (reason: string) => void;
}

const EXIT_HOPELESS = 70;
const DRAIN_POLL_MS = 5;
/** Time that the last frames get to leave the socket buffers. */
const FLUSH_MS = 50;

/** Starts workers and front. Rejects with AddressInUseError, having ended what it started, when it cannot listen. */
export async function startServer(settings: Settings, hooks: ServerHooks = {}): Promise<RunningServer> {
  const log = hooks.log ?? logToStderr;
  const onHopeless = hooks.onHopeless ?? endProcess;
  const anchor = anchorClock();
  const clock = clockFrom(anchor);
  const memory = allocate({
    workers: settings.workers,
    segments: settings.segments,
    segment: {
      skus: settings.skusPerSegment,
      holds: settings.holdsPerSegment,
      keys: settings.keysPerSegment,
      holders: settings.holdersPerSegment,
      keyRetentionMs: settings.keyRetentionMs,
      endedRetentionMs: settings.endedRetentionMs,
      soldRetentionMs: settings.soldRetentionMs,
      maxHoldLifeMs: settings.maxHoldLifeMs,
    },
    commandRingBytes: settings.commandRingBytes,
    replyRingBytes: settings.replyRingBytes,
  });
  const front = new Front({
    memory,
    clock,
    borrow: settings.borrow === 'auto',
    onFault: (error, segment) => {
      const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log({ worker: -1, event: 'died', detail, fencedSegment: segment });
    },
  });
  const supervisor = new Supervisor({
    memory,
    anchor,
    spins: settings.spins,
    stallMs: settings.stallMs,
    shardOf: (worker) => front.shardOf(worker),
    log,
    wake: () => front.schedule(),
    onHopeless,
  });
  await supervisor.start();

  const ack: AckLevel = 'memory';
  let serving = true;
  const sockets = new SocketServer({
    front,
    hello: new Hello(ack, settings.segments, settings.maxHoldLifeMs),
    holders: new HolderHash(),
    clock,
    maxConnections: settings.maxConnections,
    maxBackpressureBytes: settings.maxBackpressureBytes,
    ready: () => serving,
    fenced: () => fencedSegments(front),
  });
  let port: number;
  try {
    port = await sockets.listen(settings.host, settings.port);
  } catch (error) {
    sockets.destroy();
    await supervisor.stop(settings.stopTimeoutMs);
    throw error;
  }

  const stop = async (): Promise<void> => {
    if (!serving) return;
    serving = false;
    front.router.draining = true;
    sockets.stopListening();
    const deadline = performance.now() + settings.stopTimeoutMs;
    while (front.router.inFlight > 0 && performance.now() < deadline) await sleep(DRAIN_POLL_MS);
    await supervisor.stop(Math.max(0, deadline - performance.now()));
    sockets.closeAll(1001, 'the server is stopping');
    await sleep(FLUSH_MS);
    sockets.destroy();
  };
  const authority = `${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${port}`;
  return {
    host: settings.host,
    port,
    url: `ws://${authority}/v1/ws`,
    httpUrl: `http://${authority}`,
    workers: settings.workers,
    segments: settings.segments,
    ack,
    memory,
    stop,
  };
}

/** The tables of the settings do not fit the address space that the process may have. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
}

function allocate(options: EngineOptions): EngineMemory {
  try {
    return allocateEngine(options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const gib = (segmentBytes(options.segment) * options.segments) / 2 ** 30;
    throw new OutOfMemoryError(
      `The tables need ${gib.toFixed(1)} GiB of address space, ${options.segments} segments together, and the system gave less. ` +
        'Lower --holds-per-segment and --keys-per-segment, or raise the limit (ulimit -v).',
    );
  }
}

function fencedSegments(front: Front): number[] {
  const fenced: number[] = [];
  for (let segment = 0; segment < front.segments; segment++) {
    if (front.isFenced(segment)) fenced.push(segment);
  }
  return fenced;
}

function logToStderr(event: WorkerEvent): void {
  const fenced =
    event.fencedSegment < 0
      ? ''
      : ` Segment ${event.fencedSegment} is fenced off: its SKUs answer UNAVAILABLE.`;
  const who = event.worker < 0 ? 'The front, in place of a worker,' : `Worker ${event.worker}`;
  process.stderr.write(`${who} ${event.event}: ${event.detail}.${fenced}\n`);
}

function endProcess(reason: string): void {
  process.stderr.write(`Holdfast ends: ${reason}\n`);
  process.exit(EXIT_HOPELESS);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
