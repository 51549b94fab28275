import { opName } from '../../protocol/ops.ts';
import { layerName } from '../../protocol/status.ts';
import { BreakerState, type Breakers } from '../admission/breakers.ts';
import type { Gate } from '../admission/gate.ts';
import type { Log } from '../log/events.ts';

/** Looks of a second: what is refused is told once in so many. */
const LOOKS_PER_SECOND = 10;
const STATE_NAMES: Record<number, string> = {
  [BreakerState.CLOSED]: 'closed',
  [BreakerState.OPEN]: 'open',
  [BreakerState.HALF_OPEN]: 'half-open',
};

/**
 * What a front's gate does, for the log: breakers that change their state, and how many commands were refused by which layer in the last second. It looks
 * from the outside, since the gate itself is asked for every command and tells nobody. What changes back between two looks goes
 * unseen; a breaker's rest is longer.
 */
export class GateWatch {
  private readonly gate: Pick<Gate, 'breakers' | 'refused'>;
  private readonly front: number;
  private readonly log: Log;
  private readonly seen = { segment: new Uint8Array(0), op: new Uint8Array(0) };
  private readonly told: Float64Array;
  private looks = 0;

  constructor(gate: Pick<Gate, 'breakers' | 'refused'>, front: number, log: Log) {
    this.gate = gate;
    this.front = front;
    this.log = log;
    this.told = gate.refused.slice();
  }

  /** Call it ten times a second. */
  look(): void {
    const { breakers } = this.gate;
    this.compare('segment', breakers?.skus, String);
    this.compare('op', breakers?.ops, opName);
    if (++this.looks % LOOKS_PER_SECOND === 0) this.tellRefused();
  }

  private compare(
    guards: 'segment' | 'op',
    breakers: Breakers | undefined,
    nameOf: (breaker: number) => string,
  ): void {
    const states = breakers?.states ?? NONE;
    let seen = this.seen[guards];
    if (seen.length !== states.length) {
      seen = new Uint8Array(states.length);
      this.seen[guards] = seen;
    }
    const { front, log } = this;
    for (let breaker = 0; breaker < states.length; breaker++) {
      const state = states[breaker] as number;
      if (state === seen[breaker]) continue;
      seen[breaker] = state;
      const level = state === BreakerState.OPEN ? 'warn' : 'info';
      log({ event: 'breaker', level, front, guards, name: nameOf(breaker), state: STATE_NAMES[state] });
    }
  }

  private tellRefused(): void {
    const { front, log, told } = this;
    const { refused } = this.gate;
    for (let layer = 0; layer < refused.length; layer++) {
      const count = (refused[layer] as number) - (told[layer] as number);
      if (count > 0) log({ event: 'commands-refused', front, layer: layerName(layer), count });
      told[layer] = refused[layer] as number;
    }
  }
}

const NONE = new Uint8Array(0);
