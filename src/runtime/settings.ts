import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { MAX_BACKPRESSURE_BYTES, MAX_HOLD_LIFE_MS, MAX_SEGMENTS, MAX_SLOTS } from '../../protocol/limits.ts';
import { defaultSpins } from '../ring/idle.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts';

/** What the server can be set to. Times are milliseconds; SETTINGS has the bounds, defaults and meanings. */
export interface Settings {
  port: number;
  host: string;
  workers: number;
  segments: number;
  holdsPerSegment: number;
  skusPerSegment: number;
  keysPerSegment: number;
  holdersPerSegment: number;
  keyRetentionMs: number;
  endedRetentionMs: number;
  soldRetentionMs: number;
  maxHoldLifeMs: number;
  commandRingBytes: number;
  replyRingBytes: number;
  maxConnections: number;
  maxBackpressureBytes: number;
  spins: number;
  borrow: 'auto' | 'off';
  stallMs: number;
  stopTimeoutMs: number;
}

export type SettingName = keyof Settings;
type SettingType = 'count' | 'duration' | 'size' | 'host' | 'choice';
type Value = number | string;

/** One row of the table that flags, environment, config file, --help and the README are all made from. */
export interface Setting {
  readonly name: SettingName;
  /** `--key-retention-ms` for keyRetentionMs. */
  readonly flag: string;
  /** `HOLDFAST_KEY_RETENTION_MS` for keyRetentionMs. */
  readonly env: string;
  readonly type: SettingType;
  /** What a bare number counts; empty for text. */
  readonly unit: string;
  /** Bounds of a number, both included. */
  readonly min: number;
  readonly max: number;
  /** The allowed words, where it is a choice. */
  readonly choices: readonly string[];
  /** The default in words, for people. */
  readonly defaultText: string;
  readonly help: string;
  /** The default, which may follow from the number of cores and from the other settings. */
  readonly defaultFor: (cores: number, set: Partial<Settings>) => Value;
}

type Row = Pick<Setting, 'type' | 'unit' | 'help'> & Partial<Setting>;

function count(unit: string, min: number, max: number, value: number, help: string): Row {
  return { type: 'count', unit, min, max, help, defaultText: String(value), defaultFor: () => value };
}

function duration(min: number, max: number, value: number, help: string): Row {
  const defaultText = formatDuration(value);
  return { type: 'duration', unit: 'ms', min, max, help, defaultText, defaultFor: () => value };
}

function size(min: number, max: number, value: number, help: string): Row {
  return {
    type: 'size',
    unit: 'bytes',
    min,
    max,
    help,
    defaultText: formatSize(value),
    defaultFor: () => value,
  };
}

const WEEK_MS = 7 * 86_400_000;
const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const DEFAULT_SEGMENTS = 64;

