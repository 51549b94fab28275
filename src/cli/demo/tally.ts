/** What a buyer can show for a sale. */
export interface Receipt {
  readonly sku: string;
  readonly holdId: number;
  readonly quantity: number;
}

/** What the buyers did and were told, counted on their side of the wire. */
export class Tally {
  visits = 0;
  /** Visits with a connection at this moment, and the most there ever were. */
  connected = 0;
  mostConnected = 0;
  commands = 0;
  placed = 0;
  confirmed = 0;
  /** Confirmed holds of which a part went back. */
  confirmedInPart = 0;
  released = 0;
  walkedAway = 0;
  /** Units of holds that nobody confirmed or released: they expire and are for sale again. */
  unitsWalkedAway = 0;
  tooLate = 0;
  heldOut = 0;
  soldOut = 0;
  /** Confirms that the server accepted although the deadline had long passed. */
  soldPastDeadline = 0;
  failures = 0;
  firstFailure = '';
  readonly receipts: Receipt[] = [];

  arrive(): void {
    this.connected += 1;
    this.mostConnected = Math.max(this.mostConnected, this.connected);
  }

  fail(error: unknown): void {
    this.failures += 1;
    if (this.firstFailure === '') this.firstFailure = error instanceof Error ? error.message : String(error);
  }

  /** Units by receipts: of one SKU, or of all. */
  units(sku?: string): number {
    let sum = 0;
    for (const receipt of this.receipts)
      if (sku === undefined || receipt.sku === sku) sum += receipt.quantity;
    return sum;
  }
}
