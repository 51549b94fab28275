import type { Prng } from '../../src/base/prng.ts';
import { errno, MemoryLayer, PowerLost } from '../storage/memory-layer.ts';

/** How a run of the server ends that is not asked to: with all that was written still there, or with what was synced. */
export type End = 'kill' | 'power';

/** The machine under the server: its disk, with what can become of it, and its clocks. */
export class SimMachine {
  layer = new MemoryLayer();
  /** Set from the moment on at which the server is gone. */
  end: End | undefined;
  /** Ms since this start of the machine, and of the wall clock, which jumps. */
  monotonicMs = 5_000;
  wallMs: number;
  /** What others do between two calls to the disk, who do not wait for them. */
  meanwhile: (() => void) | undefined;
  /** Of each fault that has come about. */
  private readonly count: (what: string) => void;
  private readonly ignored: { readonly call: 'fdatasync' | 'syncDirectory'; readonly paths: RegExp }[] = [];
  private readonly prng: Prng;
  private boots = 1;
  private doom: { readonly end: End; left: number } | undefined;
  private failSync = false;

  constructor(prng: Prng, wallMs: number, count: (what: string) => void) {
    this.prng = prng;
    this.wallMs = wallMs;
    this.count = count;
    this.plugIn();
  }

  get bootId(): string {
    return `boot-${this.boots}`;
  }

  pass(ms: number): void {
    this.monotonicMs += ms;
    this.wallMs += ms;
  }

  /** The server will end at one of its next calls to the disk. */
  threaten(end: End): void {
    this.doom ??= { end, left: this.prng.below(24) };
  }

  /** The next sync of any file fails. */
  breakSync(): void {
    this.failSync = true;
  }

  toggleRoom(): void {
    this.layer.room = Number.isFinite(this.layer.room) ? Number.POSITIVE_INFINITY : this.prng.below(1_500);
  }

  /** From now on these calls do nothing, and say nothing of it. */
  ignore(call: 'fdatasync' | 'syncDirectory', paths: RegExp): void {
    this.ignored.push({ call, paths });
    this.plugIn();
  }

  /** No more faults. */
  calm(): void {
    this.doom = undefined;
    this.failSync = false;
    this.layer.room = Number.POSITIVE_INFINITY;
  }

  /** The server is gone, in the way that `end` says. What is left of its disk is ready for the next one. Returns which way it was. */
  fall(): End {
    const by = this.end ?? 'kill';
    const { room } = this.layer;
    this.doom = undefined;
    this.failSync = false;
    this.meanwhile = undefined;
    this.count(by);
    if (by === 'power') {
      this.layer = this.layer.losePower(this.prng);
      this.boots++;
      this.monotonicMs = 5_000;
    } else {
      this.layer.kill();
    }
    this.layer.room = room;
    this.end = undefined;
    this.plugIn();
    return by;
  }

  private plugIn(): void {
    this.layer.fault = (call, path) => this.called(call, path);
    this.layer.cutShort = (bytes) => this.prng.below(bytes + 1);
    for (const { call, paths } of this.ignored) {
      if (call === 'syncDirectory') replace(this.layer, call, () => () => {});
    }
  }

  private called(call: string, path: string): void {
    this.dieIfGone();
    if (this.doom !== undefined && this.doom.left-- <= 0) {
      this.end = this.doom.end;
      this.count(`${this.end}-in-${call}`);
      this.dieIfGone();
    }
    if (!CHANGES.has(call)) return;
    if (call === 'fdatasync' && this.failSync) {
      this.failSync = false;
      this.count('sync-failed');
      throw errno('EIO', path);
    }
    this.meanwhile?.();
    this.dieIfGone();
  }

  private dieIfGone(): void {
    if (this.end !== undefined) throw new PowerLost(this.end);
  }
}
