import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { parseAst } from 'rolldown/parseAst';
import { describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { UNITS_EACH } from '../../perf/crowd/fairness.ts';
import { PROCESSOR, SLOW_STORE } from '../../perf/gate/overload.ts';
import { SIDES } from '../../perf/peers/sides.ts';
import { limitsOf, targetsOf } from '../../perf/targets.ts';
import { Status } from '../../protocol/status.ts';
import { RULES, type RuleRow } from '../../src/admission/rules.ts';
import { SOURCE_FORMS } from '../../src/auth/key-source.ts';
import { EXIT_CODE_HELP } from '../../src/cli/exit.ts';
import { program, withSubcommands } from '../../src/cli/program.ts';
import { EVENTS } from '../../src/log/events.ts';
import { FAMILIES, type Family, sampleName } from '../../src/metrics/families.ts';
import { checkConfig, SETTINGS, type Setting } from '../../src/runtime/settings.ts';
import { formatDuration, formatSize } from '../../src/runtime/units.ts';
import { filesIn, root } from './source-files.ts';

const readme = read('README.md');
const pages = ['README.md', 'CHANGELOG.md'];

describe('the tables of the README', () => {
  it('has every setting as the source has it', () => {
    expect(tableBelow('name')).toEqual(SETTINGS.map(settingRow));
  });

  it('has every rule of admission, with its default and bounds', () => {
    expect(tableBelow('rule')).toEqual(Object.entries(RULES).flatMap(ruleRows));
  });

  it('has every command of the command line, with its arguments and options', () => {
    const rows = tableBelow('command', 'does', 'options').map(([command, does, options]) => [
      command,
      does,
      (options.match(/`--[\w-]+`/g) ?? []).sort().join(', '),
    ]);
    const leaves = withSubcommands(program()).filter((command) => command.commands.length === 0);
    expect(sorted(rows)).toEqual(sorted(leaves.map(commandRow)));
  });

  it('has every event of the log, with its level, words and fields', () => {
    const rows = Object.entries(EVENTS).map(([name, { level, says, fields }]) => [
      `\`${name}\``,
      level,
      says,
      fields.map((field) => `\`${field}\``).join(', '),
    ]);
    expect(tableBelow('event', 'level')).toEqual(rows);
  });

  it('has the exit codes that --help has', () => {
    const help = [...EXIT_CODE_HELP.matchAll(/^ {2}(\d[\d, ]*?) {2,}(.+)$/gm)].map(([, code, meaning]) => [
      code,
      meaning,
    ]);
    expect(tableBelow('exit code')).toEqual(help);
  });

  it('has every metric, with its type, labels and meaning', () => {
    const rows = (Object.values(FAMILIES) as Family[]).map((family) => [
      `\`${sampleName(family)}\``,
      family.type,
      family.labels.map((label) => `\`${label}\``).join(', '),
      family.help,
    ]);
    expect(tableBelow('metric')).toEqual(rows);
  });

  it('has every HTTP route', () => {
    const sources = filesIn(['src/front'], '.ts').map(({ text }) => text);
    const routes = [...sources.join('\n').matchAll(/app\.(get|put|post|del)\('([^']+)'/g)];
    const served = routes.map(([, method, path]) => `\`${method.toUpperCase()} ${path}\``);
    expect(served.length).toBeGreaterThan(5);
    expect(firstCells('request').sort()).toEqual(served.sort());
  });

  it('has every target of the benchmarks', () => {
    const rows = tableBelow('benchmark').map(([name, , target]) => [name, target]);
    const units: Record<string, string> = { ring: 'records', recovery: 'events' };
    const unit = (name: string) => units[name] ?? 'commands';
    const targets = targetsOf(EVERY_FIGURE).map(({ name, atLeast, unit: kind }) => [
      name,
      {
        perSecond: `at least ${atLeast.toLocaleString('en-US')} ${unit(name)} per second`,
        shareOfEcho: `at least ${atLeast * 100} % of echo`,
        shareOfKeyless: `at least ${atLeast * 100} % of the rate without`,
        shareOfUngated: `at least ${atLeast * 100} % of the rate with the gate off`,
        shareOfPeak: `at least ${atLeast * 100} % of the peak`,
      }[kind],
    ]);
    const limits = limitsOf(EVERY_FIGURE).map(({ name, atMost, unit }) => [
      name,
      unit === 'timesEcho' ? `at most ${atMost} × echo` : `at most ${atMost.toLocaleString('en-US')} ${unit}`,
    ]);
    expect(rows).toEqual([...targets, ...limits]);
  });
});

it('the README has every side of the comparison, with how it places a hold and what survives', () => {
  const rows = tableBelow('side', 'a hold').map(([title, way, durability]) => [title, way, durability]);
  expect(rows).toEqual(Object.values(SIDES).map(({ title, way, durability }) => [title, way, durability]));
});

it("the README's example of a rules file is one, with every rule in it", () => {
  const [, json] = /### The rules file\n.*?```json\n(.*?)```/s.exec(readme) ?? [];
  const problems: string[] = [];
  const { given, rules } = checkConfig(JSON.parse(json), 'holdfast.json', problems);
  expect(problems).toEqual([]);
  expect(given).toEqual(Object.keys(RULES));
  expect(Object.values(rules ?? {})).not.toContain('off');
});

describe("the README's tables of the SDK", () => {
  it('have every option of connect()', () => {
    const options = membersOf('src/client/options.ts', 'ConnectOptions');
    expect(namesIn(firstCells('option')).sort()).toEqual(options.sort());
  });

  it('have every member of a client and a hold', () => {
    const cells = namesIn(firstCells('member'));
    const named = cells.map((cell) => /^(client|hold)\.\w+/.exec(cell)?.[0] ?? cell);
    const client = membersOf('src/client/client.ts', 'Client').map((name) => `client.${name}`);
    const hold = membersOf('src/client/hold.ts', 'Hold').map((name) => `hold.${name}`);
    expect(named.sort()).toEqual([...client, ...hold].sort());
  });

  it.each([
    ['HoldOptions', 'src/client/client.ts', 'client.hold'],
    ['StockOptions', 'src/client/requests.ts', 'client.stock'],
  ])('have all of %s', (name, file, method) => {
    const cell = namesIn(firstCells('member')).find((call) => call.startsWith(`${method}(`)) ?? '';
    const given = /\{(.*)\}/
      .exec(cell)?.[1]
      .split(',')
      .map((part) => part.split('=')[0].trim());
    expect(given?.sort()).toEqual(membersOf(file, name).sort());
  });

  it('have every code of an error', () => {
    const refusals = Object.keys(Status).filter((name) => name !== 'OK');
    const codes = [...new Set([...refusals, ...membersOf('src/client/errors.ts', 'ClientCode')])];
    expect(namesIn(firstCells('code')).sort()).toEqual(codes.sort());
  });

  it('name only details that errors can have', () => {
    const known = membersOf('src/client/errors.ts', 'ErrorDetails');
    const named = tableBelow('code', 'when').flatMap(([, , details]) => namesIn([details]));
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
  });
});

describe('the folder map of the README', () => {
  const map = [...readme.matchAll(/^([\w/]+\/) {2,}\S/gm)].map(([, folder]) => folder);

  it('has folders that exist, and all of them', () => {
    const sources = filesIn(['src'], '.ts').map(({ path }) => path.split('/').slice(0, 2).join('/'));
    const folders = [...new Set(sources), 'protocol', 'workers', 'test', 'perf', 'scripts'];
    expect([...map].sort()).toEqual(folders.map((folder) => `${folder}/`).sort());
  });
});

describe.each(pages)('%s', (page) => {
  const text = read(page);

  it('names only scripts of package.json', () => {
    const named = [...text.matchAll(/\bnpm (?:run ([\w:-]+)|(start|test)\b)/g)].map(
      ([, script, short]) => script ?? short,
    );
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((script) => !(script in manifest.scripts))).toEqual([]);
  });

  it('links to files and headings that exist', () => {
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target);
    expect(links.filter((target) => !/^https:/.test(target) && !resolves(page, target))).toEqual([]);
  });

  it('names only files that exist', () => {
    const paths = [...text.matchAll(/\b(?:src|test|perf|protocol|scripts|workers)\/[\w./-]*\w/g)];
    const missing = paths.map(([path]) => path).filter((path) => !existsSync(join(root, path)));
    expect(missing).toEqual([]);
  });

  it('speaks of the product, not of how it came about', () => {
    // Numbered references, folders of a machine, and addresses of registries.
    const folder = /(^|[\s`'"(])\/(home|root|tmp|work|mnt|opt|srv|Users)\b/;
    const marks = [
      /(^|\s)#\d+/,
      /\b(issue|ticket|session|helper|agent)s?\b/i,
      folder,
      /registry|:4873|\.tgz\b/i,
    ];
    const lines = text.split('\n').filter((line) => marks.some((mark) => mark.test(line)));
    expect(lines).toEqual([]);
  });
});

it('the changelog has an entry for the version in package.json', () => {
  expect(read('CHANGELOG.md')).toContain(`\n## [${manifest.version}]`);
});

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** Rows of the table whose head begins with these cells. */
function tableBelow(...head: string[]): string[][] {
  const lines = readme.split('\n');
  const start = lines.findIndex((line) => head.every((cell, i) => cellsOf(line)[i] === cell));
  expect(start, `a table that begins with ${head.join(' | ')}`).toBeGreaterThan(0);
  const rows: string[][] = [];
  for (let i = start + 2; lines[i].startsWith('|'); i++) rows.push(cellsOf(lines[i]));
  return rows;
}

function cellsOf(line: string): string[] {
  return line.startsWith('|')
    ? line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim())
    : [];
}

function firstCells(head: string): string[] {
  return tableBelow(head).map(([first]) => first);
}

/** What stands between backticks. */
function namesIn(cells: readonly string[]): string[] {
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name));
}

function sorted(rows: readonly string[][]): string[][] {
  return [...rows].sort((a, b) => (a[0] < b[0] ? -1 : 1));
}

/** A setting as its row should be: what a failing test shows can be pasted. */
function settingRow(setting: Setting): string[] {
  const { name, flag, env, defaultText, help } = setting;
  return [`\`${name}\``, `\`${flag}\``, `\`${env}\``, defaultText, boundsOf(setting), help];
}

/** A rule of admission, and below it its numbers. */
function ruleRows([name, { layer, on, help, fields }]: [string, RuleRow]): string[][] {
  const inForce = {
    authenticated: 'with authentication',
    always: 'always',
    never: 'if the rules say so',
  }[on];
  return [
    [`\`${name}\``, String(layer), inForce, '', '', help],
    ...Object.entries(fields).map(([field, { min, max, unit, value, help: meaning }]) => {
      const bounds = `${min} to ${max}${unit === '' ? '' : ` ${unit}`}`;
      return [`\`${name}.${field}\``, '', '', String(value), bounds, meaning];
    }),
  ];
}

function boundsOf({ type, min, max, unit, choices, forms }: Setting): string {
  if (type === 'choice') return choices.join(' or ');
  if (type === 'host') return 'an address';
  if (type === 'switch') return 'yes or no';
  if (type === 'list') return forms;
  if (type === 'store') return 'an address';
  if (type === 'text') return 'a text';
  if (type === 'words') return choices.join(', ');
  if (type === 'key-sources') return SOURCE_FORMS;
  const show = type === 'duration' ? formatDuration : type === 'size' ? formatSize : String;
  return `${show(min)} to ${show(max)}${type === 'count' && unit !== '' ? ` ${unit}` : ''}`;
}

function commandRow(command: Command): string[] {
  const args = command.registeredArguments.map((arg) =>
    arg.required ? `<${arg.name()}>` : `[${arg.name()}]`,
  );
  // Said once above the table: what all of them have, and that `serve` has a flag for each setting.
  const common = ['--url', '--token', '--timeout', '--json', ...SETTINGS.map(({ flag }) => flag)];
  const options = command.options.map(({ long }) => long ?? '').filter((long) => !common.includes(long));
  return [
    `\`${[...pathOf(command), ...args].join(' ')}\``,
    command.summary() || command.description(),
    options
      .map((long) => `\`${long}\``)
      .sort()
      .join(', '),
  ];
}

function pathOf(command: Command): string[] {
  return command.parent === null ? [command.name()] : [...pathOf(command.parent), command.name()];
}

interface Node {
  type: string;
  [key: string]: unknown;
}

/** Public members of a class, properties of an interface, or words of a union, by its name in a file. */
function membersOf(file: string, name: string): string[] {
  const { body } = parseAst(read(file), { lang: 'ts' }, file) as unknown as { body: Node[] };
  const declarations = body.map((node) => (node.declaration ?? node) as Node);
  const found = declarations.find((node) => (node.id as { name?: string } | undefined)?.name === name);
  expect(found, `${name} in ${file}`).toBeDefined();
  const { type, body: inner, typeAnnotation } = found as Node & { body?: { body: Node[] } };
  if (type === 'TSTypeAliasDeclaration') {
    const { types } = typeAnnotation as { types: { literal: { value: string } }[] };
    return types.map(({ literal }) => literal.value);
  }
  const keys = (inner?.body ?? []).map((member) => member.key as { type: string; name: string });
  const names = keys.filter((key) => key.type !== 'PrivateIdentifier').map((key) => key.name);
  return [...new Set(names)].filter((member) => member !== 'constructor');
}

/** Whether a link of a page leads to a file, and its fragment to a heading there. */
function resolves(page: string, target: string): boolean {
  const [path, fragment] = target.split('#');
  const file = path === '' ? page : path;
  if (!existsSync(join(root, file))) return false;
  if (fragment === undefined) return true;
  const headings = [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading);
  return headings
    .map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    )
    .includes(fragment);
}

