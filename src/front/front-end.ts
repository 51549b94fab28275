import type { AckLevel } from '../../protocol/ack.ts';
import type { RateMemory } from '../admission/rate-limits.ts';
import type { AdmissionRules } from '../admission/rules.ts';
import { Authenticator, type AuthOptions } from '../auth/authenticator.ts';
import type { OnNote } from '../auth/key-source.ts';
import { type ClockAnchor, clockFrom, monotonicMs } from '../base/clock.ts';
import type { Log, LogLevel } from '../log/events.ts';
import { Collector } from '../metrics/collector.ts';
import type { ProfileReport, ProfileRequest } from '../profile/profile-report.ts';
import { frontCounters } from '../shard/counters.ts';
import { type EngineMemory, frontControlOf } from '../shard/memory.ts';
import { readStages } from '../shard/stage-reader.ts';
import type { CommandTrace } from '../trace/command-trace.ts';
import { type ArrivalLimits, Arrivals } from './arrivals.ts';
import { ClientAddresses } from './client-address.ts';
import { Front } from './front.ts';
import { Hello } from './hello.ts';
import { HolderHash } from './holder.ts';
import type { TlsFiles } from './listener.ts';
import { Lobby } from './lobby.ts';
import { LoopWatch } from './loop-watch.ts';
import { originCheck } from './origin.ts';
import type { RulesDesk } from './rules-desk.ts';
import { Sessions } from './session.ts';
import { SocketCount } from './socket-count.ts';
import { SocketServer } from './socket-server.ts';
import { StockReader } from './stock-reader.ts';
import { BoundedCheck, MAX_CHECKS, type TokenCheck } from './token-check.ts';

/** Can be handed to a thread as it is. */
export interface FrontEndOptions {
  memory: EngineMemory;
  /** Which of the fronts this is. */
  front: number;
  anchor: ClockAnchor;
  borrow: boolean;
  /** Whether admission limits anything but rings and what a connection has under way. */
  gate: boolean;
  /** What the gate goes by when the server starts. */
  rules: AdmissionRules;
  /** Where all fronts count what clients ask for. */
  rates: RateMemory;
  /** Of the holders' hash; the same for all fronts. */
  secret: Uint8Array;
  ack: AckLevel;
  maxHoldLifeMs: number;
  maxConnections: number;
  maxBackpressureBytes: number;
  /** A store that makes nothing durable for this long stands still. */
  storeStallMs: number;
  /** SKUs whose stock the metrics tell. */
  metricsSkus: number;
  /** How tokens are checked; undefined where nobody is asked for one. */
  auth: AuthOptions | undefined;
  /** A connection has a valid token by then, or is closed. */
  authDeadlineMs: number;
  /** See originCheck(). */
  allowedOrigins: readonly string[];
  tls: TlsFiles | undefined;
  adminApart: boolean;
  idleTimeoutMs: number;
  /** See ClientAddresses. */
  trustedProxies: readonly string[];
  /** Where all fronts count who comes, and how many may. */
  arrivals: SharedArrayBuffer;
  arrivalLimits: ArrivalLimits;
  /** Commands that are traced at most. */
  tracesPerSecond: number;
  /** What is less important is not worth a message to the main thread. */
  logLevel: LogLevel | 'silent';
}

export interface FrontEndHooks {
  /** Told of a borrowed shard that threw. */
  onFault: (error: unknown, segment: number) => void;
  /** Measures all threads. Rejects with ProfileBusyError while another profile is being taken. */
  profile: (request: ProfileRequest) => Promise<ProfileReport>;
  rules: RulesDesk;
  /** Takes what is worth a line in the log. */
  log: Log;
  /** Takes what was traced. */
  traced: (trace: CommandTrace) => void;
}

/** What checks a front's tokens; undefined where nobody is asked for one. Rejects with AuthSetupError where keys or revocations cannot be used. */
export function openAuthenticator(auth: AuthOptions | undefined, log: Log): Promise<TokenCheck> | undefined {
  const onNote: OnNote = ({ level, message }) => log({ event: 'auth-note', level, detail: message });
  return auth && Authenticator.open(auth, { onNote });
}