/** Keyed by every name of Settings, so that the compiler notices one that is missing. */
const ROWS: Readonly<Record<SettingName, Row>> = {
  port: count('', 0, 65_535, 7070, 'TCP port of WebSocket and HTTP; 0 takes a free one'),
  host: {
    type: 'host',
    unit: '',
    help: 'address to listen on; without an auth key a loopback address only',
    defaultText: '127.0.0.1',
    defaultFor: () => '127.0.0.1',
  },
  workers: {
    ...count('threads', 1, 64, 1, 'threads that run segments; no more than there are segments'),
    defaultText: 'cores less one, at least 1',
    defaultFor: (cores, set) => Math.max(1, Math.min(cores - 1, 64, set.segments ?? DEFAULT_SEGMENTS)),
  },
  segments: count('segments', 1, MAX_SEGMENTS, DEFAULT_SEGMENTS, 'slices that all SKUs are spread over'),
  holdsPerSegment: count('holds', 16, MAX_SLOTS, 1_048_576, 'holds that a segment keeps, open and ended'),
  skusPerSegment: count('SKUs', 16, MAX_SLOTS - 1, 65_536, 'SKUs that a segment keeps'),
  keysPerSegment: count('keys', 16, MAX_SLOTS, 1_048_576, 'idempotency keys that a segment keeps'),
  holdersPerSegment: count(
    'entries',
    16,
    MAX_SLOTS,
    262_144,
    'holders that a segment counts for SKUs with a limit per holder',
  ),
  keyRetentionMs: duration(
    0,
    WEEK_MS,
    600_000,
    "how long an idempotency key is kept past its hold's end; below 10m a client that resends late may hold twice",
  ),
  endedRetentionMs: duration(
    0,
    WEEK_MS,
    60_000,
    'how long released and expired holds stay readable, while they are few',
  ),
  soldRetentionMs: duration(0, WEEK_MS, 86_400_000, 'how long confirmed holds are kept, to be returned'),
  maxHoldLifeMs: duration(
    1000,
    MAX_HOLD_LIFE_MS,
    86_400_000,
    'longest whole life of a hold, extensions included',
  ),
  commandRingBytes: size(64 * KIB, GIB, 4 * MIB, 'command ring of each worker, a power of two'),
  replyRingBytes: size(64 * KIB, GIB, 8 * MIB, 'reply ring of each worker, a power of two'),
  maxConnections: count('sockets', 1, 1_000_000, 20_000, 'WebSocket connections at once; more are refused'),
  maxBackpressureBytes: size(
    64 * KIB,
    64 * MIB,
    MAX_BACKPRESSURE_BYTES,
    'replies that wait for a client that does not read, before it is closed',
  ),
  spins: {
    ...count('turns', 0, 1_000_000, 0, 'empty turns that a thread makes before it sleeps'),
    defaultText: `0, or ${defaultSpins(2, 1)} when there are more cores than workers and front`,
    // The front is the one thread beside the workers.
    defaultFor: (cores, set) => defaultSpins(cores, (set.workers ?? 1) + 1),
  },
  borrow: {
    type: 'choice',
    unit: '',
    choices: ['auto', 'off'],
    help: "whether the front runs a sleeping worker's segments itself when little is in flight",
    defaultText: 'auto',
    defaultFor: () => 'auto',
  },
  stallMs: duration(100, 600_000, 2000, 'a worker without a heartbeat for this long is replaced'),
  stopTimeoutMs: duration(0, 600_000, 5000, 'longest wait for commands under way when the server stops'),
};
/** All settings in the order in which they are documented. */
export const SETTINGS: readonly Setting[] = Object.entries(ROWS).map(([name, row]) => {
  const words = name.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);
  return {
    min: 0,
    max: 0,
    choices: [],
    defaultText: '',
    defaultFor: () => '',
    ...row,
    name: name as SettingName,
    flag: `--${words}`,
    env: `HOLDFAST_${words.toUpperCase().replaceAll('-', '_')}`,
  };
});

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
  /** A JSON file with values by setting name. */
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
  const fromFile = check(file, (name) => `${name} in ${sources.configPath}`, problems);
  const fromEnv = check(valuesOfEnv(sources.env), (name) => settingOf(name)?.env ?? name, problems);
  const fromFlags = check(withoutUndefined(sources.flags), (name) => settingOf(name)?.flag ?? name, problems);
  if (problems.length > 0) throw new SettingsError(problems);

  const set = { ...fromFile, ...fromEnv, ...fromFlags };
  const cores = sources.cores ?? availableParallelism();
  // Defaults that follow from others stand behind them: segments, then workers, then spins.
  const filled: Partial<Settings> = { ...set };
  for (const name of ['segments', 'workers', ...SETTINGS.map((setting) => setting.name)] as SettingName[]) {
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
  return settings;
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
    case 'host':
      return 'a loopback address (127.0.0.1, ::1 or localhost), because no auth key is configured and any other would let everybody in';
  }
}

function settingOf(name: string): Setting | undefined {
  return SETTINGS.find((setting) => setting.name === name);
}

function isRing(name: SettingName): boolean {
  return name === 'commandRingBytes' || name === 'replyRingBytes';
}

function schemaOf(setting: Setting): z.ZodType {
  if (setting.type === 'host') return z.string().refine(isLoopback);
  if (setting.type === 'choice') return z.enum(setting.choices as [string, ...string[]]);
  const parse =
    setting.type === 'duration' ? parseDuration : setting.type === 'size' ? parseSize : parseCount;
  const whole = z.preprocess(
    (value) => (typeof value === 'string' ? parse(value) : value),
    z.int().min(setting.min).max(setting.max),
  );
  return isRing(setting.name) ? whole.refine((bytes) => (bytes & (bytes - 1)) === 0) : whole;
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
      const given = JSON.stringify(values[setting.name]);
      problems.push(
        `${setting.name} = ${given} (from ${where(setting.name)}) cannot be used: it must be ${describeRight(setting)}.`,
      );
    }
  }
  return {};
}

function readConfig(path: string, problems: string[]): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    problems.push(`The config file ${path} cannot be read: ${(error as Error).message}.`);
    return {};
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
    problems.push(`The config file ${path} must hold one JSON object, such as {"port": 7071}.`);
  } catch (error) {
    problems.push(`The config file ${path} is no JSON: ${(error as Error).message}.`);
  }
  return {};
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

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

function listNames(): string {
  return SETTINGS.map((setting) => setting.name).join(', ');
}