/** A report with a figure for every target. */
const EVERY_FIGURE = {
  wire: {
    onePerFrame: { shareOfEcho: 1 },
    batched: { commandsPerSecond: 1 },
    oneInFlight: { shareOfEcho: 1 },
  },
  ring: { recordsPerSecond: 1, hopMicroseconds: 1 },
  core: { commandsPerSecond: 1, slowdown: 0, bytesPerOpenHold: 1 },
  expiry: { lateMs: { p99: 1 }, million: { longestSliceMs: 1 } },
  durable: {
    wire: {
      onePerFrame: { commandsPerSecond: 1, shareOfEcho: 1, keyed: { shareOfKeyless: 1 } },
      batched: { commandsPerSecond: 1, keyed: { shareOfKeyless: 1 } },
      hot: { commandsPerSecond: 1, keyed: { shareOfKeyless: 1 } },
      flash: { commandsPerSecond: 1 },
      oneInFlight: { shareOfEcho: 1 },
    },
    steady: { durable: { p50: 1 }, p99TimesEcho: 1, p999TimesEcho: 1 },
    journal: { keyed: { eventsPerSecond: 1, bytesPerHold: 1 }, keyless: { bytesPerHold: 1 } },
    start: { startMs: 1 },
    redis: { always: { commandsPerSecond: 1 }, everysec: { commandsPerSecond: 1 } },
  },
  gate: { leastShareOfUngated: 1 },
  storm: { before: { rssMb: 1, descriptors: 1 }, after: [{ rssMb: 1, descriptors: 1 }] },
  fairness: { unitsEach: UNITS_EACH, hoarded: { most: 1 }, oversold: 0, leaked: 0, lost: 0 },
  overload: {
    setUps: [SLOW_STORE, PROCESSOR].map((setUp) => ({
      ...setUp,
      ...{ goodput: 1, acceptedP99Ms: 1, settlingRefused: 0, oversold: 0, leaked: 0, lost: 0 },
      beside: { acceptedP99Ms: 1 },
    })),
  },
} as unknown as Parameters<typeof targetsOf>[0];
