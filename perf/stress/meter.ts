import { STATUS_COUNT, Status } from '../../protocol/status.ts';
import { Latencies } from './latencies.ts';

/** What a thread tells at the end of every period. Counts are of the period, the histogram's values µs. */
export interface Period {
  readonly offered: number;
  readonly accepted: number;
  readonly refused: number;
  /** Due and not answered, at the end. */
  readonly waiting: number;
  /** End of the period, ms since the start. */
  readonly endMs: number;
  /** Behind the end of the run: only what was under way is answered. */
  readonly behindEnd: boolean;
  /** How long what was accepted took, and what was refused. */
  readonly acceptedUs: string;
  readonly refusedUs: string;
}

/** Counts what is due and what is answered, and how long it took. */
export class Meter {
  offered = 0;
  answered = 0;
  readonly byStatus = new Float64Array(STATUS_COUNT);
  private readonly acceptedUs = new Latencies();
  private readonly refusedUs = new Latencies();
  private told = { offered: 0, accepted: 0, answered: 0 };

  answer(status: number, tookMs: number): void {
    this.answered++;
    this.byStatus[status]++;
    if (status === Status.OK) this.acceptedUs.record(tookMs);
    else this.refusedUs.record(tookMs);
  }

  /** Ends a period at so many ms since the start. */
  takePeriod(endMs: number, behindEnd: boolean): Period {
    const { offered, answered, told } = this;
    const accepted = this.byStatus[Status.OK];
    const period = {
      offered: offered - told.offered,
      accepted: accepted - told.accepted,
      refused: answered - accepted - (told.answered - told.accepted),
      waiting: offered - answered,
      ...{ endMs, behindEnd },
      acceptedUs: this.acceptedUs.take(),
      refusedUs: this.refusedUs.take(),
    };
    this.told = { offered, accepted, answered };
    return period;
  }
}
