/** Words of the shared memory between a ticker and the thread that it wakes. */
export const Tick = { COUNT: 0, STOP: 1, WORDS: 2 } as const;

export interface TickerData {
  readonly words: Int32Array;
  readonly tickMs: number;
}
