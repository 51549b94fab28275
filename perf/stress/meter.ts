import { build, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';
import { STATUS_COUNT, Status } from '../../protocol/status.ts';

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

const LONGEST_US = 3_600_000_000;

/** A histogram of µs, up to an hour, exact to three digits. */
export function newHistogram(): Histogram {
  return build({
    highestTrackableValue: LONGEST_US,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
}

/** Counts what is due and what is answered, and how long it took. */
export class Meter {
  offered = 0;
  answered = 0;
  readonly byStatus = new Float64Array(STATUS_COUNT);
  private readonly acceptedUs = newHistogram();
  private readonly refusedUs = newHistogram();
  private told = { offered: 0, accepted: 0, answered: 0 };

  answer(status: number, tookMs: number): void {
    this.answered++;
    this.byStatus[status]++;
    const histogram = status === Status.OK ? this.acceptedUs : this.refusedUs;
    histogram.recordValue(tookMs <= 0 ? 0 : Math.min(LONGEST_US, Math.round(tookMs * 1000)));
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
      acceptedUs: encodeIntoCompressedBase64(this.acceptedUs),
      refusedUs: encodeIntoCompressedBase64(this.refusedUs),
    };
    this.told = { offered, accepted, answered };
    this.acceptedUs.reset();
    this.refusedUs.reset();
    return period;
  }
}
