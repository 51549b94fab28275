import { formatDuration, formatSize } from './units.ts';

export type SettingType =
  | 'count'
  | 'duration'
  | 'size'
  | 'host'
  | 'choice'
  | 'switch'
  | 'store'
  | 'text'
  | 'words'
  | 'key-sources'
  | 'list';
export type SettingValue = number | string | boolean | readonly string[];

/** What a setting may be, and what it is when nobody says. `Known`: the settings that a default may follow from. */
export interface SettingKind<Known> {
  readonly type: SettingType;
  /** What a bare number counts; empty for text. */
  readonly unit: string;
  /** Bounds of a number, both included. */
  readonly min: number;
  readonly max: number;
  /** The allowed words, where it is a choice or a list of words. */
  readonly choices: readonly string[];
  /** Of a list: what an item looks like, in words, and whether a text is one. */
  readonly forms: string;
  readonly accepts: (item: string) => boolean;
  /** The default in words, for people. */
  readonly defaultText: string;
  readonly help: string;
  /** The default, which may follow from the number of cores and from the other settings. */
  readonly defaultFor: (cores: number, set: Known) => SettingValue;
}

export type Row<Known = object> = Pick<SettingKind<Known>, 'type' | 'unit' | 'help'> &
  Partial<SettingKind<Known>>;

export function count(unit: string, min: number, max: number, value: number, help: string): Row {
  return { type: 'count', unit, min, max, help, defaultText: String(value), defaultFor: () => value };
}

export function duration(min: number, max: number, value: number, help: string): Row {
  const defaultText = formatDuration(value);
  return { type: 'duration', unit: 'ms', min, max, help, defaultText, defaultFor: () => value };
}

export function size(min: number, max: number, value: number, help: string): Row {
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

/** A text that may be left out. */
export function text(help: string, defaultText: string): Row {
  return { type: 'text', unit: '', help, defaultText, defaultFor: () => '' };
}

/** An address of this machine. */
export function address(help: string, defaultText: string): Row {
  return { type: 'host', unit: '', help, defaultText, defaultFor: () => defaultText };
}

/** A list that is empty unless given. */
export function list(
  forms: string,
  accepts: (item: string) => boolean,
  help: string,
  defaultText: string,
): Row {
  return { type: 'list', unit: '', forms, accepts, help, defaultText, defaultFor: () => [] };
}
