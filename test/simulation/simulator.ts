/**
 * A whole engine in one thread, run by a seed: the real front (router, connections, reply pump), rings, shards and
 * segments, with simulated clients, worker threads, supervisor and clock. The seed decides everything: what each client
 * sends, who has the next turn and how far it gets, when time passes, and who dies where. Two runs of one seed are the same
 * to the last byte.
 *
 *     node_modules/.bin/node test/simulation/replay.ts --seed 123 --verbose    every step of one run
 *     HOLDFAST_SEED=123 npm test -- test/simulation                            the suite, with this seed alone
 */
import { Prng } from '../../src/base/prng.ts';
import { allocateEngine, type EngineMemory } from '../../src/shard/memory.ts';
import { Crowd } from './crowd.ts';
import { type Mutation, SimEngine } from './engine.ts';
import { Judge, type Violation } from './judge.ts';
import { drawScenario, type Scenario, STEP_KINDS, type StepKind } from './scenario.ts';
import { Trace } from './trace.ts';

export interface RunOptions {
  /** Gets a line for each step. */
  print?: (line: string) => void;
  /** Something to do wrong. */
  mutation?: Mutation;
}

export interface Report {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** How often each fault, and everything else worth knowing, came about. */
  readonly counts: ReadonlyMap<string, number>;
  /** The same for two runs exactly when they were the same. */
  readonly hash: number;
  readonly commands: number;
}

/** Runs one seed to its end, or to the first violation. */
export function simulate(seed: number, options: RunOptions = {}): Report {
  return new VolatileSimulation(seed, options).run();
}

/** Rounds in which everybody has a turn, after which all must be answered. */
const ROUNDS = 400;
/** Past every deadline, for the expiry to be over. */
const GRACE_MS = 20;
/** Holds that are asked after at the end. */
export const MOST_ASKED = 60;

/** What runs of all kinds have in common: the parts, the steps, and how a run comes to an end. */
export class Simulation<Verdict extends Judge = Judge> {
  protected readonly seed: number;
  protected readonly prng: Prng;
  protected readonly scenario: Scenario;
  protected readonly counts = new Map<string, number>();
  protected readonly trace: Trace;
  protected readonly judge: Verdict;
  protected readonly mutation: Mutation;
  protected engine!: SimEngine;
  protected crowd!: Crowd;
  private readonly kinds: readonly StepKind[];

  constructor(
    seed: number,
    { print, mutation = {} }: RunOptions,
    scenario: Scenario,
    appoint: (clock: () => number, count: (what: string) => void) => Verdict,
  ) {
    this.seed = seed;
    this.mutation = mutation;
    // Drawing the scenario and running it are two streams: a change of the one leaves the other's beginning alone.
    this.prng = new Prng(seed ^ 0x5bd1e995);
    this.scenario = scenario;
    this.trace = new Trace(print);
    this.judge = appoint(() => this.engine.now, this.count);
    this.judge.unseen = mutation.unseen ?? [];
    this.kinds = STEP_KINDS.flatMap((kind) => new Array<StepKind>(scenario.weights[kind]).fill(kind));
  }

  protected readonly count = (what: string): void => {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  };

  /** Sets an engine up in this memory. */
  protected begin(memory: EngineMemory, startMs: number): void {
    const { scenario, prng, judge, count, mutation } = this;
    this.engine = new SimEngine(memory, scenario, prng, judge, count, mutation, startMs);
  }

  /** Lets clients connect to the first engine. */
  protected letIn(): void {
    const { scenario, prng, judge, trace, count } = this;
    const engine = (): SimEngine => this.engine;
    this.crowd = new Crowd({
      scenario,
      prng,
      judge,
      trace,
      count,
      get engine() {
        return engine();
      },
    });
  }

  protected report(): Report {
    const { judge, counts, seed, trace, crowd } = this;
    return { seed, violations: judge.violations, counts, hash: trace.hash, commands: crowd.commands };
  }

  protected crashed(error: unknown): void {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.judge.violate('crash', what);
  }

  /** Work of others in a round in which everybody has a turn. */
  protected serveOthers(): void {}

  protected get clean(): boolean {
    return this.judge.violations.length === 0;
  }

  protected drawStep(): StepKind {
    return this.prng.pick(this.kinds);
  }

