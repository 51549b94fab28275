import { Heartbeat } from '../shard/heartbeat.ts';
import { FrontControl } from '../shard/memory.ts';

/** What was seen of a front: that it is silent, since when it was when it came back, or that it was silent for too long. */
export interface FrontSign {
  readonly sign: 'silent' | 'back' | 'lost';
  readonly front: number;
  readonly silentMs: number;
}

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
  readonly heartbeat: Heartbeat;
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
    this.watched = fronts.map((sab) => {
      const control = new Int32Array(sab);
      return { control, heartbeat: new Heartbeat(control, FrontControl.HEARTBEAT) };
    });
    this.report = report;
  }

  /** To be called every `everyMs`. */
  look(): void {
    this.watched.forEach(({ control, heartbeat }, front) => {
      const before = heartbeat.still;
      const still = heartbeat.look();
      if (still === 0 && before >= LOOKS) {
        Atomics.store(control, FrontControl.SILENT, 0);
        this.report({ sign: 'back', front, silentMs: before * this.everyMs });
      } else if (still === LOOKS) {
        Atomics.store(control, FrontControl.SILENT, 1);
        this.report({ sign: 'silent', front, silentMs: still * this.everyMs });
      } else if (still === this.lostLooks) {
        this.report({ sign: 'lost', front, silentMs: still * this.everyMs });
      }
    });
  }
}
