import { MAX_BROKEN_FRAMES } from '../../protocol/limits.ts';
import { Op, StockMode } from '../../protocol/ops.ts';
import { Reason, Status } from '../../protocol/status.ts';
import { SkuHash } from '../../src/base/hash.ts';
import type { Prng } from '../../src/base/prng.ts';
import { Mode } from '../../src/shard/records.ts';
import { type Command, CommandMaker, describe } from './commands.ts';
import type { SimEngine } from './engine.ts';
import type { Judge } from './judge.ts';
import { type Scenario, VIPS } from './scenario.ts';
import { Session } from './session.ts';
import type { Trace } from './trace.ts';

/** What a run's clients have of it. */
export interface CrowdWorld {
  readonly scenario: Scenario;
  readonly prng: Prng;
  readonly engine: SimEngine;
  readonly judge: Judge;
  readonly trace: Trace;
  readonly count: (what: string) => void;
}

const MOST_IN_FRAME = 20;
const REMEMBERED = 8;
/** Enough times told to fill a frame of answers and begin another. */
const FLOOD = 4_800;
/** Sessions use request ids this far apart. */
const REQUESTS_APART = 100_000;

/** The clients: what they send, over which connections, and what they hear. */
export class Crowd {
  /** The connection of each client, perhaps closed. */
  readonly sessions: Session[] = [];
  commands = 0;
  private readonly world: CrowdWorld;
  private readonly maker: CommandMaker;
  private readonly all = new Set<Session>();
  /** What each holder sent lately, to send it again. */
  private readonly recent = new Map<string, Command[]>();
  private readonly usedPlaces = new Set<string>();
  private readonly hash = new SkuHash();
  private opened = 0;
  private readonly settled: (sku: string, answer: readonly unknown[]) => void;

  constructor(world: CrowdWorld) {
    this.world = world;
    this.maker = new CommandMaker(world.prng, world.scenario);
    this.settled = (sku, answer) => world.judge.settled(sku, answer);
    for (const { holder, mode } of world.scenario.clients) this.sessions.push(this.open(holder, mode));
  }

  /** The server is gone, and with it all connections. */
  loseAll(): void {
    for (const session of [...this.all]) session.end('gone');
  }

  /** Every client has a connection again. */
  comeBack(): void {
    for (const [at, { holder, mode, open }] of this.sessions.entries()) {
      if (!open) this.sessions[at] = this.open(holder, mode);
    }
  }

  /** Stocks every SKU that there may be room for. */
  stock(): void {
    const { prng, scenario } = this.world;
    const [first] = this.sessions;
    const stocks = scenario.skus.map((sku) =>
      this.maker.make(Op.STOCK, first.nextRequest(), [sku, StockMode.TOTAL, 1 + prng.below(24)]),
    );
    this.send(first, stocks);
  }

  /** A client sends a frame of commands. */
  sendFrame(): void {
    const { prng } = this.world;
    const at = prng.below(this.sessions.length);
    const session = this.sessions[at];
    if (prng.oneIn(20)) this.call(session.holder);
    if (!session.open) return;
    const most = session.mode === Mode.BINARY ? MOST_IN_FRAME : 3;
    this.send(session, this.drawSome(session, 1 + prng.below(most), at === 0));
  }

  /** A client asks for the time more often than its answers fit a frame, and does not read them; then some more. */
  flood(): void {
    const { prng } = this.world;
    const session = prng.pick(this.sessions);
    if (!session.open || session.mode !== Mode.BINARY) return;
    if (prng.oneIn(2)) session.reading = false;
    const commands: Command[] = [];
    for (let i = 0; i < FLOOD; i++) commands.push(this.maker.make(Op.TIME, session.nextRequest(), []));
    this.send(session, [...commands, ...this.drawSome(session, 3, false)]);
    this.world.count('flood');
    if (!session.open) this.world.count('closed-in-frame');
  }

  /** A client sends nothing but frames that cannot be read. */
  makeNoise(): void {
    const session = this.world.prng.pick(this.sessions);
    for (let i = 0; i <= MAX_BROKEN_FRAMES && session.open; i++) {
      this.send(session, [this.maker.garbage(session.nextRequest())]);
    }
  }

  /** A client's connection ends, or it comes back on a new one. */
  reconnect(): void {
    const at = this.world.prng.below(this.sessions.length);
    const session = this.sessions[at];
    if (session.open) session.end('left');
    else this.sessions[at] = this.open(session.holder, session.mode);
  }

  /** A client stops reading, or goes on. */
  toggleReading(): void {
    const session = this.world.prng.pick(this.sessions);
    if (session.reading) session.reading = false;
    else session.read();
  }

  readAll(): void {
    for (const session of this.all) session.read();
  }

  /** Connections that are open. */
  *openOnes(): Iterable<Session> {
    for (const session of this.all) if (session.open) yield session;
  }

