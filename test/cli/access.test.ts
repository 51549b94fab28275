import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tempDir } from '../fixtures/temp-dir.ts';
import { realServer, runCli } from './fixtures.ts';

const path = tempDir();
const key = path('key.json');
let server: Awaited<ReturnType<typeof realServer>>;

beforeAll(async () => {
  const made = await runCli(['token', '--generate-key', 'EdDSA', '--key', key, '--json']);
  // Stress is to meet no limit of one holder's rate.
  const off = { holderRate: 'off', holderWindow: 'off', holderSkuWindow: 'off', skuWindow: 'off' };
  writeFileSync(path('config.json'), JSON.stringify({ admission: off }));
  const { authKeys } = JSON.parse(made.stdout);
  server = await realServer(['--auth-keys', authKeys, '--config', path('config.json')]);
});
afterAll(() => server?.stop());

async function tokenOf(sub: string, scope: string): Promise<string> {
  return (await runCli(['token', '--key', key, '--sub', sub, '--scope', scope])).stdout.trim();
}

/** Runs with --json against the server; the result, or the error with the exit code. */
async function json(args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await runCli([...args, '--json', '--url', server.url], env);
  return code === 0 ? JSON.parse(stdout) : { code, ...JSON.parse(stderr) };
}

describe('a command on a server with authentication', () => {
  test('goes with the token of a flag or of the variable, over WebSocket and HTTP', async () => {
    const alice = { HOLDFAST_TOKEN: await tokenOf('alice', 'hold') };
    const admin = await tokenOf('root', 'admin');
    expect(await json(['stock', 'create', 'sku-1', '--total', '10', '--token', admin])).toMatchObject({
      total: 10,
    });
    const hold = await json(['hold', 'sku-1', '3'], alice);
    expect(hold).toMatchObject({ quantity: 3, holder: 'alice' });
    expect(await json(['show-hold', String(hold.id)], alice)).toMatchObject({ quantity: 3 });
    expect(await json(['confirm', String(hold.id)], alice)).toMatchObject({ sold: 3 });
    expect(await json(['inspect', '--token', admin])).toMatchObject({ sold: 3, violations: 0 });
  });

  test.each<[string, string[]]>([
    ['over WebSocket', ['hold', 'sku-1']],
    ['over HTTP', ['stock', 'show', 'sku-1']],
  ])('says %s that a token is missing', async (_what, args) => {
    expect(await json(args)).toMatchObject({ code: 1, error: { code: 'UNAUTHENTICATED' } });
  });

  test.each<[string, string[]]>([
    ['over WebSocket', ['confirm', '4294967297']],
    ['over HTTP', ['stock', 'create', 'sku-2', '--total', '1']],
  ])('says %s that the token does not allow it', async (_what, args) => {
    const reader = { HOLDFAST_TOKEN: await tokenOf('carol', '') };
    expect(await json(args, reader)).toMatchObject({ code: 1, error: { code: 'FORBIDDEN' } });
  });

  test.each<[string, string[], RegExp]>([
    ['of another form', ['--token', 'secret'], /It must be a JWT: three parts/],
    ['beside a holder', ['--token', 'a.b.c', '--holder', 'bob'], /cannot be used with option '--token/],
  ])('takes no token %s', async (_what, args, message) => {
    const { code, stderr } = await runCli(['hold', 'sku-1', ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  test('the demo and stress make a token for each client, by the key', async () => {
    const demo = ['demo', '--buyers', '20', '--at-once', '5', '--units', '1', '--token-key', key];
    // A token of the shell's is not in the way.
    expect(await json(demo, { HOLDFAST_TOKEN: await tokenOf('carol', '') })).toMatchObject({
      ok: true,
      sold: 5,
    });
    const { code, stdout, stderr } = await runCli([
      ...['stress', 'hot', '--tiny', '--json', '--url', server.url, '--token-key', key],
    ]);
    expect(stderr).not.toContain('UNAUTHENTICATED');
    expect(JSON.parse(stdout)).toMatchObject({ oversold: 0, leaked: 0, lost: 0 });
    expect(code).toBe(0);
  });
});
