import type { Prng } from '../../src/base/prng.ts';
import { errno, MemoryLayer, PowerLost } from '../storage/memory-layer.ts';
import { replace } from './tap.ts';

/** How a run of the server ends that is not asked to: with all that was written still there, or with what was synced. */
export type End = 'kill' | 'power';

const CHANGES = new Set(['write', 'fdatasync', 'ftruncate', 'rename', 'unlink', 'syncDirectory']);
/** Of calls that read, one in so many counts. */
const READS = 8;
/** What the monotonic clock says when the server starts for the first time after a start of the machine. */
const BOOT_MS = 5_000;

/** The machine under the server: its disk, with what can become of it, and its clocks. */
export class SimMachine {
  layer = new MemoryLayer();
  /** Set from the moment on at which the server is gone. */
  end: End | undefined;
  /** Ms since this start of the machine, and of the wall clock, which jumps. */
  monotonicMs = BOOT_MS;
  wallMs: number;
  /** Set for a server that does not know the time of the run before. */
  clockLost = false;
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
    this.ignoreCalls();
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
      this.monotonicMs = BOOT_MS;
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
    if (this.ignored.length > 0) this.ignoreCalls();
  }

  private called(call: string, path: string): void {
    this.dieIfGone();
    // What only reads comes far more often, and has less to lose.
    if (!CHANGES.has(call) && !this.prng.oneIn(READS)) return;
    if (this.doom !== undefined && this.doom.left-- <= 0) {
      this.end = this.doom.end;
      this.count(`${this.end}-in-${call}`);
      this.dieIfGone();
    }
    if (call === 'fdatasync' && this.failSync) {
      this.failSync = false;
      this.count('sync-failed');
      throw errno('EIO', path);
    }
    this.meanwhile?.();
    this.dieIfGone();
  }

  private ignoreCalls(): void {
    const { layer } = this;
    const paths = new Map<number, string>();
    const isIgnored = (call: string, path: string | undefined): boolean =>
      this.ignored.some((one) => one.call === call && one.paths.test(path ?? ''));
    replace(layer, 'open', (open) => (path, flags) => {
      const fd = open(path, flags);
      paths.set(fd, path);
      return fd;
    });
    replace(layer, 'fdatasync', (fdatasync) => (fd) => {
      if (!isIgnored('fdatasync', paths.get(fd))) fdatasync(fd);
    });
    replace(layer, 'syncDirectory', (syncDirectory) => (directory) => {
      if (!isIgnored('syncDirectory', directory)) syncDirectory(directory);
    });
  }

  private dieIfGone(): void {
    if (this.end !== undefined) throw new PowerLost(this.end);
  }
}
