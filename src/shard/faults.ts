import { Control, FrontControl } from './memory.ts';

/**
 * Faults that a test plants in a worker through its control block: the next command of the named segment, before or
 * while it changes the segment, throws or never ends. Off, they cost one comparison for each command.
 */
export const Fault = { NONE: 0, THROW: 1, LOOP: 2, EXIT: 3, THROW_IDLE: 4, LOOP_IDLE: 5 } as const;

/** Plants a fault. `segment` matters to those that strike within a command. */
export function plantFault(control: Int32Array, fault: number, segment: number): void {
  control[Control.FAULT_SEGMENT] = segment;
  Atomics.store(control, Control.FAULT, fault);
}

/** Strikes if a fault is planted: within a command of `segment`, or outside of any (segment -1). */
export function strike(control: Int32Array, segment: number): void {
  const fault = control[Control.FAULT] as number;
  if (fault === Fault.NONE) return;
  const idle = fault === Fault.THROW_IDLE || fault === Fault.LOOP_IDLE;
  if (idle !== segment < 0 || (!idle && segment !== control[Control.FAULT_SEGMENT])) return;
  control[Control.FAULT] = Fault.NONE;
  if (fault === Fault.EXIT) process.exit(1);
  if (fault === Fault.LOOP || fault === Fault.LOOP_IDLE) for (;;) control[Control.FAULT] = Fault.NONE;
  throw new Error(
    segment < 0 ? 'planted fault outside a command' : `planted fault in a command of segment ${segment}`,
  );
}

/** Strikes a front in whose control block a fault is planted. */
export function strikeFront(control: Int32Array): void {
  const fault = control[FrontControl.FAULT] as number;
  if (fault === 0) return;
  control[FrontControl.FAULT] = 0;
  if (fault === 1) throw new Error('planted fault in a front');
  const endMs = performance.now() + fault;
  while (performance.now() < endMs);
}
