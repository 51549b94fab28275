import { MAX_IN_FLIGHT } from '../../protocol/limits.ts';
import { LAYER_COUNT, Layer } from '../../protocol/status.ts';

/** How long a client whose command found a full ring had better wait: a full ring is worked off in some milliseconds. */
export const BUSY_RETRY_MS = 10;

/** What the gate has to know of a connection. */
export interface Admitted {
  holderLo: number;
  holderHi: number;
  addressLo: number;
  addressHi: number;
  /** Limits go by the address. */
  anonymous: boolean;
  vip: boolean;
  /** Commands that are not answered yet. */
  inFlight: number;
}

/**
 * What a command has to pass between its header, which was decoded, and its ring. One for each front. A refusal costs no more than its
 * answer.
 */
export class Gate {
  /** Of the last refusal: how long the client had better wait. */
  retryMs = 0;
  /** Refusals by layer. */
  readonly refused = new Float64Array(LAYER_COUNT);

  /** The layer that refuses the command, or 0. `lo`, `hi`: hash of the SKU, or the words of the hold's id. */
  admit(
    connection: Admitted,
    _op: number,
    _lo: number,
    _hi: number,
    _segment: number,
    _worker: number,
  ): number {
    // One client cannot fill a ring that all share.
    if (connection.inFlight >= MAX_IN_FLIGHT) return this.refuse(Layer.CONNECTION, BUSY_RETRY_MS);
    return 0;
  }

  /** The command found no room in its ring. */
  ringFull(): number {
    return this.refuse(Layer.WORKER_QUEUE, BUSY_RETRY_MS);
  }

  private refuse(layer: number, retryMs: number): number {
    this.refused[layer] = (this.refused[layer] as number) + 1;
    this.retryMs = retryMs;
    return layer;
  }
}
