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
import { allocateEngine } from '../../src/shard/memory.ts';
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
  return new Simulation(seed, options).run();
}

/** Rounds in which everybody has a turn, after which all must be answered. */
const ROUNDS = 400;
/** Past every deadline, for the expiry to be over. */
const GRACE_MS = 20;
/** Holds that are asked after at the end. */
const MOST_ASKED = 60;

class Simulation {
  private readonly seed: number;
  private readonly prng: Prng;
  private readonly scenario: Scenario;
  private readonly counts = new Map<string, number>();
  private readonly trace: Trace;
  private readonly judge: Judge;
  private readonly engine: SimEngine;
  private readonly crowd: Crowd;
  private readonly kinds: readonly StepKind[];
  private readonly steps: Readonly<Record<StepKind, () => void>>;

  constructor(seed: number, { print, mutation = {} }: RunOptions) {
    this.seed = seed;
    // Drawing the scenario and running it are two streams: a change of the one leaves the other's beginning alone.
    this.prng = new Prng(seed ^ 0x5bd1e995);
    this.scenario = drawScenario(seed);
    this.trace = new Trace(print);
    const { scenario, prng, trace } = this;
    const count = (what: string): void => {
      this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
    };
    const memory = allocateEngine(scenario.engine);
    this.judge = new Judge(memory, scenario.skewMs, () => this.engine.now, count);
    this.judge.unseen = mutation.unseen ?? [];
    this.engine = new SimEngine(memory, scenario, prng, this.judge, count, mutation);
    this.crowd = new Crowd({ scenario, prng, engine: this.engine, judge: this.judge, trace, count });
    this.steps = this.makeSteps();
    this.kinds = STEP_KINDS.flatMap((kind) => new Array<StepKind>(scenario.weights[kind]).fill(kind));
  }

  run(): Report {
    const { judge, counts, seed } = this;
    this.trace.note('scenario', [seed], () => JSON.stringify(this.scenario));
    try {
      this.play();
    } catch (error) {
      judge.violate('crash', error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
    this.engine.countRings();
    return {
      seed,
      violations: judge.violations,
      counts,
      hash: this.trace.hash,
      commands: this.crowd.commands,
    };
  }

  private play(): void {
    const { judge, engine, crowd } = this;
    crowd.stock();
    for (let step = 0; step < this.scenario.steps && this.clean; step++) {
      this.step(this.prng.pick(this.kinds));
      judge.ledger.checkOversell(engine.now);
    }
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

  private get clean(): boolean {
    return this.judge.violations.length === 0;
  }

  private step(kind: StepKind): void {
    if (kind !== 'frame' && kind !== 'flood') this.trace.note(kind, [this.engine.now]);
    this.steps[kind]();
  }

  private makeSteps(): Record<StepKind, () => void> {
    const { engine, crowd, judge, prng, scenario } = this;
    return {
      frame: () => crowd.sendFrame(),
      flood: () => crowd.flood(),
      noise: () => crowd.makeNoise(),
      reconnect: () => crowd.reconnect(),
      reading: () => crowd.toggleReading(),
      turn: () => engine.turn(),
      worker: () => this.stepWorker(),
      tick: () => engine.pass(prng.oneIn(8) ? prng.below(200) : prng.below(6)),
      jump: () => engine.pass(prng.below(scenario.jumpMs)),
      pump: () => engine.togglePump(),
      death: () => engine.kill(),
      adopt: () => engine.adoptAll(),
      inspect: () => judge.inspect(engine.struck()),
    };
  }

  /** A worker gets on by some steps, so far as it does not sleep. */
  private stepWorker(): void {
    const worker = this.prng.pick(this.engine.workers);
    let steps = 1 + this.prng.below(8);
    do {
      this.trace.note(worker.phase, [worker.number]);
    } while (worker.step() && --steps > 0);
  }

  /** No more faults: everybody gets on until all that was sent is answered. */
  private calmDown(): void {
    const { engine, crowd } = this;
    engine.makePeace();
    engine.pumpStalled = false;
    crowd.readAll();
    engine.adoptAll();
    this.finish();
  }

  private finish(): void {
    const { engine, judge } = this;
    for (let round = 0; round < ROUNDS && this.clean && judge.busy(engine.front); round++) {
      engine.turn();
      for (const worker of engine.workers) for (let i = 0; i < 8 && worker.step(); i++);
    }
    engine.turn();
    if (this.clean) judge.drained(this.crowd.openOnes(), engine.front);
  }

  /** The server is stopping: all is refused, and all is answered. */
  private refuseAll(): void {
    const { engine, judge, crowd } = this;
    engine.front.router.draining = true;
    judge.draining = true;
    for (let i = 0; i < 3; i++) crowd.sendFrame();
    this.finish();
    engine.front.router.draining = false;
    judge.draining = false;
  }

  /** Time goes by until every hold's deadline is past, and a little longer. */
  private passDeadlines(): void {
    const { engine, judge } = this;
    engine.now = Math.max(engine.now, judge.lastDeadline()) + GRACE_MS;
    for (let round = 0; round < ROUNDS && judge.openHolds() > 0; round++) {
      engine.now++;
      for (const worker of engine.workers) for (let i = 0; i < 8; i++) worker.step();
    }
    if (judge.openHolds() > 0)
      judge.violate('I3', `${judge.openHolds()} holds are still open after every deadline`);
  }
}
