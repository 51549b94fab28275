import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realServer, runCli, SERVE, spawnCli } from './fixtures.ts';
import { flip } from './store-fixtures.ts';

/** Starts with the block for people, and resolves once `text` was printed. */
async function serveUntil(text: string | RegExp, args: readonly string[] = []) {
  const child = spawnCli([...SERVE, ...args]);
  let stdout = '';
  child.stdout.setEncoding('utf8');
  const until = async (wanted: string | RegExp) => {
    while (stdout.search(wanted) < 0) stdout += (await once(child.stdout, 'data'))[0];
    return stdout;
  };
  const ended = once(child, 'close') as Promise<[number | null, string | null]>;
  await until(text);
  return { child, ended, until, stdout: () => stdout };
}

const READY = /Ctrl-C stops it\.\n$/;

describe('serve', () => {
  test('prints a block with addresses, sizes, acknowledgement, access and what to try next', async () => {
    const { child, ended, stdout } = await serveUntil(READY);
    child.kill('SIGTERM');
    await ended;
    expect(stdout()).toMatch(
      new RegExp(
        [
          '^Holdfast \\d+\\.\\d+\\.\\d+ is ready\\.',
          '',
          '  WebSocket  ws://127\\.0\\.0\\.1:(\\d+)/v1/ws',
          '  HTTP       http://127\\.0\\.0\\.1:\\1',
          '  Runs       1 front, 1 worker, 4 segments',
          '  Ack        memory: what is acknowledged survives a crashed worker, not a crashed process',
          '  Store      none: everything is gone when the process ends',
          '  Access     loopback only: no auth key configured',
          '',
          'Try next, in a second terminal:',
          '  npm run demo -- --url http://127\\.0\\.0\\.1:\\1',
          '  curl -X PUT http://127\\.0\\.0\\.1:\\1/v1/skus/sku-1 .*',
          '  npx holdfast hold sku-1 2 --ttl 30s --url http://127\\.0\\.0\\.1:\\1',
          '',
        ].join('\n'),
      ),
    );
  });

  test('with --json prints one line when it is ready, and nothing else', async () => {
    const server = await realServer();
    const { ready } = server;
    expect(ready).toEqual({
      url: `ws://127.0.0.1:${ready.port}/v1/ws`,
      http: `http://127.0.0.1:${ready.port}`,
      admin: null,
      port: expect.any(Number),
      fronts: 1,
      workers: 1,
      segments: 4,
      ack: 'memory',
      store: null,
      promise: expect.any(String),
      snapshots: null,
      recovery: null,
      pid: server.child.pid,
    });
    expect((await fetch(`${ready.http}/readyz`)).status).toBe(200);
    let rest = '';
    server.child.stdout.on('data', (text) => {
      rest += text;
    });
    expect(await server.stop()).toBe(0);
    expect(rest).toBe('');
  });

  test('takes settings from flag before variable before file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-serve-'));
    const config = join(folder, 'config.json');
    writeFileSync(config, JSON.stringify({ port: 0, segments: 2, workers: 2, stallMs: '3s' }));
    const child = spawnCli(['serve', '--json', '--store', 'none', '--config', config, '--workers', '3'], {
      HOLDFAST_SEGMENTS: '3',
    });
    const [line] = await once(child.stdout, 'data');
    child.kill('SIGTERM');
    await once(child, 'close');
    rmSync(folder, { recursive: true });
    expect(JSON.parse(String(line))).toMatchObject({ workers: 3, segments: 3 });
  });

  test('on a port that is taken ends with 2 and says what to do', async () => {
    await using server = await realServer();
    const outcome = await runCli([...SERVE, '--port', String(server.ready.port)]);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toMatch(
      new RegExp(
        `^holdfast: Port ${server.ready.port} of 127\\.0\\.0\\.1 cannot be had: .* --port 0 for a free one\\.\n$`,
      ),
    );
  });
});

describe('a store', () => {
  let folder: string;
  const args = () => [
    '--store',
    `file:${join(folder, 'data')}`,
    '--holds-per-segment',
    '1024',
    '--keys-per-segment',
    '1024',
  ];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-serve-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('is named with what it promises, and at the next start with what was restored', async () => {
    const first = await serveUntil(READY, args());
    expect(first.stdout()).toMatch(/ Ack {8}sync: .*disk.*\n {2}Store {6}file:\S+\/data, new\n/);
    const [, url] = / HTTP {7}(\S+)/.exec(first.stdout()) ?? [];
    await fetch(`${url}/v1/skus/sku-1`, { method: 'PUT', body: '{"total":7}' });
    const locked = await runCli([...SERVE, ...args()]);
    expect(locked).toMatchObject({ code: 74, stdout: '' });
    expect(locked.stderr).toMatch(/^holdfast: \S+\/data is in use by another server \(process \d+ .*\n$/);
    first.child.kill('SIGTERM');
    await first.ended;
    await using second = await realServer(args());
    expect(second.ready).toMatchObject({ ack: 'sync', recovery: { fresh: false, events: 1 } });
    const books = await (await fetch(`${second.url}/v1/skus/sku-1`)).json();
    expect(books).toMatchObject({ total: 7 });
  });

  test('that is damaged ends with 74 and one message', async () => {
    const [journal] = readdirSync(join(folder, 'data', 'journal'));
    const path = join(folder, 'data', 'journal', journal);
    flip(path, 20);
    const outcome = await runCli([...SERVE, '--json', ...args()]);
    expect(outcome).toMatchObject({ code: 74, stdout: '' });
    expect(JSON.parse(outcome.stderr)).toMatchObject({
      error: { code: 'CORRUPT', message: expect.stringContaining(path) },
    });
  });
});

describe('a signal', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s stops it in order, with 0', async (signal) => {
    const { child, ended, until } = await serveUntil(READY);
    child.kill(signal);
    await until(new RegExp(`${signal}: finishing what is under way`));
    expect(await ended).toEqual([0, null]);
  });

  test('that comes second ends it at once, with its own code', async () => {
    const { child, ended } = await serveUntil(READY);
    // Both are pending when it goes on, and no time passes in between. Which of its threads takes which first is open.
    child.kill('SIGSTOP');
    child.kill('SIGTERM');
    child.kill('SIGINT');
    child.kill('SIGCONT');
    expect([130, 143]).toContain((await ended)[0]);
  });

  test('SIGINT that a terminal and a wrapper both deliver counts once', async () => {
    let end: unknown;
    // A busy machine may make two key presses of it by letting much time pass in between, but not each time.
    for (let attempt = 0; attempt < 10; attempt++) {
      const { child, ended, until } = await serveUntil(READY);
      child.kill('SIGINT');
      await until('SIGINT: finishing');
      child.kill('SIGINT');
      end = await ended;
      if ((end as unknown[])[0] === 0) break;
    }
    expect(end).toEqual([0, null]);
  });
});