  /** Asks after every hold that was acknowledged, as its holder. */
  askForHolds(most: number): void {
    const byHolder = new Map<string, number[]>();
    for (const { id, holder } of this.world.judge.ledger.acknowledged().slice(-most)) {
      byHolder.set(holder, [...(byHolder.get(holder) ?? []), id]);
    }
    for (const [holder, ids] of byHolder) {
      const session = this.open(holder, Mode.BINARY);
      for (let at = 0; at < ids.length; at += MOST_IN_FRAME) {
        const some = ids.slice(at, at + MOST_IN_FRAME);
        this.send(
          session,
          some.map((id) => this.maker.make(Op.READ_HOLD, session.nextRequest(), [id])),
        );
      }
    }
  }

  /** Asks after every SKU, when nothing can be held any more. */
  askForSkus(): void {
    const session = this.open('auditor', Mode.BINARY);
    const reads = this.world.scenario.skus.map((sku) =>
      this.maker.make(Op.READ, session.nextRequest(), [sku]),
    );
    this.send(session, reads);
  }

  /** A request of the server's own: a connection for one command. */
  private call(holder: string): void {
    const session = this.open(holder, Mode.INTERNAL);
    let command = this.draw(session, false);
    while (command.flaw !== undefined) command = this.draw(session, false);
    this.send(session, [command]);
    this.world.count('call');
  }

  private drawSome(session: Session, most: number, stocks: boolean): Command[] {
    const commands: Command[] = [];
    // Behind bytes that are missing there would be others, to be taken for them.
    while (commands.length < most && commands.at(-1)?.flaw?.reason !== Reason.TRUNCATED) {
      commands.push(this.draw(session, stocks));
    }
    return commands;
  }

  private draw(session: Session, stocks: boolean): Command {
    const { prng } = this.world;
    const request = session.nextRequest();
    const recent = this.recent.get(session.holder) ?? [];
    if (recent.length > 0 && prng.oneIn(8)) {
      const { op, args } = prng.pick(recent);
      return this.maker.make(op, request, args);
    }
    const command = this.maker.draw(request, session.holder, stocks);
    if (command.flaw !== undefined) {
      this.world.count(`flaw-${command.flaw.finder}-${command.flaw.reason}`);
    } else if (command.op !== Op.STOCK) {
      recent.push(command);
      if (recent.length > REMEMBERED) recent.shift();
      this.recent.set(session.holder, recent);
    }
    return command;
  }

  private open(holder: string, mode: number): Session {
    const { prng, engine, scenario } = this.world;
    const base = prng.oneIn(4) ? 0x200000000 : 1;
    const first = base + this.opened++ * REQUESTS_APART;
    const session = new Session(holder, mode, engine.pickFront(), first, scenario.backlogBytes, {
      delivered: (to, message) => this.delivered(to, message),
      closed: (closed, why) => this.closed(closed, why),
    });
    const name = Buffer.from(holder);
    this.hash.run(name, 0, name.length);
    session.connection = engine.fronts[session.front].connections.add(session, this.hash.lo, this.hash.hi);
    session.connection.vip = VIPS.has(holder);
    const { index } = session.connection;
    const place = `${session.front}:${index}`;
    if (this.usedPlaces.has(place)) this.world.count('index-reused');
    this.usedPlaces.add(place);
    this.all.add(session);
    this.world.trace.note('open', [index, mode], () => holder);
    return session;
  }

  private send(session: Session, commands: readonly Command[]): void {
    const { engine, judge, trace } = this.world;
    this.commands += commands.length;
    const frame = new Uint8Array(Buffer.concat(commands.map((command) => command.bytes)));
    trace.note('frame', [session.connection.index, commands.length], () =>
      commands.length < 100 ? `${session.holder}: ${commands.map(describe).join('; ')}` : '',
    );
    const sent = judge.sending(session, commands);
    const claims = engine.watchClaims(() => {
      engine.fronts[session.front].onFrame(session.connection, frame, session.mode);
    });
    // The socket layer's buffer is gone as soon as the frame is taken.
    frame.fill(0xc1);
    judge.routed(session, sent, claims);
  }

  private delivered(session: Session, message: unknown[]): void {
    const { judge, trace } = this.world;
    const sent = session.outstanding.get(message[0] as number);
    trace.note(
      'reply',
      [session.connection.index, ...message.filter((part) => typeof part === 'number')],
      () => message.join(' '),
    );
    judge.delivered(session, message);
    if (sent === undefined || message[1] !== Status.OK) return;
    if (sent.command.op === Op.HOLD) this.maker.learn(message[2] as number, session.holder);
    if (sent.command.op === Op.READ && session.holder === 'auditor') {
      this.settled(sent.command.args[0] as string, message.slice(1));
    }
  }

  private closed(session: Session, why: string): void {
    const { judge, engine, trace, count } = this.world;
    trace.note('close', [session.connection.index], () => `${session.holder}: ${why}`);
    count(`closed-${why.replace(' ', '-')}`);
    judge.closed(session);
    this.all.delete(session);
    engine.fronts[session.front].connections.close(session.connection);
    // What asks the next question on hearing an answer does so from within the pump, or from within the router.
    if (why === 'answered' && this.world.prng.oneIn(3)) this.call(session.holder);
  }
}