  protected step(kind: StepKind): void {
    if (kind !== 'frame' && kind !== 'flood') this.trace.note(kind, [this.engine.now]);
    this.steps[kind]();
    this.judge.ledger.checkOversell(this.engine.now);
  }

  private readonly steps: Readonly<Record<StepKind, () => void>> = {
    frame: () => this.crowd.sendFrame(),
    flood: () => this.crowd.flood(),
    noise: () => this.crowd.makeNoise(),
    reconnect: () => this.crowd.reconnect(),
    reading: () => this.crowd.toggleReading(),
    turn: () => this.engine.turn(),
    worker: () => this.stepWorker(),
    tick: () => this.engine.pass(this.prng.oneIn(8) ? this.prng.below(200) : this.prng.below(6)),
    jump: () => this.engine.pass(this.prng.below(this.scenario.jumpMs)),
    pump: () => this.engine.togglePump(),
    death: () => this.engine.kill(),
    adopt: () => this.engine.adoptAll(),
    inspect: () => this.judge.inspect(this.engine.struck()),
  };

  /** A worker gets on by some steps, so far as it does not sleep. */
  private stepWorker(): void {
    const worker = this.prng.pick(this.engine.workers);
    let steps = 1 + this.prng.below(8);
    do {
      this.trace.note(worker.phase, [worker.number]);
    } while (worker.step() && --steps > 0);
  }

  /** No more faults: everybody gets on until all that was sent is answered. */
  protected calmDown(): void {
    const { engine, crowd } = this;
    engine.makePeace();
    engine.pumpStalled = false;
    crowd.readAll();
    engine.adoptAll();
    this.finish();
  }

  protected finish(): void {
    const { engine, judge } = this;
    for (let round = 0; round < ROUNDS && this.clean && judge.busy(engine.fronts); round++) {
      engine.turnAll();
      for (const worker of engine.workers) for (let i = 0; i < 8 && worker.step(); i++);
      this.serveOthers();
    }
    engine.turnAll();
    if (this.clean) judge.drained(this.crowd.openOnes(), engine.fronts);
  }

  /** The server is stopping: all is refused, and all is answered. */
  protected refuseAll(): void {
    const { engine, judge, crowd } = this;
    for (const { router } of engine.fronts) router.draining = true;
    judge.draining = true;
    for (let i = 0; i < 3; i++) crowd.sendFrame();
    this.finish();
    for (const { router } of engine.fronts) router.draining = false;
    judge.draining = false;
  }

  /** Time goes by until every hold's deadline is past, and a little longer. */
  protected passDeadlines(): void {
    const { engine, judge } = this;
    engine.now = Math.max(engine.now, judge.lastDeadline()) + GRACE_MS;
    for (let round = 0; round < ROUNDS && judge.openHolds() > 0; round++) {
      engine.now++;
      for (const worker of engine.workers) for (let i = 0; i < 8; i++) worker.step();
      this.serveOthers();
    }
    if (judge.openHolds() > 0)
      judge.violate('I3', `${judge.openHolds()} holds are still open after every deadline`);
  }
}

/** Runs in which nothing is stored, from one start to one end. */
class VolatileSimulation extends Simulation {
  constructor(seed: number, options: RunOptions) {
    const scenario = drawScenario(seed);
    const memory = allocateEngine(scenario.engine);
    super(seed, options, scenario, (clock, count) => new Judge(memory, scenario.skewMs, clock, count));
    this.begin(memory, scenario.startMs);
    this.letIn();
  }

  run(): Report {
    this.trace.note('scenario', [this.seed], () => JSON.stringify(this.scenario));
    try {
      this.play();
    } catch (error) {
      this.crashed(error);
    }
    this.engine.countRings();
    return this.report();
  }

  private play(): void {
    const { judge, engine, crowd } = this;
    crowd.stock();
    for (let step = 0; step < this.scenario.steps && this.clean; step++) this.step(this.drawStep());
    this.calmDown();
    judge.inspect(engine.struck());
    if (this.clean && this.prng.oneIn(4)) this.refuseAll();
    if (!this.clean) return;
    crowd.askForHolds(MOST_ASKED);
    this.finish();
    this.passDeadlines();
    crowd.askForSkus();
    this.finish();
    judge.inspect(engine.struck());
  }
}
