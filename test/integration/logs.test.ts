import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { ClientPush, Op, PUSH } from '../../protocol/ops.ts';
import { EVENTS } from '../../src/log/events.ts';
import { makeToken } from '../auth/fixtures.ts';
import { SERVE, spawnCli } from '../cli/fixtures.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { tempDir } from '../fixtures/temp-dir.ts';
import { frameOf } from '../front/fixtures.ts';

const path = tempDir();
const running: ReturnType<typeof spawnCli>[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});

type Line = Record<string, unknown> & { event: keyof typeof EVENTS };

/** A server in a process of its own, with everything that it says. */
async function serve(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawnCli([...SERVE, ...args], env);
  running.push(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const ended = once(child, 'close');
  await expect.poll(() => stdout).toMatch(/\n/);
  const url = /ws:\/\/[\w.:]+\/v1\/ws/.exec(stdout)?.[0] ?? '';
  return {
    url,
    http: url.replace('ws:', 'http:').replace('/v1/ws', ''),
    said: () => stdout + stderr,
    lines: () => stderr.split(/(?<=\n)/).map((line) => JSON.parse(line) as Line),
    ended,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    stop: async () => {
      child.kill('SIGTERM');
      return (await ended)[0];
    },
  };
}

/** The script runs in the process before the server does. */
function before(script: string): Record<string, string> {
  const file = path('before.mjs');
  writeFileSync(file, script);
  return { NODE_OPTIONS: `--import=${file}` };
}

describe('the log of a server', () => {
  it('is lines of JSON on stderr, each of an event that the table knows, with its words, level and fields', async () => {
    const server = await serve(['--json', '--log-level', 'trace', '--fronts', '2']);
    const clients = await Promise.all([RawClient.connect(server.url), RawClient.connect(server.url)]);
    for (const client of clients) await client.call(Op.TIME);
    await fetch(`${server.http}/v1/skus/sku-1?x=secret`, { headers: { 'x-request-id': 'req-1' } });
    for (const client of clients) await client.close();
    expect(await server.stop()).toBe(0);
    const lines = server.lines();
    for (const { event, level, time, msg, ...fields } of lines) {
      const row = EVENTS[event];
      expect([event, level, msg]).toEqual([event, row.level, row.says]);
      expect(time).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
      expect([...row.fields, 'count'] as string[]).toEqual(expect.arrayContaining(Object.keys(fields)));
    }
    const named = (event: string) => lines.filter((line) => line.event === event);
    expect(named('ready')).toMatchObject([{ url: server.url, fronts: 2, workers: 1, store: 'none' }]);
    const opened = named('connection-opened').map(({ connection }) => connection);
    expect([...opened].sort()).toEqual(['0-1', '1-1']);
    expect(named('connection-closed').map(({ connection }) => connection)).toEqual(
      expect.arrayContaining(opened),
    );
    expect(named('request')).toMatchObject([
      { requestId: 'req-1', method: 'GET', path: '/v1/skus/sku-1', status: 404 },
    ]);
    expect(lines.slice(-2)).toMatchObject([{ event: 'stopping' }, { event: 'stopped' }]);
  });

  it.each([
    ['info', ['ready', 'stopping', 'stopped']],
    ['warn', []],
    ['silent', []],
  ])('at level %s of a run in which nothing happens is %j', async (level, events) => {
    const server = await serve(['--json', '--log-level', level]);
    const client = await RawClient.connect(server.url);
    for (let i = 0; i < 100; i++) await client.call(Op.HOLD, 'sku-1', 1, 1000);
    await client.close();
    expect(await server.stop()).toBe(0);
    if (events.length === 0) expect(server.said()).toMatch(/^\{[^\n]*\n$/);
    else expect(server.lines().map(({ event }) => event)).toEqual(events);
  });

  it('makes one line a second of a flood, which counts them all', async () => {
    const CLIENTS = 60;
    const server = await serve(['--json', '--fronts', '2']);
    const startedMs = performance.now();
    for (let i = 0; i < CLIENTS; i++) {
      const client = await RawClient.connect(server.url);
      client.sendBytes(new Uint8Array(70_000));
      await client.closed;
    }
    const seconds = Math.ceil((performance.now() - startedMs) / 1000);
    expect(await server.stop()).toBe(0);
    const closed = server.lines().filter(({ event }) => event === 'client-closed');
    expect(closed.reduce((sum, { count = 1 }) => sum + (count as number), 0)).toBe(CLIENTS);
    // Each front folds its own, and the main thread those of all; at the end each may have one more to tell.
    expect(closed.length).toBeLessThanOrEqual(seconds + 4);
    expect(closed[0]).toMatchObject({ code: 1009, connection: expect.any(String) });
  });

  it('has what Node.js would say in other words: warnings, and the bug that ends the process', async () => {
    const server = await serve(
      ['--json'],
      before(`
        import { isMainThread } from 'node:worker_threads';
        if (isMainThread) process.on('SIGUSR2', () => {
          process.emitWarning('planted warning');
          setImmediate(() => { throw new Error('planted bug'); });
        });`),
    );
    server.kill('SIGUSR2');
    expect((await server.ended)[0]).toBe(70);
    expect(server.lines().map(({ event, detail }) => [event, detail])).toEqual([
      ['ready', undefined],
      ['node-warning', 'Warning: planted warning'],
      ['crashed', expect.stringMatching(/^Error: planted bug\n {4}at /)],
    ]);
  });
});

describe('no secret that a server is given', () => {
  const KEY = 'PLANTED-key-of-32-bytes-or-so-and-more';
  const token = (claims: object, key = KEY) => makeToken({ alg: 'HS256', typ: 'JWT' }, claims, key);
  const soon = Math.floor(Date.now() / 1000) + 600;
  const good = token({ sub: 'PLANTED-subject', scope: 'hold stock', exp: soon });
  const tokens = [
    good,
    token({ sub: 'alice', exp: 1000 }),
    token({ sub: 'alice', exp: soon }, 'PLANTED-another-key-of-32-bytes-or-so'),
    token({ sub: 'alice', exp: soon, scope: 7 }),
    `${good.slice(0, -5)}PLANT`,
    'PLANTED-no-token',
  ];

  it('appears in what it says at level trace, wherever it came in', async () => {
    const server = await serve(['--json', '--log-level', 'trace', '--auth-keys', 'env:TEST_KEY'], {
      TEST_KEY: KEY,
    });
    const { http, url } = server;
    for (const each of tokens) {
      for (const headers of [
        { authorization: `Bearer ${each}` },
        { authorization: `Basic ${each}` },
        { cookie: `token=${each}` },
        { 'x-holdfast-holder': each },
        { 'x-request-id': `PLANTED ${each}` },
        { traceparent: each },
      ] as Record<string, string>[]) {
        await fetch(`${http}/v1/skus/sku-1`, { headers });
      }
      await fetch(`${http}/v1/skus/sku-1?token=${each}`);
      await fetch(`${http}/v1/skus/sku-1?access_token=${each}`);
      const put = {
        method: 'PUT',
        body: `{"token":"${each}"}`,
        headers: { authorization: `Bearer ${good}` },
      };
      await fetch(`${http}/v1/skus/sku-1`, put);
      const inUrl = new WebSocket(`${url}?token=${each}`);
      await once(inUrl, 'error');
      const offered = new WebSocket(url, ['holdfast', `bearer.${each}`]);
      await Promise.race([once(offered, 'open'), once(offered, 'error')]);
      offered.close();
      const client = await RawClient.connect(url.replace(/$/, '?format=binary'));
      await client.call(Op.AUTH, each);
      client.sendBytes(frameOf([PUSH, ClientPush.TRACE, each], [Op.READ, 999, 'sku-1']));
      client.sendText(`["AUTH", 7, "${each}"]`);
      client.sendText(`PLANTED ${each}`);
      await client.call(Op.TIME);
      client.socket.close(4000, 'PLANTED reason');
      await client.closed;
    }
    expect(await server.stop()).toBe(0);
    expect(server.lines().length).toBeGreaterThan(20);
    expect(server.said()).not.toContain('PLANT');
    // Nor parts of tokens: their payloads and signatures.
    for (const part of tokens.slice(0, 5).flatMap((each) => each.split('.').slice(1)))
      expect(server.said()).not.toContain(part);
  });

  it.each([
    ['a key in the place of its name', ['--auth-keys', KEY]],
    ['a file that holds no key', ['--auth-keys', 'file:key.txt']],
    ['a password of a store with signs', ['--store', 'redis://me:%50LANTED%2Fx@127.0.0.1:1/0']],
    ['a password of an address that is none', ['--store', 'mysql://me:PLANTED@127.0.0.1/x']],
    ['a password of a collector', ['--otlp-endpoint', 'ftp://me:PLANTED@127.0.0.1:1']],
  ])('appears when it does not start: %s', async (_, args) => {
    const file = path('key.txt');
    writeFileSync(file, `-----BEGIN PRIVATE KEY-----\n${KEY}\n-----END PRIVATE KEY-----\n`);
    const named = args.map((arg) => arg.replace('key.txt', file));
    const child = spawnCli([...SERVE, '--log-level', 'trace', ...named], { HOLDFAST_LOG_FORMAT: 'json' });
    running.push(child);
    const said = Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
    const [code] = await once(child, 'close');
    expect(code).not.toBe(0);
    const text = (await said).flat().join('');
    expect(text.length).toBeGreaterThan(20);
    expect(text).not.toMatch(/PLANT|LANTED/);
  });
});
