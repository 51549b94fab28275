import { FrontControl } from '../shard/memory.ts';

/** What was seen of a front: that it is silent, since when it was when it came back, or that it was silent for too long. */
export type FrontSign =
  | { readonly sign: 'silent' | 'lost'; readonly front: number; readonly silentMs: number }
  | { readonly sign: 'back'; readonly front: number; readonly silentMs: number };

/** Looks before a front is said to be silent. */
export const LOOKS = 4;

export interface FrontWatchOptions {
  /** Control block of each front. */
  readonly fronts: readonly SharedArrayBuffer[];
  /** A front without a heartbeat for so long is silent, and for so long is lost. */
  readonly silentMs: number;
  readonly lostMs: number;
}

interface Watched {
  readonly control: Int32Array;
  heartbeat: number;
  /** Looks in a row in which the heartbeat stood still. Looks rather than time, since a process that was stopped as a whole is not silent. */
  still: number;
}

/** Looks at the heartbeats of fronts. */
export class FrontWatch {
  readonly everyMs: number;
  private readonly lostLooks: number;
  private readonly watched: readonly Watched[];
  private readonly report: (sign: FrontSign) => void;

  constructor({ fronts, silentMs, lostMs }: FrontWatchOptions, report: (sign: FrontSign) => void) {
    this.everyMs = Math.ceil(silentMs / LOOKS);
    this.lostLooks = Math.max(LOOKS + 1, Math.ceil(lostMs / this.everyMs));
    this.watched = fronts.map((sab) => ({ control: new Int32Array(sab), heartbeat: -1, still: 0 }));
    this.report = report;
  }

  /** To be called every `everyMs`. */
  look(): void {
    this.watched.forEach((one, front) => {
      const { control, still } = one;
      const heartbeat = Atomics.load(control, FrontControl.HEARTBEAT);
      const silentMs = still * this.everyMs;
      if (heartbeat !== one.heartbeat) {
        one.heartbeat = heartbeat;
        one.still = 0;
        if (still < LOOKS) return;
        Atomics.store(control, FrontControl.SILENT, 0);
        this.report({ sign: 'back', front, silentMs });
        return;
      }
      one.still++;
      if (one.still === LOOKS) {
        Atomics.store(control, FrontControl.SILENT, 1);
        this.report({ sign: 'silent', front, silentMs: LOOKS * this.everyMs });
      } else if (one.still === this.lostLooks) {
        this.report({ sign: 'lost', front, silentMs: one.still * this.everyMs });
      }
    });
  }
}
