import { type AdmissionRules, defaultRules, RULES, type RuleName } from '../admission/rules.ts';
import { WatchedFile } from '../auth/watched-file.ts';
import { monotonicMs } from '../base/clock.ts';
import type { ReloadOutcome, RulesDesk, RulesReport } from '../front/rules-desk.ts';
import type { Log } from '../log/events.ts';
import { parseConfig, unreadable } from './config-file.ts';
import { checkConfig, type Settings, SettingsError } from './settings.ts';

export interface RulesFileOptions {
  /** The config file; undefined without one. */
  readonly path: string | undefined;
  readonly authenticated: boolean;
  readonly log: Log;
  /** Puts rules into force in every front. */
  readonly apply: (rules: AdmissionRules) => void;
}

/** How often it is looked whether the file has changed. */
const LOOK_MS = 1000;
/** A file that changed is read when it has not changed again for this long: an editor may still be writing. */
const SETTLE_MS = 100;
const MAX_SETTLE_LOOKS = 50;

const NAMES = Object.keys(RULES) as RuleName[];

/**
 * The rules of admission as the config file has them, in the main thread. The file is looked at by its path, once a second, so that it does
 * not matter whether it was written in place or put in another's stead. A file with a mistake, anywhere in it, changes nothing.
 */
export class RulesFile implements RulesDesk {
  private readonly options: RulesFileOptions;
  private readonly file: WatchedFile | undefined;
  /** What is in force, and which of it stands in the file. */
  private rules: AdmissionRules;
  private given: readonly string[] = [];
  /** The file's settings when the server started, and the names of those that are others now. */
  private started: Partial<Settings> | undefined;
  private changedSettings = '';
  private sinceMs = Date.now();
  private problems: readonly string[] = [];
  private timer: NodeJS.Timeout | undefined;
  /** One reading at a time. */
  private busy: Promise<unknown> = Promise.resolve();
  private waiting = 0;
  private opened = false;
  private stopped = false;

  private constructor(options: RulesFileOptions) {
    this.options = options;
    this.file = options.path === undefined ? undefined : new WatchedFile(options.path, monotonicMs);
    this.rules = defaultRules(options.authenticated);
  }

  /** Reads the file. Throws SettingsError with everything that is wrong in it. */
  static async open(options: RulesFileOptions): Promise<RulesFile> {
    const opened = new RulesFile(options);
    const problems = await opened.read(true);
    if (problems !== undefined && problems.length > 0) throw new SettingsError(problems);
    opened.opened = true;
    return opened;
  }

  get current(): AdmissionRules {
    return this.rules;
  }

  /** Follows the file from now on. */
  watch(): void {
    if (this.file === undefined) return;
    this.timer = setInterval(() => this.look(), LOOK_MS);
    this.timer.unref();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.busy;
  }

  async report(): Promise<RulesReport> {
    return {
      rules: this.rules,
      sources: Object.fromEntries(
        NAMES.map((name) => [name, this.given.includes(name) ? 'config file' : 'default']),
      ) as RulesReport['sources'],
      sinceMs: this.sinceMs,
      file: this.options.path ?? null,
      problems: this.problems,
    };
  }

  /** Reads the file again, changed or not. */
  async reload(): Promise<ReloadOutcome> {
    if (this.file === undefined) return 'no file';
    return await this.inTurn(async () => {
      const before = this.rules;
      const problems = (await this.read(true)) ?? [];
      this.tell(before, problems, 'asked');
      if (problems.length > 0) return { problems };
      return { report: await this.report(), changed: changedNames(before, this.rules) as RuleName[] };
    });
  }

  private look(): void {
    // A look that takes longer than the time between two is not queued up behind.
    if (this.waiting > 0) return;
    void this.inTurn(async () => {
      const before = this.rules;
      const problems = await this.read(false);
      if (problems !== undefined) this.tell(before, problems, 'changed');
    });
  }

  private async inTurn<T>(read: () => Promise<T>): Promise<T> {
    this.waiting++;
    const turn = this.busy.then(read);
    this.busy = turn.then(
      () => this.waiting--,
      () => this.waiting--,
    );
    return await turn;
  }

  /** Undefined where the file is as it was, else what is wrong with it; what is right is in force then. */
  private async read(anyway: boolean): Promise<readonly string[] | undefined> {
    if (this.file === undefined) return [];
    let text: string | undefined;
    try {
      text = await this.settled(this.file, anyway);
    } catch (error) {
      const problem = unreadable(this.file.path, error);
      // Said once, and not at every look.
      if (!anyway && this.problems.includes(problem)) return undefined;
      this.problems = [problem];
      return this.problems;
    }
    if (text === undefined) return undefined;
    const problems: string[] = [];
    const values = parseConfig(text, this.file.path, problems);
    const { settings, given, rules } = checkConfig(
      values,
      this.file.path,
      problems,
      this.options.authenticated,
    );
    this.problems = problems;
    if (problems.length === 0 && rules !== undefined) this.take(settings, given, rules);
    return problems;
  }

  /** The file's text when nobody writes to it any more; undefined where it has not changed. */
  private async settled(file: WatchedFile, anyway: boolean): Promise<string | undefined> {
    let content = await file.readIfChanged(anyway);
    for (let look = 0; !anyway && content !== undefined && look < MAX_SETTLE_LOOKS; look++) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const later = await file.readIfChanged();
      if (later === undefined) break;
      content = later;
    }
    return content?.toString('utf8');
  }

  private take(settings: Partial<Settings>, given: readonly string[], rules: AdmissionRules): void {
    this.given = given;
    this.started ??= settings;
    this.changedSettings = changedNames(this.started, settings).join(', ');
    if (this.stopped || changedNames(this.rules, rules).length === 0) return;
    this.rules = rules;
    this.sinceMs = Date.now();
    // Who opens the file takes what is in force from it.
    if (this.opened) this.options.apply(rules);
  }

  private tell(before: AdmissionRules, problems: readonly string[], because: 'asked' | 'changed'): void {
    const { path, log } = this.options;
    if (problems.length > 0) {
      log({ event: 'rules-refused', path, because, detail: problems.join(' ') });
      return;
    }
    const changed = changedNames(before, this.rules).join(', ');
    log({ event: 'rules-read', path, because, changed: changed === '' ? 'none' : changed });
    if (this.changedSettings !== '') {
      log({ event: 'settings-wait', path, settings: this.changedSettings });
    }
  }
}

/** Names that stand for something else in one than in the other. */
function changedNames(before: object, after: object): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const text = (from: object, name: string) => JSON.stringify((from as Record<string, unknown>)[name]);
  return [...names].filter((name) => text(before, name) !== text(after, name));
}
