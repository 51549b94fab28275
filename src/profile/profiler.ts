import { ProfileBusyError, type ProfileReport, type ProfileRequest } from './profile-report.ts';
import { takeProfile } from './take-profile.ts';

/** Profiles the running process on request, one request at a time. Belongs to the main thread. */
export class Profiler {
  private readonly mainName: string;
  private readonly commands: Readonly<Record<string, Int32Array>>;
  private running: { end: AbortController; done: Promise<unknown> } | undefined;
  private stopped = false;

  /**
   * @param mainName what the main thread is called; the others have names of their own
   * @param commands for each worker's thread, by name, a word that counts the commands it has run; wraps around
   */
  constructor(mainName: string, commands: Readonly<Record<string, Int32Array>>) {
    this.mainName = mainName;
    this.commands = commands;
  }

  /** Rejects with ProfileBusyError while another one is being taken. */
  async take(request: ProfileRequest): Promise<ProfileReport> {
    // The threads are about to end, and a front's would wait for its answer.
    if (this.stopped) throw new Error('the server stops');
    if (this.running !== undefined) throw new ProfileBusyError('a profile is being taken');
    const { mainName, commands } = this;
    const end = new AbortController();
    const done = takeProfile({ ...request, mainName, commands }, end.signal);
    this.running = { end, done };
    try {
      return await done;
    } finally {
      this.running = undefined;
    }
  }

  /** Gives up what is being taken, lets go of all threads, and takes nothing any more. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.running?.end.abort(new Error('the server stops'));
    await this.running?.done.catch(() => {});
  }
}
