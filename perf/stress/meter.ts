import { build, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';
import { STATUS_COUNT, Status } from '../../protocol/status.ts';

/** What a thread tells at the end of every period. Counts are of the period, the histogram's values µs. */
export interface Period {
  readonly index: number;
  readonly offered: number;
  readonly accepted: number;
  readonly refused: number;
  /** Due and not answered, at the end. */
  readonly waiting: number;
  readonly histogram: string;
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
  private readonly histogram = newHistogram();
  private told = { offered: 0, accepted: 0, answered: 0 };
  private periods = 0;

  answer(status: number, tookMs: number): void {
    this.answered++;
    this.byStatus[status]++;
    this.histogram.recordValue(tookMs <= 0 ? 0 : Math.min(LONGEST_US, Math.round(tookMs * 1000)));
  }

  /** Ends a period. */
  takePeriod(): Period {
    const { offered, answered, told } = this;
    const accepted = this.byStatus[Status.OK];
    const period = {
      index: this.periods++,
      offered: offered - told.offered,
      accepted: accepted - told.accepted,
      refused: answered - accepted - (told.answered - told.accepted),
      waiting: offered - answered,
      histogram: encodeIntoCompressedBase64(this.histogram),
    };
    this.told = { offered, accepted, answered };
    this.histogram.reset();
    return period;
  }
}
