/** A command that was traced: what a span and its children are made of. Goes from a front to the main thread. */
export interface CommandTrace {
  /** Of the client: 32 and 16 hexadecimal digits. */
  readonly traceId: string;
  readonly parentId: string;
  readonly op: number;
  status: number;
  readonly front: number;
  /** -1 where the front answered it itself. */
  worker: number;
  segment: number;
  /** The name of the connection, as logs have it. */
  readonly connection: string;
  /** When its reply was handed to the socket, ms since the epoch. */
  endMs: number;
  /** How long each stage took, in their order, in µs; only the first where the front answered it itself. */
  stagesUs: readonly number[];
}
