import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { StressResult } from '../../perf/stress/result.ts';
import { tempDir } from '../fixtures/temp-dir.ts';
import { result } from '../perf/stress/fixtures.ts';
import { deadUrl, realServer, runCli } from './fixtures.ts';

const STEADY = [1000, 1010, 990, 1000, 1005, 995, 1000];

describe('holdfast stress', () => {
  test('starts a server of its own and prints one line of JSON, with books that are right', async () => {
    const serve = '--segments 4 --workers 1 --store none --ack memory';
    const { code, stdout, stderr } = await runCli(['stress', 'hot', '--tiny', '--json', '--serve', serve]);
    expect(stderr).toMatch(/^hot: 0\.4 s at most/);
    expect(code).toBe(0);
    const found = JSON.parse(stdout) as StressResult;
    expect(found).toMatchObject({
      scenario: 'hot',
      mode: 'closed',
      unanswered: 0,
      ...{ oversold: 0, leaked: 0, lost: 0 },
      ...{ commandsPerFrame: 1, connections: 12, workers: 1, fronts: 1, ack: 'memory', store: null },
    });
    expect(Object.keys(found.latencyMs)).toEqual(['p50', 'p90', 'p99', 'p999', 'p9999', 'max']);
    expect(found.series.reduce((sum, { accepted }) => sum + accepted, 0)).toBeGreaterThan(0);
  });

  test('--list tells every scenario', async () => {
    const { code, stdout } = await runCli(['stress', '--list']);
    expect(code).toBe(0);
    for (const name of ['hot', 'zipf', 'flash', 'checkout', 'overload'])
      expect(stdout).toMatch(`\n${name} `.trim());
  });

  test.each<[string, string[], RegExp]>([
    ['an unknown scenario', ['hott'], /no scenario "hott". There are: hot, zipf/],
    ['both loops', ['hot', '--rate', '5', '--in-flight', '5'], /cannot be used with/],
    ['a server elsewhere', ['hot', '--url', 'ws://example.com:7070'], /for a server of this machine/],
    [
      'options for a server that runs',
      ['hot', '--port', '7070', '--serve', '--ack sync'],
      /cannot be used with/,
    ],
    ['no time', ['hot', '--seconds', '0'], /from 0\.1 to 3600/],
    ['too few connections', ['slow-readers', '--connections', '1'], /--connections 1 is too few/],
    ['a file in the name of a scenario', ['--json', 'hot'], /Put --json behind/],
    [
      'what one of the later scenarios cannot do, before the first',
      ['hot', 'slow-readers', '--connections', '1'],
      /^holdfast: --connections 1 is too few/,
    ],
    [
      'a report in no folder',
      ['hot', '--tiny', '--out', '/no/report.html'],
      /^holdfast: The report cannot be/,
    ],
    ['results in a folder', ['hot', '--tiny', '--json', '/'], /The results cannot be written: EISDIR/],
    ['one file to compare', ['--compare', 'a.json'], /takes two files/],
    [
      'files that are not there',
      ['--compare', '/no/a.json', '/no/b.json'],
      /\/no\/a\.json cannot be compared/,
    ],
  ])('refuses %s', async (_, args, message) => {
    const { code, stderr } = await runCli(['stress', ...args]);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});

test('says which server it did not find, and ends its own when it cannot be started', async () => {
  const dead = await deadUrl();
  const absent = await runCli(['stress', 'hot', '--tiny', '--url', dead]);
  expect(absent.stderr).toMatch(/No Holdfast server answers on port \d+/);
  expect(absent.code).toBe(3);
  const wrong = await runCli(['stress', 'hot', '--tiny', '--serve', '--workers many']);
  expect(wrong.stderr).toMatch(/--workers/);
  expect(wrong.code).toBe(3);
});

test('judges only its own SKUs on a server that runs', async () => {
  await using server = await realServer(['--ack', 'memory']);
  await runCli(['stock', 'create', 'other', '--total', '5', '--url', server.url]);
  await runCli(['hold', 'other', '3', '--ttl', '1h', '--url', server.url]);
  const { code, stdout } = await runCli(['stress', 'checkout', '--tiny', '--url', server.url, '--json']);
  expect(JSON.parse(stdout)).toMatchObject({ oversold: 0, leaked: 0, lost: 0, ack: 'memory', workers: 1 });
  expect(code).toBe(0);
});

describe('holdfast stress --compare', () => {
  const temp = tempDir();

  test.each<[string, StressResult[], StressResult[], number, RegExp]>([
    ['better', [result(STEADY)], [result(STEADY.map((rate) => rate * 2))], 0, /accepted .*\+100 %.*better/],
    ['worse', [result(STEADY)], [result(STEADY.map((rate) => rate / 2))], 1, /accepted .*-50 %.*worse/],
    ['another scenario', [result(STEADY)], [result(STEADY, { scenario: 'zipf' })], 2, /not of the same load/],
    [
      'several scenarios',
      [result(STEADY), result(STEADY, { scenario: 'zipf' })],
      [result(STEADY, { scenario: 'zipf' }), result(STEADY)],
      0,
      /^hot\n(.*\n)*zipf\n/,
    ],
  ])('says of two files: %s', async (_, before, after, exitCode, text) => {
    const files = [before, after].map((results, i) => {
      const file = temp(`${exitCode}-${before.length}-${i}.json`);
      writeFileSync(file, results.map((each) => `${JSON.stringify(each)}\n`).join(''));
      return file;
    });
    const { code, stdout, stderr } = await runCli(['stress', '--compare', ...files]);
    expect(stdout + stderr).toMatch(text);
    expect(code).toBe(exitCode);
  });
});
