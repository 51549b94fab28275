import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { program, withSubcommands } from '../../src/cli/program.ts';
import { SETTINGS } from '../../src/runtime/settings.ts';
import { runCli } from './fixtures.ts';

const commands = withSubcommands(program());
const leaves = commands.filter((command) => command.commands.length === 0);

/** Options whose value has a unit that the reader must know. */
const QUANTITIES: Record<string, RegExp> = {
  duration: /bare number is ms/,
  size: /bare number is bytes/,
  units: /units/,
};

function path(command: Command): string[] {
  return command.parent === null ? [] : [...path(command.parent), command.name()];
}

describe.each(leaves.map((command) => [path(command).join(' '), command] as const))(
  '%s --help',
  (_, command) => {
    test('says what the command does in a full sentence', () => {
      expect(command.description()).toMatch(/^[A-Z].*\.$/s);
    });

    test.each(command.options.map((option) => [option.long, option] as const))(
      '%s has a unit and a default',
      (_, option) => {
        const placeholder = /<(\w+)>/.exec(option.flags)?.[1] ?? '';
        expect(option.description).toMatch(QUANTITIES[placeholder] ?? /./);
        const hasDefault = option.defaultValue !== undefined || /default: /.test(option.description);
        const optional = !option.mandatory && option.long !== '--config' && option.long !== '--of';
        if (optional) expect(hasDefault, `${option.flags} ${option.description}`).toBe(true);
      },
    );

    test('has --json', () => {
      expect(command.options.map(({ long }) => long)).toContain('--json');
    });
  },
);

test.each(SETTINGS.map((setting) => [setting.flag, setting] as const))(
  'serve --help has %s',
  (flag, setting) => {
    const option = commands
      .find((command) => command.name() === 'serve')
      ?.options.find(({ long }) => long === flag);
    expect(option?.description).toContain(setting.help);
    expect(option?.description).toContain(`default: ${setting.defaultText}; env: ${setting.env})`);
  },
);

test.each([
  [['--help'], 0],
  [['serve', '--help'], 0],
  [['help', 'stock', 'create'], 0],
  [['--version'], 0],
])('%j prints to stdout and ends with %d', async (args, code) => {
  const outcome = await runCli(args);
  expect(outcome).toMatchObject({ code, stderr: '' });
  if (!args.includes('--version')) expect(outcome.stdout).toContain('\nExit codes:\n  0   done\n');
});

test.each([
  ['no command', [], /Usage: holdfast/],
  ['an unknown command', ['frobnicate'], /unknown command 'frobnicate'/],
  ['an unknown flag', ['serve', '--prot', '1'], /unknown option '--prot'\n\(Did you mean --port\?\)/],
  ['a flag without its value', ['serve', '--port'], /argument missing/],
  ['a missing argument', ['hold'], /missing required argument 'sku'/],
  ['one argument too many', ['confirm', '1', '2', '3'], /too many arguments/],
  ['a quantity of nothing', ['hold', 'sku-1', '0'], /must be a whole number from 1 to 2147483647/],
  ['a hold id that is none', ['confirm', 'abc'], /must be a whole number from 1 to/],
  ['a time to live of no unit', ['hold', 'sku-1', '--ttl', '3w'], /such as 500ms, 30s, 10m, 2h or 1d/],
  ['a time to live over a day', ['hold', 'sku-1', '--ttl', '25h'], /from 1 to 86400000 ms/],
  ['an address that is none', ['inspect', '--url', 'ftp://x'], /must be an address such as http:/],
  ['no total', ['stock', 'create', 'sku-1'], /required option '--total <units>' not specified/],
  ['a setting out of bounds', ['serve', '--port', '65536'], /^holdfast: port = "65536" \(from --port\)/],
  ['a config file that is not there', ['serve', '--config', '/none.json'], /\/none\.json cannot be read/],
])('%s ends with 2 and says why on stderr', async (_, args, why) => {
  const outcome = await runCli(args);
  expect(outcome).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(why) });
});

test('with --json, what is wrong with the command line is JSON too', async () => {
  const { code, stdout, stderr } = await runCli(['hold', 'sku-1', '--ttl', 'x', '--json']);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(JSON.parse(stderr)).toMatchObject({
    error: { code: 'USAGE', message: expect.stringContaining('duration') },
  });
});
