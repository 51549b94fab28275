import { Option } from 'commander';
import { SOURCE_FORMS } from '../auth/key-source.ts';
import type { Setting } from '../runtime/settings.ts';
import { formatDuration, formatSize } from '../runtime/units.ts';

export function configOption(): Option {
  return new Option('--config <file>', 'JSON file with settings by name, such as {"port": 7071}').env(
    'HOLDFAST_CONFIG',
  );
}

/** The flag of a setting, as `--help` shows it. */
export function settingOption(setting: Setting): Option {
  const value = setting.type === 'switch' ? '' : ` <${placeholder(setting)}>`;
  return new Option(`${setting.flag}${value}`, describe(setting));
}

const PLACEHOLDERS = {
  store: 'address',
  count: 'number',
  duration: 'duration',
  size: 'size',
  host: 'address',
  choice: 'word',
  text: 'text',
  words: 'words',
  'key-sources': 'sources',
  list: 'list',
  switch: '',
};

function placeholder(setting: Setting): string {
  return setting.type === 'choice' ? setting.choices.join('|') : PLACEHOLDERS[setting.type];
}

/** Meaning, bounds with their unit, default and variable of a setting. */
export function describe(setting: Setting): string {
  return `${setting.help} (${[bounds(setting), `default: ${setting.defaultText}`, `env: ${setting.env}`].filter((part) => part !== '').join('; ')})`;
}

function bounds({ type, min, max, unit, choices, forms }: Setting): string {
  if (type === 'count') return `${min} to ${max}${unit === '' ? '' : ` ${unit}`}`;
  if (type === 'duration') return `${formatDuration(min)} to ${formatDuration(max)}, a bare number is ms`;
  if (type === 'size') return `${formatSize(min)} to ${formatSize(max)}, a bare number is bytes`;
  if (type === 'words') return choices.join(', ');
  if (type === 'list') return forms;
  if (type === 'key-sources') return SOURCE_FORMS;
  return '';
}
