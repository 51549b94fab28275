import { randomBytes } from 'node:crypto';
import type { AckLevel } from '../../protocol/ack.ts';
import { allocateRates, type RateMemory } from '../admission/rate-limits.ts';
import { anchorClock } from '../base/clock.ts';
import { isLoopback } from '../base/loopback.ts';
import { version } from '../base/version.ts';
import { segmentBytes } from '../core/layout.ts';
import { allocateArrivals } from '../front/arrivals.ts';
import { FrontEnd, type FrontEndOptions, openAuthenticator } from '../front/front-end.ts';
import type { TlsFiles } from '../front/listener.ts';
import type { Log } from '../log/events.ts';
import { countingLog } from '../metrics/event-counts.ts';
import type { ProfileRequest } from '../profile/profile-report.ts';
import { Profiler } from '../profile/profiler.ts';
import { ServerCell, serverCounters } from '../shard/counters.ts';
import { allocateEngine, Control, type EngineMemory, type EngineOptions } from '../shard/memory.ts';
import { StoreError } from '../storage/store.ts';
import { commandSpans } from '../trace/spans.ts';
import { Certificates } from './certificates.ts';
import { accessText, authOf } from './door-settings.ts';
import { Durable } from './durable.ts';
import { ServerExit } from './exit-codes.ts';
import { FrontThreads } from './front-threads.ts';
import { RulesFile } from './rules-file.ts';
import { NO_STORE, type Settings, tablesOf } from './setting-table.ts';
import type { RecoveryProgress, RecoverySummary } from './start-up.ts';
import { Supervisor } from './supervisor.ts';
import { tlsOf } from './tls.ts';
import { Watchdog } from './watchdog.ts';
import { exportOf, openLog } from './watching.ts';

/** A server that takes commands. */
export interface RunningServer {
  readonly host: string;
  readonly port: number;
  /** WebSocket address. */
  readonly url: string;
  /** HTTP address, without a path. */
  readonly httpUrl: string;
  /** Where inspect, metrics and the like are served, if on a port of their own. */
  readonly adminUrl: string | undefined;
  /** Whether everybody is asked for a token. */
  readonly authenticated: boolean;
  /** Who may come in, in words. */
  readonly access: string;
  readonly fronts: number;
  readonly workers: number;
  readonly segments: number;
  readonly ack: AckLevel;
  /** Where the journal is kept, without passwords; undefined without a store. */
  readonly store: string | undefined;
  /** Where snapshots are kept, if not there. */
  readonly snapshots: string | undefined;
  /** What an acknowledgement promises, in words. */
  readonly promise: string;
  readonly recovery: RecoverySummary | undefined;
  /** For tests that plant faults, and for whoever measures: the memory shared with the workers. */
  readonly memory: EngineMemory;
  /**
   * Stops in order: takes nothing new, finishes what is under way, closes connections with 1001, ends the workers. Rejects with StoreError,
   * having stopped, when the store did not take what waited for it.
   */
  stop(): Promise<void>;
}

export interface ServerHooks {
  /** Takes what would be logged, in place of the lines on stderr. */
  log?: Log;
  /** How far the recovery has come, while it goes on. */
  onProgress?: (progress: RecoveryProgress) => void;
  /** The config file, whose rules of admission are read again when it changes. */
  configPath?: string | undefined;
  /** The server cannot go on. By default the process ends with that code. */
  onHopeless?: (reason: string, exitCode: number) => void;
}

/** Without a store: what an acknowledgement promises. */
const MEMORY_PROMISE = 'what is acknowledged survives a crashed worker, not a crashed process';
/** The store gets at least this long at a stop, whatever the commands under way have left of its time. */
const LEAST_STORE_MS = 1000;
/** Of the holders' hash, where no store keeps one. */
const SECRET_BYTES = 32;

/** Takes what nobody wants. */
const nothing = (): void => {};

