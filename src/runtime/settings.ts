import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { type AdmissionRules, parseRules } from '../admission/rules.ts';
import { isKeySource, SOURCE_FORMS } from '../auth/key-source.ts';
import { isStoreUrl, withoutPassword } from '../storage/store.ts';
import { readConfig } from './config-file.ts';
import { doorProblems } from './door-settings.ts';
import { NO_STORE, SETTINGS, type Setting, type SettingName, type Settings } from './setting-table.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts';

/** Longest value of a text, and most items of a list. */
const MAX_TEXT_LENGTH = 1024;
const MAX_LIST_LENGTH = 16;

export { SETTINGS, type Setting, type SettingName, type Settings };

/** Settings that cannot be used. `problems` has one full sentence for each; nothing was started. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly exitCode = 2;
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

export interface SettingsSources {
  /** Values by setting name, such as commander's options; undefined means not given. */
  flags: Readonly<Record<string, unknown>>;
  env: Readonly<Record<string, string | undefined>>;
  /** A JSON file with values by setting name, and the rules of admission. */
  configPath?: string | undefined;
  /** Cores that defaults are reckoned from; the machine's unless given. */
  cores?: number;
}

/**
 * The settings in force: flag before environment before config file before default. Every wrong value is refused,
 * also one that a stronger source overrides, because it would surprise on the day that source goes away. Throws
 * SettingsError with all problems at once.
 */
export function loadSettings(sources: SettingsSources): Settings {
  const problems: string[] = [];
  const file = sources.configPath === undefined ? {} : readConfig(sources.configPath, problems);
  const fromFile = checkConfig(file, sources.configPath ?? '', problems).settings;
  const fromEnv = check(valuesOfEnv(sources.env), (name) => settingOf(name)?.env ?? name, problems);
  const fromFlags = check(withoutUndefined(sources.flags), (name) => settingOf(name)?.flag ?? name, problems);
  if (problems.length > 0) throw new SettingsError(problems);

  const set = { ...fromFile, ...fromEnv, ...fromFlags };
  const cores = sources.cores ?? availableParallelism();
  // Defaults that follow from others stand behind them: segments and fronts, then workers, then spins.
  const filled: Partial<Settings> = { ...set };
  for (const name of [
    'segments',
    'fronts',
    'workers',
    'store',
    ...SETTINGS.map((setting) => setting.name),
  ] as SettingName[]) {
    if (filled[name] === undefined)
      Object.assign(filled, { [name]: settingOf(name)?.defaultFor(cores, filled) });
  }
  const settings = filled as Settings;
  if (settings.workers > settings.segments) {
    throw new SettingsError([
      `workers = ${settings.workers} is more than segments = ${settings.segments}: a worker without a segment has nothing to do. ` +
        `Set workers to at most ${settings.segments}, or segments to at least ${settings.workers}.`,
    ]);
  }
  if (settings.otlpEndpoint !== '' && !isHttpUrl(settings.otlpEndpoint)) {
    throw new SettingsError([
      `otlpEndpoint = ${withoutPassword(settings.otlpEndpoint)} cannot be used: it must be an address such as http://127.0.0.1:4318.`,
    ]);
  }
  if (settings.store === NO_STORE && (settings.ack !== 'memory' || settings.snapshots !== '')) {
    const what = settings.snapshots !== '' ? `snapshots = ${settings.snapshots}` : `ack = ${settings.ack}`;
    throw new SettingsError([
      `${what} needs a store, and store = ${NO_STORE}. Name one, such as file:./data, or leave the other out.`,
    ]);
  }
  const open = doorProblems(settings);
  if (open.length > 0) throw new SettingsError(open);
  return settings;
}

/** What a config file says, all of it right. */
export interface ConfigFile {
  readonly settings: Partial<Settings>;
  /** Names of the rules of admission that stand in it. */
  readonly given: readonly string[];
  /** All of them, those that it leaves out by their defaults. */
  readonly rules: AdmissionRules | undefined;
}

/**
 * Checks what a config file holds: settings, and the rules of admission under `admission`.
 *
 * @param authenticated which defaults the rules have; of no matter for what is right
 * @param problems gets one full sentence for each thing that is not
 */
export function checkConfig(
  { admission = {}, ...values }: Record<string, unknown>,
  path: string,
  problems: string[],
  authenticated = false,
): ConfigFile {
  const settings = check(values, (name) => `${name} in ${path}`, problems);
  const parsed = parseRules(admission, authenticated);
  if ('rules' in parsed) return { settings, given: Object.keys(admission as object), rules: parsed.rules };
  problems.push(...parsed.problems.map((problem) => `In ${path}: ${problem}`));
  return { settings, given: [], rules: undefined };
}

