/** States what must hold here. A failure is a bug, never a bad input; it ends the thread that found it. */
export function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`assertion failed: ${what}`);
}

/** Marks what no input can reach. */
export function unreachable(what: string): never {
  throw new Error(`unreachable: ${what}`);
}