const DRAIN_POLL_MS = 5;
/** How often it is looked whether the store stands still. */
const STALL_LOOK_MS = 50;
/** Time that the last frames get to leave the socket buffers. */
const FLUSH_MS = 50;

/** A front with its sockets, on whichever thread it runs. */
export class FrontEnd {
  readonly front: Front;
  readonly sockets: SocketServer;
  private readonly stallTimer: NodeJS.Timeout | undefined;
  private readonly watch: LoopWatch;
  private readonly sessions: Sessions | undefined;

  /** `authenticator`: from openAuthenticator(). */
  constructor(options: FrontEndOptions, hooks: FrontEndHooks, authenticator?: TokenCheck) {
    const { memory, front, borrow, gate, rules, rates, storeStallMs, authDeadlineMs } = options;
    const { log } = hooks;
    const clock = clockFrom(options.anchor);
    const holders = new HolderHash(options.secret);
    const counters = frontCounters(memory.counters, front);
    const arrivals = new Arrivals(
      options.arrivals,
      options.arrivalLimits,
      () => Math.floor(monotonicMs()) | 0,
    );
    const check = authenticator && new BoundedCheck(authenticator, MAX_CHECKS, arrivals);
    const addresses = new ClientAddresses(options.trustedProxies, options.secret);
    const lobby = new Lobby({ addresses, arrivals, authenticated: check !== undefined, counters, log });
    this.sessions = check && new Sessions({ check, holders, counters, authDeadlineMs, log });
    this.watch = new LoopWatch(memory.counters, `front-${front}`, frontControlOf(memory, front));
    const collector = new Collector(memory, options.ack);
    const onAuth = this.sessions?.onAuth;
    const traces = { front, perSecond: options.tracesPerSecond, report: hooks.traced };
    this.front = new Front({
      memory,
      front,
      clock,
      borrow,
      gate,
      rules,
      rates,
      traces,
      onFault: hooks.onFault,
      onAuth,
    });
    const stock = new StockReader(this.front, memory, options.metricsSkus);
    this.sockets = new SocketServer({
      front: this.front,
      hello: new Hello(options.ack, memory.segments.length, options.maxHoldLifeMs, memory.fronts.length),
      holders,
      check,
      sessions: this.sessions,
      mayUse: originCheck(options.allowedOrigins),
      clock,
      count: new SocketCount(memory, front),
      maxConnections: options.maxConnections,
      maxBackpressureBytes: options.maxBackpressureBytes,
      idleTimeoutMs: options.idleTimeoutMs,
      tls: options.tls,
      adminApart: options.adminApart,
      lobby,
      profile: hooks.profile,
      rules: hooks.rules,
      metrics: async (format) => {
        const readings = { stock: await stock.read(), forgotten: this.front.gate.forgotten };
        this.front.stages.noteTimes();
        return collector.render(format, clock(), readings);
      },
      log,
      stages: () => {
        this.front.stages.noteTimes();
        return readStages(memory, clock());
      },
    });
    if (memory.storage !== undefined) {
      const { durability } = this.front;
      const look = (): void => this.front.setStalled(durability.stalled(performance.now(), storeStallMs));
      this.stallTimer = setInterval(look, STALL_LOOK_MS);
      this.stallTimer.unref();
    }
  }

  /** Goes by other rules of admission from now on. */
  setRules(rules: AdmissionRules): void {
    this.front.gate.setRules(rules);
  }

  /** Takes no new connections and no more commands. Resolves when those under way are answered, or after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    const { router } = this.front;
    router.draining = true;
    this.sockets.stopListening();
    const deadline = performance.now() + timeoutMs;
    while (router.inFlight > 0 && performance.now() < deadline) await sleep(DRAIN_POLL_MS);
    clearInterval(this.stallTimer);
  }

  /** Closes every connection in order, and what is left a moment later without. */
  async close(): Promise<void> {
    this.sockets.closeAll(1001, 'the server is stopping');
    await sleep(FLUSH_MS);
    this.destroy();
  }

  /** Drops every connection. */
  destroy(): void {
    clearInterval(this.stallTimer);
    this.watch.stop();
    this.sessions?.stop();
    this.sockets.destroy();
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
