/** What `POST /v1/profile` can be asked for. */
export const PROFILE_KINDS = ['cpu', 'allocations', 'health'] as const;

export type ProfileKind = (typeof PROFILE_KINDS)[number];

/** Longest window of a profile. */
export const MAX_PROFILE_SECONDS = 60;
export const MIN_PROFILE_SECONDS = 0.1;

export interface ProfileRequest {
  readonly kind: ProfileKind;
  /** MIN_PROFILE_SECONDS to MAX_PROFILE_SECONDS. */
  readonly seconds: number;
}

/** What it answers: one entry for each thread that ran JavaScript from the beginning of the window to its end. */
export type ProfileReport =
  | { readonly kind: 'cpu'; readonly seconds: number; readonly threads: readonly ThreadCpuProfile[] }
  | {
      readonly kind: 'allocations';
      readonly seconds: number;
      readonly threads: readonly ThreadAllocationProfile[];
    }
  | { readonly kind: 'health'; readonly seconds: number; readonly threads: readonly ThreadHealth[] };

export interface ThreadCpuProfile extends ProfiledThread {
  /** As in a `.cpuprofile` file. */
  readonly profile: CpuProfile;
}

export interface ThreadAllocationProfile extends ProfiledThread {
  /** As in a `.heapprofile` file. */
  readonly profile: AllocationProfile;
}

interface ProfiledThread {
  /** `front-0`, `shard-0`, `storage`, `watchdog`; threads of the pool are `worker-N`. */
  readonly name: string;
  /** How long this thread was measured, ms. */
  readonly windowMs: number;
  /** Commands that this worker ran meanwhile, without those that a front ran in its place; null for threads that run none. */
  readonly commands: number | null;
}

export interface CpuProfile {
  readonly nodes: readonly CpuProfileNode[];
  /** µs, on a clock of its own. */
  readonly startTime: number;
  readonly endTime: number;
  /** Node on top of the stack at each sample, and the time since the sample before it, µs. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  /** From 0; -1 for native code. */
  readonly lineNumber: number;
  readonly columnNumber: number;
}

export interface CpuProfileNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly children?: readonly number[];
}

export interface AllocationProfile {
  readonly head: AllocationNode;
}

export interface AllocationNode {
  readonly callFrame: CallFrame;
  /** Bytes allocated in the function itself, extrapolated from samples. */
  readonly selfSize: number;
  readonly children: readonly AllocationNode[];
}

export interface ThreadHealth extends ProfiledThread {
  /** CPU time used meanwhile, ms; null where the system does not tell. */
  readonly cpuMs: number | null;
  /** Collections of garbage: those of young objects only, and those of the whole heap, which also run in slices and in the background. */
  readonly minorCollections: Collections;
  readonly majorCollections: Collections;
  /** Bytes allocated on the heap of this thread. */
  readonly allocatedBytes: number;
  readonly heapBytes: number;
  /** How much later than asked a timer of 2 ms came; null for a thread whose event loop does not turn. */
  readonly eventLoopDelayMs: LoopDelay | null;
  /** Share of the time in which the event loop did not wait, 0 to 1; null likewise. */
  readonly eventLoopUtilization: number | null;
}

export interface Collections {
  readonly count: number;
  readonly totalMs: number;
  readonly longestMs: number;
}

export interface LoopDelay {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** A profile is being taken already. */
export class ProfileBusyError extends Error {
  override readonly name = 'ProfileBusyError';
}
