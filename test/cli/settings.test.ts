import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { accessText } from '../../src/runtime/door-settings.ts';
import {
  loadSettings,
  SETTINGS,
  type SettingName,
  type Settings,
  SettingsError,
  type SettingsSources,
} from '../../src/runtime/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-settings-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function config(content: unknown): string {
  const path = join(folder, `${files++}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

/** On a machine of four cores, unless the test is about them. */
function load(sources: Partial<SettingsSources>): Settings {
  return loadSettings({ flags: {}, env: {}, cores: 4, ...sources });
}

function problemsOf(sources: Partial<SettingsSources>): readonly string[] {
  try {
    load(sources);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

const numbers = SETTINGS.filter(({ type }) => ['count', 'duration', 'size'].includes(type));
const row = (name: SettingName) => SETTINGS.find((setting) => setting.name === name)!;

/** Values just inside and just outside of the bounds; rings move by powers of two. */
function edges(name: SettingName): { inside: number[]; outside: number[] } {
  const { min, max } = row(name);
  const step = name.endsWith('RingBytes')
    ? (value: number, by: number) => value * 2 ** by
    : (value: number, by: number) => value + by;
  return { inside: [min, max], outside: [step(min, -1), step(max, 1)] };
}

test('the defaults are those that are documented', () => {
  expect(load({})).toEqual({
    port: 7070,
    host: '127.0.0.1',
    fronts: 1,
    workers: 3,
    segments: 64,
    holdsPerSegment: 1_048_576,
    skusPerSegment: 65_536,
    keysPerSegment: 1_048_576,
    holdersPerSegment: 262_144,
    keyRetentionMs: 600_000,
    endedRetentionMs: 60_000,
    soldRetentionMs: 86_400_000,
    maxHoldLifeMs: 86_400_000,
    commandRingBytes: 4_194_304,
    replyRingBytes: 8_388_608,
    maxConnections: 20_000,
    maxBackpressureBytes: 1_048_576,
    spins: 0,
    borrow: 'auto',
    gate: 'on',
    admissionHolders: 65_536,
    admissionSkus: 65_536,
    stallMs: 2000,
    frontStallMs: 30_000,
    stopTimeoutMs: 5000,
    ack: 'sync',
    store: 'file:./data',
    snapshots: '',
    snapshotPeriodMs: 60_000,
    snapshotJournalBytes: 536_870_912,
    journalFileBytes: 67_108_864,
    eventRingBytes: 8_388_608,
    storeStallMs: 1000,
    metricsSkus: 32,
    redisWait: 0,
    redisVolatile: 'refuse',
    logLevel: 'info',
    logFormat: 'auto',
    otlpEndpoint: '',
    tracesPerSecond: 100,
    authKeys: [],
    authAlgorithms: ['HS256', 'RS256', 'ES256', 'EdDSA'],
    authIssuer: '',
    authAudience: '',
    authClockToleranceMs: 5000,
    authRevocations: '',
    authDeadlineMs: 5000,
    allowedOrigins: [],
    dangerouslyLetEverybodyIn: false,
    tlsCert: '',
    tlsKey: '',
    adminPort: -1,
    adminHost: '127.0.0.1',
    maxConnectionsPerAddress: 256,
    maxHandshakes: 5000,
    maxHandshakesPerAddress: 128,
    maxRequests: 5000,
    maxRequestsPerAddress: 256,
    maxBadTokensPerAddress: 10,
    idleTimeoutMs: 120_000,
    trustedProxies: [],
  } satisfies Settings);
});

describe('the defaults that follow from the machine', () => {
  test.each([
    [1, {}, { workers: 1, spins: 0 }],
    [2, {}, { workers: 1, spins: 0 }],
    [8, {}, { workers: 7, spins: 0 }],
    [200, {}, { workers: 64, spins: 500 }],
    [8, { fronts: 3 }, { workers: 5, spins: 0 }],
    [2, { fronts: 2 }, { workers: 1, spins: 0 }],
    [8, { fronts: 2, workers: 6 }, { workers: 6, spins: 0 }],
    [8, { fronts: 2, workers: 5 }, { workers: 5, spins: 500 }],
    [8, { segments: 4 }, { workers: 4, spins: 500 }],
    [4, { workers: 3 }, { workers: 3, spins: 0 }],
    [4, { workers: 4 }, { workers: 4, spins: 0 }],
    [4, { workers: 2 }, { workers: 2, spins: 500 }],
    [4, { workers: 4, spins: 7 }, { workers: 4, spins: 7 }],
  ] as const)('%d cores and flags %j give %j', (cores, flags, expected) => {
    expect(load({ cores, flags })).toMatchObject(expected);
  });
});

describe.each(numbers.map(({ name }) => name))('%s', (name) => {
  const { flag, env } = row(name);
  // Enough segments for any number of workers, and the other way round.
  const room = name === 'workers' ? { segments: 1024 } : name === 'segments' ? { workers: 1 } : {};

  test.each(edges(name).inside)('may be %d from each source', (value) => {
    expect(load({ flags: { ...room, [name]: String(value) } })[name]).toBe(value);
    expect(load({ flags: room, env: { [env]: String(value) } })[name]).toBe(value);
    expect(load({ flags: room, configPath: config({ [name]: value }) })[name]).toBe(value);
  });

  test.each([...edges(name).outside, 'much', '', '1.5x', null, true, 65_536.5])('may not be %j', (value) => {
    const [problem, ...others] = problemsOf({ flags: { ...room, [name]: value } });
    expect(others).toEqual([]);
    expect(problem).toContain(
      `${name} = ${JSON.stringify(value)} (from ${flag}) cannot be used: it must be `,
    );
  });
});

describe('a wrong value is answered with the setting, where it came from, the value and what would be right', () => {
  const path = config({ stallMs: '5 parsecs' });
  test.each<[string, Partial<SettingsSources>, string]>([
    [
      'a flag',
      { flags: { port: '70700' } },
      'port = "70700" (from --port) cannot be used: it must be a whole number from 0 to 65535.',
    ],
    [
      'a variable',
      { env: { HOLDFAST_BORROW: 'always' } },
      'borrow = "always" (from HOLDFAST_BORROW) cannot be used: it must be auto or off.',
    ],
    [
      'the file',
      { configPath: path },
      `stallMs = "5 parsecs" (from stallMs in ${path}) cannot be used: it must be a duration from 100ms to 10m, such as 500ms, 30s, 10m, 2h or 1d (a bare number is ms).`,
    ],
    [
      'a ring that is no power of two',
      { flags: { replyRingBytes: '3MiB' } },
      'replyRingBytes = "3MiB" (from --reply-ring-bytes) cannot be used: it must be a size from 64KiB to 1GiB that is a power of two, such as 512KiB or 4MiB (a bare number is bytes).',
    ],
    [
      'an address for everybody',
      { flags: { host: '0.0.0.0' } },
      'host = "0.0.0.0" cannot be used: it must be a loopback address (127.0.0.1, ::1 or localhost), because no auth key is configured and any other would let everybody in. Set authKeys (--auth-keys), see Security in the README.',
    ],
    [
      'workers without a segment',
      { flags: { workers: '8', segments: '4' } },
      'workers = 8 is more than segments = 4: a worker without a segment has nothing to do. Set workers to at most 4, or segments to at least 8.',
    ],
  ])('%s', (_, sources, text) => {
    expect(problemsOf(sources)).toEqual([text]);
  });
});

describe('host', () => {
  test.each(['127.0.0.1', '127.255.0.7', '::1', 'localhost'])('%s is loopback', (host) => {
    expect(load({ flags: { host } }).host).toBe(host);
  });

  test.each(['0.0.0.0', '::', '192.168.0.1', '127.0.0.1.example', '127.1', 'example.com', ''])(
    '%j is not',
    (host) => {
      expect(problemsOf({ flags: { host } })).toHaveLength(1);
    },
  );
});

describe('store', () => {
  test.each([
    'file:./data',
    'file:/var/lib/holdfast',
    'redis://host:6379/1',
    'rediss://user:secret@host',
    'none',
  ])('may be %s', (store) => {
    expect(load({ flags: { store } }).store).toBe(store);
  });

  test.each(['', 'file:', 'data', '/var/lib/holdfast', 'http://host', 'redis:', 'None'])(
    'may not be %j',
    (store) => {
      expect(problemsOf({ flags: { store } })).toHaveLength(1);
    },
  );

  test('may be none where snapshots are named only without them', () => {
    expect(problemsOf({ flags: { snapshots: 'none' } })).toHaveLength(1);
    expect(problemsOf({ flags: { store: 'none', snapshots: 'file:./x' } })).toEqual([
      'snapshots = file:./x needs a store, and store = none. Name one, such as file:./data, or leave the other out.',
    ]);
  });

  test('decides the acknowledgement level, where none is named', () => {
    expect(load({}).ack).toBe('sync');
    expect(load({ flags: { store: 'none' } }).ack).toBe('memory');
    expect(load({ flags: { ack: 'journal' } }).ack).toBe('journal');
    expect(problemsOf({ flags: { store: 'none', ack: 'sync' } })).toEqual([
      'ack = sync needs a store, and store = none. Name one, such as file:./data, or leave the other out.',
    ]);
  });
});

describe('lists', () => {
  test.each<[string, Partial<SettingsSources>, Partial<Settings>]>([
    ['a flag', { flags: { authAlgorithms: 'RS256, ES256' } }, { authAlgorithms: ['RS256', 'ES256'] }],
    ['a variable', { env: { HOLDFAST_AUTH_ALGORITHMS: 'EdDSA' } }, { authAlgorithms: ['EdDSA'] }],
    [
      'the file',
      { configPath: config({ authKeys: ['file:./key.pem', 'https://id.example/jwks'] }) },
      { authKeys: ['file:./key.pem', 'https://id.example/jwks'] },
    ],
  ])('come from %s', (_, sources, expected) => {
    expect(load(sources)).toMatchObject(expected);
  });

  test.each<unknown>(['', 'none', 'RS256,RS256', 'RS256,', [], ['RS256', 7], 'rs256', null])(
    'of algorithms may not be %j',
    (authAlgorithms) => {
      expect(problemsOf({ flags: { authAlgorithms } })).toHaveLength(1);
    },
  );

  test.each(['env:KEY', 'file:/run/secrets/key', 'http://127.0.0.1:8080/jwks', 'http://[::1]/jwks'])(
    'of keys may be %s',
    (source) => {
      expect(load({ flags: { authKeys: source } }).authKeys).toEqual([source]);
    },
  );

  test.each([
    'file:',
    'env:',
    'env:A-B',
    'http://id.example/jwks',
    'https://user:password@id.example/jwks',
    'ftp://id.example',
    './key.pem',
  ])('of keys may not be %s', (source) => {
    expect(problemsOf({ flags: { authKeys: source } })).toHaveLength(1);
  });

  test('of keys do not show what may be a key', () => {
    expect(problemsOf({ env: { HOLDFAST_AUTH_KEYS: 'file:./key,correct horse battery staple' } })).toEqual([
      'authKeys = file:./key, (not shown: it may be a key) (from HOLDFAST_AUTH_KEYS) cannot be used: it must be one or more of ' +
        'file:<path>, env:<variable>, https://…, or http://… on loopback, with commas between them (a list in a config file).',
    ]);
  });
});

describe('precedence', () => {
  const configPath = config({ port: 1, stallMs: 1001, stopTimeoutMs: '3s' });
  const env = { HOLDFAST_PORT: '2', HOLDFAST_STALL_MS: '1002', HOLDFAST_STOP_TIMEOUT_MS: '' };
  const flags = { port: '3', stallMs: undefined };

  test.each<[string, Partial<SettingsSources>, Partial<Settings>]>([
    ['a flag is stronger than all', { flags, env, configPath }, { port: 3 }],
    ['a variable is stronger than the file', { flags, env, configPath }, { stallMs: 1002 }],
    ['an empty variable is none', { flags, env, configPath }, { stopTimeoutMs: 3000 }],
    ['the file is stronger than the default', { configPath }, { port: 1, stallMs: 1001 }],
  ])('%s', (_, sources, expected) => {
    expect(load(sources)).toMatchObject(expected);
  });

  test('a wrong value is refused although a stronger one stands before it', () => {
    expect(problemsOf({ flags: { port: '3' }, env: { HOLDFAST_PORT: 'x' } })).toHaveLength(1);
  });
});

describe('a config file', () => {
  test.each<[string, unknown, RegExp]>([
    [
      'with an unknown key',
      { prot: 7071, port: 7072 },
      /^prot in .*json: there is no such setting\. The settings are port, host, /,
    ],
    ['that is no JSON', '{port: 1}', /^The config file .*json is no JSON: /],
    [
      'that is a list',
      [7070],
      /^The config file .*json must hold one JSON object, such as \{"port": 7071\}\.$/,
    ],
    [
      'with a number as text that has no meaning',
      { port: '7o71' },
      /^port = "7o71" \(from port in .*json\) cannot be used/,
    ],
  ])('%s is refused', (_, content, problem) => {
    expect(problemsOf({ configPath: config(content) })).toEqual([expect.stringMatching(problem)]);
  });

  test('that is not there is refused', () => {
    const [problem] = problemsOf({ configPath: join(folder, 'none.json') });
    expect(problem).toMatch(/^The config file .*none\.json cannot be read: ENOENT/);
  });
});

test('all problems are told at once, and the error carries the exit code for usage', () => {
  const configPath = config({ segments: 0, colour: 'red' });
  const sources = { flags: { port: '-1' }, env: { HOLDFAST_SPINS: 'many' }, configPath };
  expect(problemsOf(sources)).toHaveLength(4);
  expect(() => load(sources)).toThrow(expect.objectContaining({ exitCode: 2, name: 'SettingsError' }));
});

test('flags and variables are spelled after the names', () => {
  expect(row('maxBackpressureBytes')).toMatchObject({
    flag: '--max-backpressure-bytes',
    env: 'HOLDFAST_MAX_BACKPRESSURE_BYTES',
  });
});

describe('the words for who may come in', () => {
  const key = { authKeys: 'file:key.json' };
  const tls = { tlsCert: 'cert.pem', tlsKey: 'key.pem' };
  test.each<[Record<string, unknown>, string]>([
    [{}, 'loopback only: no auth key configured'],
    [key, 'tokens, loopback only, no TLS'],
    [{ ...key, ...tls, host: '0.0.0.0' }, 'tokens, any address, TLS'],
    [
      { host: '0.0.0.0', dangerouslyLetEverybodyIn: true },
      'EVERYBODY who reaches 0.0.0.0: no auth key configured, no TLS',
    ],
  ])('%j: %s', (flags, words) => {
    expect(accessText(load({ flags }))).toBe(words);
  });

  test.each([{ host: '0.0.0.0' }, { adminPort: 9090, adminHost: '192.0.2.1' }])(
    '%j takes a key or the flag',
    (flags) => {
      expect(problemsOf({ flags })).toEqual([expect.stringContaining('let everybody in')]);
      expect(load({ flags: { ...flags, ...key } })).toMatchObject(flags);
      expect(load({ flags: { ...flags, dangerouslyLetEverybodyIn: 'yes' } })).toMatchObject(flags);
    },
  );
});

describe('lists and switches', () => {
  test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    [
      'origins',
      { allowedOrigins: 'https://a.example, http://b.example:81' },
      { allowedOrigins: ['https://a.example', 'http://b.example:81'] },
    ],
    ['any origin', { allowedOrigins: '*' }, { allowedOrigins: ['*'] }],
    ['networks', { trustedProxies: '10.0.0.0/8,::1' }, { trustedProxies: ['10.0.0.0/8', '::1'] }],
    ['a switch', { dangerouslyLetEverybodyIn: true }, { dangerouslyLetEverybodyIn: true }],
    ['a switch that is off', { dangerouslyLetEverybodyIn: 'no' }, { dangerouslyLetEverybodyIn: false }],
  ])('%s', (_, flags, expected) => {
    expect(load({ flags })).toMatchObject(expected);
  });

  test.each([
    [{ allowedOrigins: 'https://a.example/path' }, 'https://shop.example, http://… or *'],
    [{ allowedOrigins: 'a.example' }, 'https://shop.example, http://… or *'],
    [{ trustedProxies: '10.0.0.0/33' }, '10.0.0.0/8, fd00::/8 or an address'],
    [{ dangerouslyLetEverybodyIn: 'perhaps' }, 'yes or no'],
  ])('%j is refused, and told what would be right', (flags, right) => {
    expect(problemsOf({ flags })).toEqual([expect.stringContaining(right)]);
  });
});