/** Starts workers and fronts. Rejects with AddressInUseError, having ended what it started, when it cannot listen. */
export async function startServer(settings: Settings, hooks: ServerHooks = {}): Promise<RunningServer> {
  const startedMs = performance.now();
  const { log: write, flush } =
    hooks.log === undefined ? openLog(settings) : { log: hooks.log, flush: nothing };
  const onHopeless =
    hooks.onHopeless ??
    ((detail, exitCode) => {
      log({ event: 'ending', detail, exitCode });
      flush();
      process.exit(exitCode);
    });
  const stored = settings.store !== NO_STORE;
  // First, because keys that cannot be used are no reason to have opened a store.
  const auth = authOf(settings);
  const tls = tlsOf(settings.tlsCert, settings.tlsKey);
  // A certificate is for a name that the world knows, and nobody listens in on a loopback address.
  const adminTls = isLoopback(settings.adminHost) ? undefined : tls;
  const authenticator = await openAuthenticator(auth, write);
  const rules = await RulesFile.open({
    path: hooks.configPath,
    authenticated: auth !== undefined,
    log: (event) => log(event),
    apply: (changed) => {
      end.setRules(changed);
      further.setRules(changed);
    },
  });
  const { memory, rates } = allocate(settings, {
    fronts: settings.fronts,
    workers: settings.workers,
    segments: settings.segments,
    segment: tablesOf(settings),
    commandRingBytes: settings.commandRingBytes,
    replyRingBytes: settings.replyRingBytes,
    ...(stored && { events: { ringBytes: settings.eventRingBytes, gated: settings.ack !== 'memory' } }),
  });
  const log = countingLog(memory.counters, write);
  const counters = serverCounters(memory.counters);
  counters[ServerCell.STARTED_AT] = Date.now() - process.uptime() * 1000;
  const noteCertificate = ({ untilMs }: TlsFiles): void => {
    counters[ServerCell.CERTIFICATE_UNTIL] = untilMs;
  };
  if (tls !== undefined) noteCertificate(tls);
  const exported = await exportOf(settings, log);
  const traced = commandSpans();
  const durable = stored ? await Durable.start(settings, memory, { ...hooks, log, onHopeless }) : undefined;
  const { ack, stopTimeoutMs } = settings;
  const frontOptions: FrontEndOptions = {
    memory,
    front: 0,
    anchor: durable?.anchor ?? anchorClock(),
    // Several fronts are for machines with cores to spare, where a worker is woken soon. See Design decisions.
    borrow: settings.borrow === 'auto' && settings.fronts === 1,
    gate: settings.gate === 'on',
    rules: rules.current,
    rates,
    secret: durable?.secret ?? randomBytes(SECRET_BYTES),
    ack,
    maxHoldLifeMs: settings.maxHoldLifeMs,
    maxConnections: settings.maxConnections,
    maxBackpressureBytes: settings.maxBackpressureBytes,
    storeStallMs: settings.storeStallMs,
    metricsSkus: settings.metricsSkus,
    auth,
    authDeadlineMs: settings.authDeadlineMs,
    allowedOrigins: settings.allowedOrigins,
    tls,
    adminApart: settings.adminPort >= 0,
    idleTimeoutMs: settings.idleTimeoutMs,
    trustedProxies: settings.trustedProxies,
    arrivals: allocateArrivals(settings.maxConnections),
    arrivalLimits: {
      connections: settings.maxConnections,
      connectionsPerAddress: settings.maxConnectionsPerAddress,
      handshakes: settings.maxHandshakes,
      handshakesPerAddress: settings.maxHandshakesPerAddress,
      requests: settings.maxRequests,
      requestsPerAddress: settings.maxRequestsPerAddress,
      badTokensPerAddress: settings.maxBadTokensPerAddress,
    },
    logLevel: settings.logLevel,
    tracesPerSecond: traced === undefined ? 0 : settings.tracesPerSecond,
  };
  const profiler = new Profiler('front-0', commandCounts(memory));
  const profile = (request: ProfileRequest) => profiler.take(request);
  const onFault = (error: unknown, segment: number): void => {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    // The front, which stood in for a worker.
    log({ event: 'worker-died', worker: -1, fencedSegment: segment, detail });
    if (segment >= 0) durable?.rebuild(segment);
  };
  const hooksOfFront = { onFault, profile, rules, log, traced: traced ?? nothing };
  const end = new FrontEnd(frontOptions, hooksOfFront, authenticator);
  const { front, sockets } = end;
  const further = new FrontThreads(frontOptions, {
    onFailed: (reason) => onHopeless(reason, ServerExit.HOPELESS),
    profile,
    rules,
    log,
    traced: traced ?? nothing,
  });
  const supervisor = new Supervisor({
    memory,
    anchor: frontOptions.anchor,
    spins: settings.spins,
    stallMs: settings.stallMs,
    shardOf: (worker) => front.shardOf(worker),
    log,
    wake: () => {
      front.schedule();
      further.wake();
    },
    onFenced: (segment) => durable?.rebuild(segment),
    onHopeless: (reason) => onHopeless(reason, ServerExit.HOPELESS),
  });
  await supervisor.start();
  durable?.maintain();
  let port: number;
  let adminPort = -1;
  try {
    const descriptors = await further.start();
    if (settings.adminPort >= 0)
      adminPort = await sockets.listenForAdmin(settings.adminHost, settings.adminPort, adminTls);
    port = await sockets.listener.listen(settings.host, settings.port);
    if (descriptors.length > 0) sockets.listener.dealTo([sockets.descriptor, ...descriptors]);
  } catch (error) {
    end.destroy();
    await further.close();
    await supervisor.stop(stopTimeoutMs);
    await durable?.stop(stopTimeoutMs);
    await exported?.stop();
    throw error;
  }

  const renew = async (next: TlsFiles): Promise<void> => {
    const others = await further.renew(next);
    sockets.renew(next);
    sockets.listener.dealTo([sockets.descriptor, ...others]);
    if (adminTls !== undefined) sockets.renewAdmin(next);
    noteCertificate(next);
  };
  const secure = tls === undefined ? '' : 's';
  const url = `ws${secure}://${authorityOf(settings.host, port)}/v1/ws`;
  log({
    event: 'ready',
    version,
    url,
    fronts: settings.fronts,
    workers: settings.workers,
    segments: settings.segments,
    ack,
    store: durable?.label ?? NO_STORE,
    pid: process.pid,
    tookMs: Math.round(performance.now() - startedMs),
  });
  rules.watch();
  const certificates = tls && (await Certificates.watch({ tls, log, apply: renew }));
  if (auth === undefined && settings.dangerouslyLetEverybodyIn)
    log({ event: 'unguarded', host: settings.host });
  const { stallMs: silentMs, frontStallMs: lostMs } = settings;
  const watchdog = new Watchdog({ fronts: memory.fronts, silentMs, lostMs }, log);
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    const fromMs = performance.now();
    const deadline = fromMs + stopTimeoutMs;
    log({ event: 'stopping' });
    await Promise.all([profiler.stop(), rules.stop(), certificates?.stop(), watchdog.stop()]);
    await Promise.all([end.drain(stopTimeoutMs), further.drain(stopTimeoutMs)]);
    await supervisor.stop(Math.max(0, deadline - performance.now()));
    const whole = (await durable?.stop(Math.max(LEAST_STORE_MS, deadline - performance.now()))) ?? true;
    await Promise.all([end.close(), further.close()]);
    await exported?.stop();
    log({ event: 'stopped', tookMs: Math.round(performance.now() - fromMs) });
    flush();
    if (!whole) {
      throw new StoreError(
        'AWAY',
        `${durable?.label} did not take what waited for it before the server stopped: the last changes are not kept. ` +
          (ack === 'memory' ? 'Some of them were acknowledged.' : 'None of them was acknowledged.'),
      );
    }
  };
  return {
    host: settings.host,
    port,
    url,
    httpUrl: `http${secure}://${authorityOf(settings.host, port)}`,
    adminUrl:
      adminPort < 0
        ? undefined
        : `http${adminTls === undefined ? '' : 's'}://${authorityOf(settings.adminHost, adminPort)}`,
    authenticated: auth !== undefined,
    access: accessText(settings),
    fronts: settings.fronts,
    workers: settings.workers,
    segments: settings.segments,
    ack,
    store: durable?.label,
    snapshots: durable?.snapshotsLabel,
    promise: durable?.promise ?? MEMORY_PROMISE,
    recovery: durable?.recovery,
    memory,
    stop,
  };
}

function authorityOf(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The tables of the settings do not fit the address space that the process may have. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
}

function allocate(
  { admissionHolders, admissionSkus }: Settings,
  options: EngineOptions,
): { memory: EngineMemory; rates: RateMemory } {
  try {
    const rates = allocateRates(admissionHolders, admissionSkus, randomBytes(4).readInt32LE());
    return { memory: allocateEngine(options), rates };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const gib = (segmentBytes(options.segment) * options.segments) / 2 ** 30;
    throw new OutOfMemoryError(
      `The tables need ${gib.toFixed(1)} GiB of address space, ${options.segments} segments together, and the system gave less. ` +
        'Lower --holds-per-segment and --keys-per-segment, or raise the limit (ulimit -v).',
    );
  }
}

/** For each worker's thread, by name, the word that counts the commands it has run. */
function commandCounts({ workers }: EngineMemory): Record<string, Int32Array> {
  return Object.fromEntries(
    workers.map(({ sab }, worker) => [`shard-${worker}`, new Int32Array(sab, Control.COMMANDS * 4, 1)]),
  );
}
