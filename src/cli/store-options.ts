import { Argument, Command, InvalidArgumentError } from 'commander';
import { NO_STORE } from '../runtime/setting-table.ts';
import { loadSettings, SETTINGS, type SettingName, type Settings } from '../runtime/settings.ts';
import { isStoreUrl } from '../storage/store.ts';
import { CliError, ExitCode } from './exit.ts';
import { jsonOption } from './options.ts';
import { configOption, settingOption } from './setting-options.ts';

/** What every command that reads a store is given. */
export interface StoreOptions extends Record<string, unknown> {
  config?: string;
  json: boolean;
}

/** What a restored segment depends on: the capacities, and when a key that was replayed is forgotten. */
const TABLE_SETTINGS: readonly SettingName[] = [
  'holdsPerSegment',
  'skusPerSegment',
  'keysPerSegment',
  'holdersPerSegment',
  'keyRetentionMs',
];

/** A command with [store], --snapshots, --config and --json; with `tables`, also the settings of the tables as `serve` has them. */
export function storeCommand(name: string, summary: string, description: string, tables: boolean): Command {
  const command = new Command(name)
    .summary(summary)
    .description(description)
    .addArgument(
      new Argument(
        '[store]',
        'file:<directory>, redis://… or rediss://…; as for serve if left out: file:./data',
      ).argParser(parseStore),
    )
    .addOption(configOption());
  for (const setting of SETTINGS) {
    if (setting.name === 'snapshots' || (tables && TABLE_SETTINGS.includes(setting.name))) {
      command.addOption(settingOption(setting));
    }
  }
  return command.addOption(jsonOption());
}

/** The settings by which `serve` would find this store and lay out its tables. */
export function storeSettings(store: string | undefined, options: StoreOptions): Settings {
  const given = SETTINGS.filter(({ name }) => name === 'snapshots' || TABLE_SETTINGS.includes(name));
  const flags = Object.fromEntries(given.map(({ name }) => [name, options[name]]));
  const settings = loadSettings({ flags: { ...flags, store }, env: process.env, configPath: options.config });
  if (settings.store !== NO_STORE) return settings;
  throw new CliError(
    ExitCode.USAGE,
    'USAGE',
    'The settings say that there is no store. Name one, such as file:./data.',
  );
}

/** An address of a store as it was given on the command line. */
export function parseStore(text: string): string {
  if (isStoreUrl(text)) return text;
  const likely = /^[\w+]*:/.test(text) ? '' : ` Did you mean file:${text}?`;
  throw new InvalidArgumentError(`It must begin with file:, redis:// or rediss://.${likely}`);
}