/** What a right value of the setting looks like, to stand behind "must be". */
export function describeRight(setting: Setting): string {
  switch (setting.type) {
    case 'count':
      return `a whole number from ${setting.min} to ${setting.max}`;
    case 'duration':
      return `a duration from ${formatDuration(setting.min)} to ${formatDuration(setting.max)}, such as 500ms, 30s, 10m, 2h or 1d (a bare number is ms)`;
    case 'size':
      return `a size from ${formatSize(setting.min)} to ${formatSize(setting.max)}${isRing(setting.name) ? ' that is a power of two' : ''}, such as 512KiB or 4MiB (a bare number is bytes)`;
    case 'choice':
      return setting.choices.join(' or ');
    case 'store':
      return `an address that begins with file:, redis://, rediss://, redis+sentinel:// or redis+cluster://${setting.choices.length > 0 ? `, or ${setting.choices.join(' or ')}` : ''}`;
    case 'text':
      return `a text of 1 to ${MAX_TEXT_LENGTH} characters`;
    case 'words':
      return `one or more of ${setting.choices.join(', ')}, with commas between them (a list in a config file)`;
    case 'key-sources':
      return `one or more of ${SOURCE_FORMS}, with commas between them (a list in a config file)`;
    case 'list':
      return `one or more of ${setting.forms}, with commas between them (a list in a config file)`;
    case 'switch':
      return 'yes or no';
    case 'host':
      return 'an IP address of this machine, or localhost';
  }
}

function settingOf(name: string): Setting | undefined {
  return SETTINGS.find((setting) => setting.name === name);
}

function isRing(name: SettingName): boolean {
  return name === 'commandRingBytes' || name === 'replyRingBytes' || name === 'eventRingBytes';
}

function schemaOf(setting: Setting): z.ZodType {
  if (setting.type === 'host') return z.string().refine((host) => host === 'localhost' || isIP(host) !== 0);
  if (setting.type === 'list') return listOf(z.string().refine(setting.accepts));
  if (setting.type === 'switch') return z.preprocess((value) => SWITCH.get(value) ?? value, z.boolean());
  if (setting.type === 'store') {
    return z.string().refine((text) => setting.choices.includes(text) || isStoreUrl(text));
  }
  if (setting.type === 'choice') return z.enum(setting.choices as [string, ...string[]]);
  if (setting.type === 'text') return z.string().min(1).max(MAX_TEXT_LENGTH);
  if (setting.type === 'words') return listOf(z.enum(setting.choices as [string, ...string[]]));
  if (setting.type === 'key-sources') return listOf(z.string().refine(isKeySource));
  const parse =
    setting.type === 'duration' ? parseDuration : setting.type === 'size' ? parseSize : parseCount;
  const whole = z.preprocess(
    (value) => (typeof value === 'string' ? parse(value) : value),
    z.int().min(setting.min).max(setting.max),
  );
  return isRing(setting.name) ? whole.refine((bytes) => (bytes & (bytes - 1)) === 0) : whole;
}

/** What a switch may be said as. */
const SWITCH = new Map<unknown, boolean>([
  ['yes', true],
  ['true', true],
  ['1', true],
  ['no', false],
  ['false', false],
  ['0', false],
]);

/** A list, or a text with commas between its items; at least one item, none of them twice. */
function listOf(item: z.ZodType): z.ZodType {
  return z.preprocess(
    (value) => (typeof value === 'string' ? splitList(value) : value),
    z
      .array(item)
      .min(1)
      .max(MAX_LIST_LENGTH)
      .refine((items) => new Set(items).size === items.length),
  );
}

const schema = z
  .strictObject(Object.fromEntries(SETTINGS.map((setting) => [setting.name, schemaOf(setting)])))
  .partial();

function check(
  values: Record<string, unknown>,
  where: (name: string) => string,
  problems: string[],
): Partial<Settings> {
  const result = schema.safeParse(values);
  if (result.success) return result.data as Partial<Settings>;
  for (const issue of result.error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        problems.push(`${where(key)}: there is no such setting. The settings are ${listNames()}.`);
      }
    } else {
      const setting = settingOf(String(issue.path[0])) as Setting;
      const given = shown(setting, values[setting.name]);
      problems.push(
        `${setting.name} = ${given} (from ${where(setting.name)}) cannot be used: it must be ${describeRight(setting)}.`,
      );
    }
  }
  return {};
}

/** A value as it may be shown in a message: without passwords, and without what may be a key where a place of keys should be. */
function shown(setting: Setting, value: unknown): string {
  if (setting.type === 'key-sources') {
    return splitList(value)
      .map((item) => (typeof item === 'string' && isKeySource(item) ? item : '(not shown: it may be a key)'))
      .join(', ');
  }
  const text = JSON.stringify(value);
  return setting.type === 'store' ? withoutPassword(text) : text;
}

function splitList(value: unknown): unknown[] {
  return typeof value === 'string' ? value.split(',').map((part) => part.trim()) : [value].flat();
}

/** An empty variable counts as not set: that is how shells and compose files spell "nothing". */
function valuesOfEnv(env: SettingsSources['env']): Record<string, unknown> {
  const given = SETTINGS.filter((setting) => (env[setting.env] ?? '') !== '');
  return Object.fromEntries(given.map((setting) => [setting.name, env[setting.env]]));
}

function withoutUndefined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function parseCount(text: string): number | undefined {
  return /^\d+$/.test(text.trim()) ? Number(text) : undefined;
}

function isHttpUrl(text: string): boolean {
  return /^https?:$/.test(URL.parse(text)?.protocol ?? '');
}

function listNames(): string {
  return SETTINGS.map((setting) => setting.name).join(', ');
}
