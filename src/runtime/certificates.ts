import { setTimeout as sleep } from 'node:timers/promises';
import { WatchedFile } from '../auth/watched-file.ts';
import type { TlsFiles } from '../front/listener.ts';
import type { Log } from '../log/events.ts';
import { tlsOf } from './tls.ts';

const LOOK_MS = 2000;
/** Certificate and key are two files, and are not replaced at the same time: both are to stay as they are for so long. */
const SETTLE_MS = 500;
/** A file that changes all the time is taken as it is after so many looks. */
const MAX_SETTLE_LOOKS = 20;

export interface CertificatesOptions {
  readonly tls: TlsFiles;
  readonly log: Log;
  /** Has connections from now on get what is in the files now. */
  readonly apply: (tls: TlsFiles) => Promise<void>;
  readonly lookMs?: number;
}

/** Follows the files of certificate and key. What cannot be used changes nothing, and is said. */
export class Certificates {
  private readonly options: CertificatesOptions;
  private readonly files: readonly WatchedFile[];
  private timer: NodeJS.Timeout | undefined;
  private busy: Promise<void> | undefined;
  private problem = '';
  /** What is in the files now was not taken. Later it may be: when a clock was set, or there are descriptors again. */
  private untaken = false;

  private constructor(options: CertificatesOptions) {
    this.options = options;
    const { cert, key } = options.tls;
    this.files = [cert, key].map((path) => new WatchedFile(path, () => performance.now()));
  }

  /** Of files that were taken as they are now. */
  static async watch(options: CertificatesOptions): Promise<Certificates> {
    const certificates = new Certificates(options);
    // What happened to them since they were taken is seen as well: better once too often than never.
    await certificates.changed().catch(() => {});
    certificates.timer = setInterval(() => certificates.look(), options.lookMs ?? LOOK_MS);
    certificates.timer.unref();
    return certificates;
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.busy;
  }

  private look(): void {
    this.busy ??= this.follow().finally(() => {
      this.busy = undefined;
    });
  }

  private async follow(): Promise<void> {
    const { tls, log, apply } = this.options;
    try {
      const changed = await this.changed();
      if (!changed && !this.untaken) return;
      this.untaken = true;
      for (let look = 0; look < MAX_SETTLE_LOOKS; look++) {
        await sleep(SETTLE_MS, undefined, { ref: false });
        if (!(await this.changed())) break;
      }
      const next = tlsOf(tls.cert, tls.key) as TlsFiles;
      await apply(next);
      this.untaken = false;
      this.problem = '';
      log({ event: 'certificate-read', path: tls.cert, until: new Date(next.untilMs).toISOString() });
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      // Said once, and not at every look.
      if (problem !== this.problem) log({ event: 'certificate-refused', path: tls.cert, detail: problem });
      this.problem = problem;
    }
  }

  private async changed(): Promise<boolean> {
    const contents = await Promise.all(this.files.map((file) => file.readIfChanged()));
    return contents.some((content) => content !== undefined);
  }
}
